"""What a run of the project remembers: which code, which data, and the result of the model that it made."""

import subprocess

import pytest

from labhelpers import production
from labhelpers.production import trial

QUIET = 'import mlflow, pathlib\nfrom src import tracking\nmlflow.set_tracking_uri("sqlite:///probe.db")\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with every gap filled and committed."""
    folder = production.new(tmp_path_factory.mktemp("place") / "mine", at="day16")
    assert not subprocess.run(["git", "-C", folder, "status", "--porcelain"], capture_output=True).stdout
    return folder


def test_dirty_is_what_people_write_not_what_a_pipeline_writes(project):
    code = """
found = []
for name in ("dvc.lock", "metrics.json", "src/new.py", "params.yaml"):
    path = pathlib.Path(name)
    before = path.read_bytes() if path.is_file() else None
    path.write_bytes((before or b"") + b"# more\\n")
    found.append(tracking.lineage()["git_dirty"])
    path.write_bytes(before) if before else path.unlink()
found.append(tracking.lineage()["git_dirty"])
"""
    assert trial.answer(project, QUIET + code) == ["false", "false", "true", "true", "false"]


def test_a_result_goes_to_the_run_that_made_the_model(project):
    code = """
pathlib.Path("dvc.lock").write_text('''schema: '2.0'
stages:
  prepare_data:
    deps: [{path: src/config.py, md5: a}, {path: data/raw/a.csv, md5: b}]
    outs: [{path: data/finetuning, md5: c.dir}]
''')
ids = []
for fingerprint in ("one", "two", "two"):
    with tracking.run("finetune", {}) as run:
        mlflow.set_tag("fingerprint", fingerprint)
    ids.append(run.info.run_id)
with tracking.run_of("two", "evaluate", {}) as known:
    mlflow.log_metric("test_score", 0.5)
with tracking.run_of("three", "evaluate", {}) as new:
    pass
kept = mlflow.get_run(ids[2])
found = {"newest": known.info.run_id == ids[2], "new": new.info.run_id not in ids, "status": kept.info.status,
  "score": kept.data.metrics["test_score"], "name": kept.data.tags["mlflow.runName"],
  "marked": mlflow.get_run(new.info.run_id).data.tags["fingerprint"], "data": tracking.data_of(ids[0])}
pathlib.Path("dvc.lock").unlink()
"""
    assert trial.answer(project, QUIET + code, 200) == {
        "newest": True, "new": True, "status": "FINISHED", "score": 0.5, "name": "finetune", "marked": "three",
        "data": {"data/raw/a.csv": "b", "data/finetuning": "c.dir"},
    }  # fmt: skip
