"""Keeping track of experiments: MLflow in the workspace, and results compared with what is expected."""

import contextlib
import json
import logging
import math
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..core import files, settings, timetable
from ..core.settings import LabError
from . import runs

if TYPE_CHECKING:
    from mlflow import ActiveRun

SECONDS_FOR_A_SERVER = 5
STAYS = f"What was logged before is still there, and so are your trained models. {runs.FREE_SPACE}: it opens a new run."


def setup(experiment: str) -> str:
    """Point MLflow at this course's database, or at your own server, and choose the experiment.

    Args:
        experiment: its name, such as "sentiment"; made if it is new, brought back if it was deleted.

    Returns:
        The tracking address: sqlite:///<workspace>/mlflow.db, or the value of MLFLOW_TRACKING_URI.

    Raises:
        LabError: when the server does not answer, when MLflow cannot open the database, or when the name is empty.

    Source: https://mlflow.org/docs/latest/ml/tracking/
    """
    if not isinstance(experiment, str) or not experiment.strip():
        raise LabError(f'setup(experiment={experiment!r}): give the experiment a name, such as "sentiment".')
    _keep_quiet()
    import mlflow

    chosen = os.environ.get("MLFLOW_TRACKING_URI")
    if chosen:
        _check_server(chosen)
    else:
        make_ready()
    if left := os.environ.pop("MLFLOW_RUN_ID", None):
        print(
            f"MLFLOW_RUN_ID={left} was left in the environment. It is ignored: what you log goes into a run of its own."
        )
    mlflow.set_tracking_uri(chosen or _address(_database()))
    if not chosen:
        # MLflow notes the address in the environment, where the next call would take it for the learner's choice.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    _choose_experiment(experiment, chosen)
    return chosen or _address(_database())


@contextlib.contextmanager
def start_run(experiment: str, run_name: str) -> "Iterator[ActiveRun]":
    """Open an MLflow run, with tags that say where it was made.

    A run left open by an interrupted cell or a dead kernel is closed first (its status becomes KILLED). What the
    machine is goes into tags: a parameter is something you chose and could choose differently.

    Args:
        experiment: name of the experiment.
        run_name: name of the run, such as "lora-r8".

    Yields:
        The MLflow run; inside, use `mlflow.log_params`, `mlflow.log_metric`, `mlflow.log_figure` …

    Raises:
        LabError: as in `setup`, and when the disk is full.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    while mlflow.active_run() is not None:
        # Its database may be gone; the run leaves MLflow's list of open ones all the same.
        with contextlib.suppress(MlflowException):
            mlflow.end_run(status="KILLED")
    setup(experiment)
    with _readable_errors():
        _close_abandoned()
        run = mlflow.start_run(run_name=run_name, tags=_tags())
        with _kept_open(run.info.run_id), run:
            yield run


def record(name: str, value: float) -> None:
    """Note a result of this lesson, and say whether it is where it is expected.

    The result goes to <workspace>/results/<lesson>.json, to the course's run log, and to MLflow when a run is open.

    Args:
        name: name of the result, such as "test_accuracy"; the timetable may hold a band for it.
        value: a number (also from NumPy or PyTorch).

    Raises:
        LabError: when the name is unusable or the value is no finite number.
    """
    number = _number(name, value)
    lesson = os.environ.get("LAB_LESSON", "")
    band = timetable.band(lesson, name) if lesson else None
    low, high = band or (None, None)
    print(_sentence(name, number, band))
    settings.log_event("record", name=name, value=number, low=low, high=high)
    _store(lesson, name, {"value": number, "low": low, "high": high, "profile": settings.current().profile})
    _log_metric(name, number)


def recorded(lesson: str) -> dict[str, float]:
    """Look up what a lesson recorded.

    Args:
        lesson: lesson id, such as "day04".

    Returns:
        Name → value, the latest of each; empty when nothing was recorded yet.
    """
    return {name: entry["value"] for name, entry in _read(_results(lesson)).items()}


def free_port(wanted: int) -> int:
    """Give this port of this machine if nobody has it, or a free one. Port 5000 is AirPlay's on every Mac."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as tried, socket.socket() as listener:
            tried.settimeout(1)
            if port and tried.connect_ex(("127.0.0.1", port)) == 0:
                continue  # somebody answers, on whichever of the machine's addresses they listen
            listener.bind(("127.0.0.1", port))
            return int(listener.getsockname()[1])
    raise LabError(
        f"No port of this machine is free, not even {wanted}. Close other servers, then try again."
    )


