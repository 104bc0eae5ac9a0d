"""Two windows run Day 4 at the same time, in one workspace: they wait for each other, and nothing gets mixed up."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from labhelpers import data, progress, training
from labhelpers.core import settings
from labhelpers.training import runs

from . import learner


def test_two_kernels_run_day04_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HEADLESS", "1")
    lab = settings.current()
    before = learner.begin(lab.progress)
    windows = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.one_kernel", str(tmp_path / window), "day04"],
            cwd=lab.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for window in ("left", "right")
    ]  # fmt: skip
    ended = [window.communicate(timeout=500) for window in windows]
    results = [json.loads(out.splitlines()[-1]) if out else {"ended": errors} for out, errors in ended]
    assert [result["ended"] for result in results] == ["finished", "finished"]
    learner.assert_nothing_lost(before, after := learner.look(lab.progress))

    said = "".join(result["said"] for result in results)
    (run,) = [path for path in (lab.workspace / "runs").iterdir() if path.is_dir()]
    assert (
        (run / runs.FINISHED).exists() and said.count("Trained 4") == 1 and "Found the finished run" in said
    )
    assert not [path for path in lab.workspace.rglob("*") if "broken" in path.name or "damaged" in path.name]
    training.save_once(lab.workspace / "adapters" / run.name, None)
    lines = after.attempts.decode("utf-8").splitlines()
    assert len(progress.attempts()) == len(lines)

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{lab.workspace / 'mlflow.db'}")
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert [run.info.status for run in found] == ["FINISHED", "FINISHED"]


def test_two_windows_make_and_replace_a_data_set_at_once(monkeypatch):
    from datasets import Dataset, DatasetDict

    # Putting a folder in place takes two steps; here, each takes its time.
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda one, other: (time.sleep(0.05), replace(one, other)))
    rows = {"text": [f"sentence {number}" for number in range(50)], "label": [0, 1] * 25}
    splits = DatasetDict({"train": Dataset.from_dict(rows)})
    data.save(splits, "mine")

    def work(_):
        data.save(splits, "mine")
        return data.prepared("mine")["train"]["text"][:]

    with ThreadPoolExecutor(4) as windows:
        assert list(windows.map(work, range(12))) == [rows["text"]] * 12
    folder = settings.current().workspace / "data"
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["mine-smoke"]


# Both windows ask for the experiment before either has made it.
TOGETHER = """
import sys, time, mlflow
from pathlib import Path
from mlflow import MlflowClient
from labhelpers import tracking
find = MlflowClient.get_experiment_by_name
def slowly(self, name):
    found = find(self, name)
    time.sleep(2)
    return found
tracking.setup("warm")
MlflowClient.get_experiment_by_name = slowly
Path(sys.argv[1]).touch()
while not Path(sys.argv[2]).exists():
    time.sleep(0.05)
tracking.setup("new")
"""


def test_two_windows_begin_the_same_experiment_at_once(tmp_path):
    windows = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path / me), str(tmp_path / other)],
            cwd=settings.current().root, stderr=subprocess.PIPE, text=True,
        )
        for me, other in (("left", "right"), ("right", "left"))
    ]  # fmt: skip
    errors = [window.communicate(timeout=120)[1] for window in windows]
    assert [window.returncode for window in windows] == [0, 0], errors
