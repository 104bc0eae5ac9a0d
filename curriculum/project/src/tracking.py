"""What every run of this project remembers: settings, code, data, curves and the adapter. Plain MLflow."""

import contextlib
import hashlib
import os
import subprocess
import time
from pathlib import Path

import mlflow
import yaml
from filelock import FileLock

PICKLES = {".bin", ".pt", ".pkl"}  # whoever opens one of these runs the code inside
BY_HAND = ("src", "params.yaml", "dvc.yaml")  # what people write; the rest a pipeline changes while it runs


# <gap day11>
# def flat(params: dict) -> dict[str, str | int | float | bool]:
#     """Nested settings under dotted names: {"lora": {"r": 8}} becomes {"lora.r": 8}.
#
#     A list becomes readable text, "query, value"; None becomes "None"; a text, a number, a truth value stays.
#     """
#     ...
# <solution>
def flat(params: dict) -> dict[str, str | int | float | bool]:
    """Nested settings under dotted names: {"lora": {"r": 8}} becomes {"lora.r": 8}."""
    found = {}
    for name, value in params.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found[str(name)] = value if isinstance(value, str | int | float | bool) else text
    return found


# </solution>


# <gap day11>
# def lineage(folder: str | Path = ".") -> dict[str, str]:
#     """Say which code, data and settings a run had: tags, "none" for what there is not.
#
#     git_commit; git_dirty, "true" or "false" for what is in BY_HAND; dvc_lock and params, their fingerprints.
#     """
#     ...
# <solution>
def lineage(folder: str | Path = ".") -> dict[str, str]:
    """Say which code, data and settings a run had: tags, "none" for what there is not."""
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", *BY_HAND)
    return {
        "git_commit": commit or "none",
        "git_dirty": "none" if changes is None else str(changes != "").lower(),
        "dvc_lock": _fingerprint(Path(folder) / "dvc.lock"),
        "params": _fingerprint(Path(folder) / "params.yaml"),
    }


# </solution>


@contextlib.contextmanager
def run(name: str, params: dict, folder: str | Path = "."):
    """Open a run that knows its settings, its code and its data, and yield it."""
    tags, lock = lineage(folder), Path(folder) / "dvc.lock"
    _open(folder)
    with mlflow.start_run(run_name=name, tags=tags) as active:
        mlflow.log_params(flat(params))
        if lock.is_file():
            mlflow.log_artifact(str(lock))
        yield active


@contextlib.contextmanager
def run_of(fingerprint: str, name: str, params: dict, folder: str | Path = "."):
    """Go on with the newest finished run of this fingerprint; where there is none, as in a clone, open one."""
    _open(folder)
    wanted = f"attributes.status = 'FINISHED' and tags.fingerprint = '{fingerprint}'"
    newest = {"order_by": ["attributes.start_time DESC"], "max_results": 1, "output_format": "list"}
    if found := mlflow.search_runs(filter_string=wanted, **newest):
        with mlflow.start_run(run_id=found[0].info.run_id) as active:
            yield active
        return
    with run(name, params, folder) as active:
        mlflow.set_tag("fingerprint", fingerprint)
        yield active


def data_of(run_id: str) -> dict[str, str]:
    """Which data made this run's numbers? Each file below data/ that DVC knew then, with its MD5."""
    stages = yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{run_id}/dvc.lock"))["stages"]
    files = [each for stage in stages.values() for side in ("deps", "outs") for each in stage.get(side, [])]
    return {each["path"]: each["md5"] for each in files if each["path"].startswith("data/")}


# <gap day11>
# def log_history(history: list[dict]) -> None:
#     """Log the numbers of a Trainer's `state.log_history`, each at its step, under the Trainer's names."""
#     ...
# <solution>
def log_history(history: list[dict]) -> None:
    """Log the numbers of a Trainer's `state.log_history`, each at its step, under the Trainer's names."""
    for row in history:
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        mlflow.log_metrics({name: numbers[name] for name in numbers if name != "step"}, step=row["step"])


# </solution>


# <gap day11>
# def log_adapter(folder: str | Path) -> None:
#     """Keep an adapter's files below "adapter"; refuse pickles (ValueError), and a folder without files
#     (FileNotFoundError). Each error names what is wrong, and the way out.
#     """
#     ...
# <solution>
def log_adapter(folder: str | Path) -> None:
    """Keep an adapter's files below "adapter"; refuse pickles, and a folder without files."""
    cure = "Save it with model.save_pretrained(folder), which writes safetensors, and log that folder."
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    if pickles := [path for path in files if path.suffix in PICKLES]:
        raise ValueError(f"{pickles[0]} is a pickle: whoever opens it runs the code inside. {cure}")
    if not files:
        raise FileNotFoundError(f"No adapter is in {folder}. {cure}")
    mlflow.log_artifacts(str(folder), "adapter")


# </solution>


# <gap day11>
# def abandoned(hours: float = 12.0) -> list[str]:
#     """List the runs of this experiment that still say RUNNING though they began longer ago."""
#     ...
# <solution>
def abandoned(hours: float = 12.0) -> list[str]:
    """List the runs of this experiment that still say RUNNING though they began longer ago."""
    before = int(1000 * (time.time() - 3600 * hours))  # MLflow counts milliseconds
    running = f"attributes.status = 'RUNNING' and attributes.start_time < {before}"
    found = mlflow.search_runs(experiment_names=[_experiment()], filter_string=running, output_format="list")
    return [each.info.run_id for each in found]


# </solution>


def close(run_ids: list[str]) -> None:
    """Mark runs as KILLED, which is what they are."""
    for run_id in run_ids:
        mlflow.MlflowClient().set_terminated(run_id, "KILLED")


def _experiment(folder: str | Path = ".") -> str:
    """Point MLflow at the project's store and name its experiment; the environment may choose both."""
    home = Path(folder).resolve().as_posix()
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home}/mlflow.db")
    if database := _database():
        _make(database)
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or Path(home).name


def _open(folder: str | Path) -> None:
    """Open the project's experiment, with its files beside the database where that is a file."""
    experiment, database = _experiment(folder), _database()
    if database and mlflow.get_experiment_by_name(experiment) is None:
        mlflow.create_experiment(experiment, artifact_location=_files(database))
    mlflow.set_experiment(experiment)


def _database() -> Path | None:
    """The store's file; None where it is a server."""
    scheme, _, place = mlflow.get_tracking_uri().partition(":///")
    return Path(place).resolve() if scheme == "sqlite" else None


def _files(database: Path) -> str:
    """Where runs keep their files: beside the database, wherever we run."""
    return (database.parent / "mlartifacts").as_uri()


def _make(database: Path) -> None:
    """Make MLflow's tables, under another name first: what a kill left half made could not be taken up again."""
    if database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f".{database.name}.lock"), timeout=120):
        if not database.exists():  # another process may have been quicker
            for left in database.parent.glob(f".{database.name}.part*"):
                left.unlink()
            fresh = database.with_name(f".{database.name}.part")
            SqlAlchemyStore(f"sqlite:///{fresh.as_posix()}", _files(database)).engine.dispose()
            os.replace(fresh, database)


def _git(folder: str | Path, *command: str) -> str | None:
    """Give what git answers, None where it refuses or is missing."""
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None


def _fingerprint(path: Path) -> str:
    """Name a file's content; "none" for a file that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