def ui_command(port: int = 5000) -> list[str]:
    """Tell how to start MLflow's web page on this course's database."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", _address(_database())),
        *("--artifacts-destination", _artifacts()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]


def _database() -> Path:
    return settings.current().workspace / "mlflow.db"


def _address(database: Path) -> str:
    return f"sqlite:///{database.as_posix()}"


def _artifacts() -> str:
    return (settings.current().workspace / "mlartifacts").as_uri()


def _readable_errors() -> contextlib.AbstractContextManager[None]:
    return runs.readable_errors(settings.current().workspace, "write MLflow's data to", STAYS)


def make_ready() -> None:
    """Make the course's database if it is missing, set a damaged one aside, and bring one home that has moved."""
    _keep_quiet()
    database = _database()
    if re.search("[?]|%[0-9A-Fa-f]{2}", str(database)):
        raise LabError(
            f"MLflow reads a question mark or a %20 in {database} as part of an address, and would look elsewhere. "
            "Set LAB_WORKSPACE to a folder without these signs, then restart the kernel."
        )
    # MLflow keeps connections for the life of the process, and would go on with a file that has moved away.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    with _readable_errors(), files.lock(database):
        if database.exists() and not _is_sound(database):
            _set_aside(database)
        if not database.exists():
            _create(database)
        _check_age(database)
        _bring_home(database)


def _check_age(database: Path) -> None:
    """Refuse a database that a newer MLflow made: no command of this one can turn it back."""
    import mlflow
    from mlflow.store import db_migrations

    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        form = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        known = (
            list((Path(db_migrations.__file__).parent / "versions").glob(f"{form[0]}_*.py")) if form else True
        )
        if known:
            return
        used = connection.execute("SELECT DISTINCT value FROM tags WHERE key = 'mlflow'").fetchall()
    makers = sorted(
        (version for (version,) in used), key=lambda text: [int(n) for n in re.findall(r"\d+", text)]
    )
    maker = f"MLflow {makers[-1]}" if makers else "a newer MLflow"
    raise LabError(
        f"{database} was last used by {maker}, and here is MLflow {mlflow.__version__}, which does not know its form "
        f"({form[0]}). Nothing was changed. Bring the course's packages forward (`lab update`, then `make lab`); or rename "
        "the file: the course makes a new one, and the old runs can still be read with the newer MLflow."
    )


def _bring_home(database: Path) -> None:
    """Let a database that was moved or copied with its workspace speak of the files here, not of those at the old place."""
    home = _artifacts()
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        first = connection.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        ).fetchone()
        old = (first[0] or "").removesuffix("/0") if first else home
        if old == home or not old.endswith("/mlartifacts"):
            return
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE "{column}" = ? OR substr("{column}", 1, ?) = ?',
                    (home, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
    print(
        f"This workspace was at {unquote(urlsplit(old).path)[: -len('/mlartifacts')]} before. Its MLflow runs now point here."
    )


def _create(database: Path) -> None:
    """Build the tables under another name first: an interrupted migration could not be taken up again."""
    fresh = database.with_name(".mlflow-new.db")
    fresh.unlink(missing_ok=True)
    try:
        _build(fresh)
        fresh.replace(database)
    finally:
        fresh.unlink(missing_ok=True)


def _build(fresh: Path) -> None:
    """Run MLflow's migrations once, which takes seconds; whoever needs another empty database gets a copy."""
    import mlflow

    empty = settings.current().cache / f"mlflow-{mlflow.__version__}.db"
    if empty.is_file() and _is_sound(empty):
        shutil.copyfile(empty, fresh)
        with contextlib.closing(sqlite3.connect(fresh, timeout=30)) as connection, connection:
            connection.execute("UPDATE experiments SET artifact_location = ?", (f"{_artifacts()}/0",))
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(_address(fresh), _artifacts())
    with contextlib.suppress(OSError):  # a cache may be read-only: then each one is built
        empty.parent.mkdir(parents=True, exist_ok=True)
        part = empty.with_name(f".{empty.name}-{os.getpid()}")
        shutil.copyfile(fresh, part)
        part.replace(empty)


def _is_sound(database: Path) -> bool:
    try:
        # A with-block of sqlite3 ends a transaction, not the connection; closing() does.
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE name = 'experiments'"
            ).fetchall()
            return bool(tables) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError as error:
        raise LabError(
            f"MLflow's database {database} cannot be opened: {error}. Close other notebooks or the MLflow page, "
            "make sure that you may write to the file, and run the cell again."
        ) from error
    except sqlite3.DatabaseError:
        return False


def _set_aside(database: Path) -> None:
    place = files.set_aside(database)
    for suffix in ("-journal", "-wal", "-shm"):
        companion = database.with_name(database.name + suffix)
        if companion.exists():
            # Beside the new database, sqlite would apply it there.
            companion.rename(place.with_name(place.name + suffix))
    print(
        f"MLflow's database was damaged. It now lies in {place}, nothing was deleted, and a new, empty one takes "
        "its place. Your trained models and recorded results are not affected."
    )


def _choose_experiment(experiment: str, chosen: str | None) -> None:
    """Make the experiment the current one: new, or brought back if it was deleted."""
    import mlflow
    from mlflow.exceptions import MlflowException

    server = chosen or _address(_database())
    try:
        client = mlflow.MlflowClient()
        with _readable_errors(), files.lock(_database()):
            found = client.get_experiment_by_name(experiment)
            if found is None:
                mlflow.create_experiment(experiment, artifact_location=None if chosen else _artifacts())
            elif found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            mlflow.set_experiment(experiment)
    except MlflowException as error:
        raise LabError(
            f"MLflow could not open the experiment {experiment!r} at {server}: {error.message} If it speaks of an "
            f"old schema, run `mlflow db upgrade {server}`; otherwise check MLFLOW_TRACKING_URI."
        ) from error


