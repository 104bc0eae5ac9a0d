"""Who is champion, since when, and why. A challenger takes the place on evidence, never by hand.

A recipe is trained under several seeds. The first run's adapter becomes a version; all its runs judge.
"""

import io
import json
import time

import mlflow
import numpy as np
import pandas as pd
from filelock import FileLock
from mlflow.entities.model_registry import ModelVersion
from scipy import stats

CHAMPION = "champion"


def scores(run_ids: list[str]) -> pd.DataFrame:
    """The score of each test item (columns) in each run (rows), from the predictions that the runs have kept."""
    rows = {}
    for run_id in run_ids:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/predictions.csv")
        rows[run_id] = pd.read_csv(io.StringIO(text)).set_index("text")["score"]
    return pd.DataFrame(rows).T


# <gap day15>
# def evidence(champion: pd.DataFrame, challenger: pd.DataFrame) -> dict[str, float]:
#     """Challenger minus champion on the same items: mean, and the 95 % interval over seeds and items.
#
#     One row per seed, one column per item. Keys: mean, low, high, items. ValueError where the items
#     differ, and where one of the two has a single seed. Three parts for `_reach`: the items' differences,
#     the champion's seeds, the challenger's seeds.
#     """
#     ...
# <solution>
def evidence(champion: pd.DataFrame, challenger: pd.DataFrame) -> dict[str, float]:
    """Challenger minus champion on the same items: mean, and the 95 % interval over seeds and items."""
    shared = challenger.columns.intersection(champion.columns)
    if len(shared) < len(champion.columns) or len(shared) < len(challenger.columns):
        raise ValueError("The two were not asked the same items. Evaluate both on one test split.")
    if min(len(champion), len(challenger)) < 2:
        raise ValueError("One training cannot say what another seed would give. Train each at least twice.")
    items = challenger[shared].mean() - champion[shared].mean()
    parts = [(items.var() / len(items), len(items) - 1)]
    parts += [(one[shared].mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]
    mean, reach = float(items.mean()), _reach(parts)
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "items": len(items)}


# </solution>


def register(run_ids: list[str], name: str) -> str:
    """Make a version of the first run's adapter, with what it was made from; a run of uncommitted code is refused."""
    client, tags = mlflow.MlflowClient(), {"runs": ",".join(run_ids)}
    for run_id in run_ids:
        found = client.get_run(run_id).data.tags
        if found.get("git_dirty") != "false":
            raise ValueError(
                f"Run {run_id} was trained from code in no commit. Commit, train again, register."
            )
        tags |= {key: found[key] for key in ("git_commit", "dvc_lock", "params")}
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run_ids[0]).info.artifact_uri}/adapter"
    return str(client.create_model_version(name, source, run_ids[0], tags=tags).version)


# <gap day15>
# def promote(name: str, version: str) -> bool:
#     """Make a version champion if it is better than the champion beyond chance; else hold it. The reason is kept.
#
#     The first version is champion at once. A held version gets the tag `held` with the reason. Use `_alone`,
#     `_champion`, `scores`, `evidence` and `_crown`.
#     """
#     ...
# <solution>
def promote(name: str, version: str) -> bool:
    """Make a version champion if it is better than the champion beyond chance; else hold it. The reason is kept."""
    client = mlflow.MlflowClient()
    with _alone(name):
        champion = _champion(name)
        if champion is None:
            return _crown(name, version, "the first")
        if str(champion.version) == str(version):
            return False
        challenger = client.get_model_version(name, version)
        found = evidence(*(scores(one.tags["runs"].split(",")) for one in (champion, challenger)))
        reason = f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f}) against version {champion.version}"
        if found["low"] > 0:
            return _crown(name, version, reason)
        client.set_model_version_tag(name, version, "held", reason)
        return False


# </solution>


def history(name: str) -> pd.DataFrame:
    """Who was champion since when, and why; the newest last."""
    tags = mlflow.MlflowClient().get_registered_model(name).tags
    entries = sorted((key, json.loads(text)) for key, text in tags.items() if key.startswith("history."))
    return pd.DataFrame([entry for _, entry in entries], columns=["version", "since", "why"])


# <gap day15>
# def roll_back(name: str) -> str:
#     """Give the place back to the champion before this one, and say so in the history. ValueError if there is none."""
#     ...
# <solution>
def roll_back(name: str) -> str:
    """Give the place back to the champion before this one, and say so in the history."""
    with _alone(name):
        now = _champion(name)
        earlier = [entry for entry in history(name)["version"] if now and entry != str(now.version)]
        if not earlier:
            raise ValueError(f"{name} has had no other champion. There is nothing to go back to.")
        _crown(name, earlier[-1], f"back from version {now.version}")
        return earlier[-1]


# </solution>


def made_from(name: str, alias: str = CHAMPION) -> dict[str, str]:
    """Which commit, which data and which settings made the model of this name?"""
    tags = mlflow.MlflowClient().get_model_version_by_alias(name, alias).tags
    return {key: tags[key] for key in ("git_commit", "dvc_lock", "params", "runs")}


def _reach(parts: list[tuple[float, int]]) -> float:
    """Half of the 95 % interval of a mean whose variance has these parts, each with its degrees of freedom."""
    variance = sum(part for part, _ in parts)
    # Satterthwaite (1946): few seeds make the sum of the variances less sure.
    freedom = variance**2 / max(sum(part**2 / free for part, free in parts), 1e-30)
    return float(stats.t.ppf(0.975, max(freedom, 1)) * np.sqrt(variance))


def _champion(name: str) -> ModelVersion | None:
    client = mlflow.MlflowClient()
    alias = client.get_registered_model(name).aliases.get(CHAMPION)
    return client.get_model_version(name, alias) if alias else None


def _crown(name: str, version: str, reason: str) -> bool:
    """Write the history first: a kill in between leaves a champion whom the history knows."""
    client = mlflow.MlflowClient()
    entry = {"version": str(version), "since": time.strftime("%Y-%m-%d %H:%M:%S"), "why": reason}
    number = len(history(name))
    client.set_registered_model_tag(name, f"history.{number:04d}", json.dumps(entry))
    client.set_registered_model_alias(name, CHAMPION, version)
    return True


def _alone(name: str) -> FileLock:
    """Only one process in this project moves the alias at a time."""
    return FileLock(f".{name}.lock", timeout=60)