def _check_server(server: str) -> None:
    """Ask a server once whether it is there: MLflow itself would retry for minutes. Other addresses pass."""
    import requests

    if not server.startswith(("http://", "https://")):
        return
    try:
        requests.get(f"{server.rstrip('/')}/health", timeout=SECONDS_FOR_A_SERVER)
    except requests.RequestException as error:
        raise LabError(
            f"MLFLOW_TRACKING_URI is {server}, and no server answers there ({type(error).__name__}). Start the "
            "server (`lab mlflow` starts one), correct the address, or unset MLFLOW_TRACKING_URI to use the "
            "course's own database."
        ) from error


@contextlib.contextmanager
def _kept_open(run_id: str) -> Iterator[None]:
    """Hold a lock while a run is open; after the death of this process, its file is there without the lock."""
    from filelock import FileLock

    _open_runs().mkdir(parents=True, exist_ok=True)
    mark = _open_runs() / f"{run_id}.lock"
    try:
        with FileLock(mark):
            yield
    finally:
        _tidy(run_id, mark)


def _close_abandoned() -> None:
    """Mark as KILLED what a dead process left RUNNING, and say so."""
    import mlflow
    from filelock import FileLock, Timeout
    from mlflow.exceptions import MlflowException

    for path in _open_runs().glob("*.lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(path, timeout=0):
            with contextlib.suppress(MlflowException):
                run = mlflow.get_run(path.stem)
                if run.info.status == "RUNNING":
                    mlflow.MlflowClient().set_terminated(path.stem, "KILLED")
                    print(
                        f"The MLflow run {run.info.run_name!r} was cut off earlier; it is now marked as killed."
                    )
            path.unlink(missing_ok=True)


def _tidy(run_id: str, mark: Path) -> None:
    """Forget a run that has ended; one whose end could not be written stays on the list."""
    import mlflow
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException, OSError):
        if mlflow.get_run(run_id).info.status != "RUNNING":
            mark.unlink(missing_ok=True)


def _open_runs() -> Path:
    return settings.current().workspace / ".open-runs"


def _keep_quiet() -> None:
    """Silence the dozens of migrations that making the database runs, each with a line of log."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name in ("mlflow", "alembic", "alembic.runtime.migration", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _tags() -> dict[str, str]:
    import platform

    import mlflow
    import torch

    tags = {
        "lesson": os.environ.get("LAB_LESSON", ""),
        "profile": settings.current().profile,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "mlflow": mlflow.__version__,
        "device": settings.device(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    if tags["device"] == "cuda":
        tags["gpu"] = torch.cuda.get_device_name()
    return {name: value for name, value in tags.items() if value}


def _git_commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=settings.current().root,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _number(name: str, value: Any) -> float:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise LabError(
            f"record(name={name!r}): a result's name starts with a letter and holds letters, digits, underscore, dot "
            'and dash, for example "test_accuracy".'
        )
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not math.isfinite(plain):
        raise LabError(
            f"record({name!r}, {value!r}): a result is one finite number, and this is not. Run the cells that "
            "compute it again, from the top of the section, and look at what they give."
        )
    return float(plain)


def _sentence(name: str, value: float, band: tuple[float, float] | None) -> str:
    shown = f"{name} = {_plain(value, '.4g')}"
    if band is None:
        return shown
    low, high = band
    where = "below" if value < low else "above" if value > high else "inside"
    sentence = f"{shown} (expected {_plain(low, 'g')} to {_plain(high, 'g')}: {where})"
    if where == "inside":
        return sentence
    return (
        f"{sentence}. If you changed something on purpose, that may well be the reason. Otherwise restart the kernel "
        "and run all cells in order; a cell left out or run twice is the usual cause."
    )


def _plain(number: float, form: str) -> str:
    """Write large counts in full: 74,498 rather than 7.45e+04."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:{form}}"


def _store(lesson: str, name: str, entry: dict[str, Any]) -> None:
    path = _results(lesson or "scratch")
    entry["time"] = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    with files.lock(path, timeout=files.SECONDS_TO_WAIT):
        files.write(path, json.dumps({**_read(path), name: entry}, indent=1) + "\n")


def _results(lesson: str) -> Path:
    if not isinstance(lesson, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", lesson):
        raise LabError(f'recorded(lesson={lesson!r}): that is no lesson. Use its id, such as "day04".')
    return settings.current().workspace / "results" / f"{lesson}.json"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read a results file; one that cannot be read is set aside."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: {**entry, "value": float(entry["value"])} for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        place = files.set_aside(path)
        print(f"The results in {path} could not be read. They now lie in {place}; run the lesson again.")
        return {}


def _log_metric(name: str, value: float) -> None:
    # Importing MLflow takes a second; a run can only be open if somebody has imported it.
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and mlflow.active_run() is not None:
        mlflow.log_metric(name, value)
