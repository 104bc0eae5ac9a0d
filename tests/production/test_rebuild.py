"""The fresh clone: what is missing is said before anything runs, and what came out is said with both numbers."""

import json
import subprocess

import pytest

from labhelpers.production import checks, rebuild, trial

STAGES = """
stages:
  train:
    cmd: python -m src.models.train
    deps: [src/models, raw.csv]
    outs: [models/adapter]
"""


def git(folder, *command):
    identity = ("-c", "user.name=Me", "-c", "user.email=me@localhost")
    subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path):
    """A project whose .gitignore hides a script that a stage declares."""
    folder = tmp_path / "mine"
    (folder / "src/models").mkdir(parents=True)
    (folder / "src/models/train.py").write_text("print(1)\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    (folder / ".gitignore").write_text("models/\n", encoding="utf-8")
    git(folder, "init", "-q"), git(folder, "add", "--all"), git(folder, "commit", "-qm", "All of it")
    return folder


def test_a_script_that_git_lacks_is_named_before_anything_runs(project, monkeypatch):
    monkeypatch.setattr(rebuild, "_failed", lambda *folders: pytest.fail("it ran"))
    fine, told = rebuild.outcome(project)
    assert not fine and told.startswith("src/models/train.py is here and not in git")
    assert ".gitignore:1:models/" in told and rebuild.problem(project) == told


def test_once_git_has_it_the_pipeline_runs(project, monkeypatch):
    (project / ".gitignore").write_text("/models/\n", encoding="utf-8")
    git(project, "add", "--all"), git(project, "commit", "-qm", "Mended")
    monkeypatch.setattr(rebuild, "_failed", lambda *folders: "it ran")
    assert rebuild.outcome(project) == (False, "it ran")


@pytest.mark.parametrize(
    ("ours", "theirs", "fine", "told"),
    [
        ({"score": 0.5, "score_low": 0.4, "score_high": 0.6}, 0.5, True, "0.5000 here: the same"),
        ({"score": 0.5, "score_low": 0.4, "score_high": 0.6}, 0.55, True, "inside your 0.400 to 0.600"),
        ({"score": 0.5, "score_low": 0.4, "score_high": 0.6}, 0.7, False, "outside of what you claim"),
        ({"loss": 0.5}, 0.5, False, "no metrics.json with a score"),
        (None, 0.5, False, "no metrics.json with a score"),
    ],
)
def test_what_came_out_is_told_with_both_numbers(tmp_path, ours, theirs, fine, told):
    mine, clone = tmp_path / "mine.json", tmp_path / "clone.json"
    clone.write_text(json.dumps({"score": theirs}), encoding="utf-8")
    if ours is not None:
        mine.write_text(json.dumps(ours), encoding="utf-8")
    found, sentence = rebuild._compared(mine, clone)
    assert found == fine and told in sentence


def test_the_check_prints_it_and_fails_with_it(project, monkeypatch, capsys):
    monkeypatch.setattr(checks, "findings", lambda folder, day: [])
    assert not checks.check(project, fresh_clone=True)
    assert "✘ fresh clone: src/models/train.py" in capsys.readouterr().out
    monkeypatch.setattr(rebuild, "outcome", lambda folder: (True, "rebuilt"))
    assert checks.check(project, fresh_clone=True) and "✔ fresh clone: rebuilt" in capsys.readouterr().out


SUM = """
stages:
  add:
    cmd: >-
      python -c "import json; json.dump({'score': sum(map(int, open('raw.txt')))}, open('metrics.json', 'w'))"
    deps: [raw.txt]
    metrics: [metrics.json: {cache: false}]
"""


def test_a_number_that_somebody_typed_is_found_out(tmp_path, quick):
    """Even one that DVC was told to believe, and that lies in the cache from which the clone has its raw data."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(SUM, encoding="utf-8")
    (folder / "raw.txt").write_text("1\n2\n", encoding="utf-8")
    git(folder, "init", "-q")
    for words in (["init"], ["add", "raw.txt"], ["repro"]):
        trial.run(folder, [*rebuild.DVC, *words, "--quiet"])
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == {"score": 3}
    (folder / "metrics.json").write_text('{"score": 9, "score_low": 8, "score_high": 9}', encoding="utf-8")
    trial.run(folder, [*rebuild.DVC, "commit", "--force", "--quiet"])
    git(folder, "add", "--all"), git(folder, "commit", "-qm", "Nine")
    assert "up to date" in trial.run(folder, [*rebuild.DVC, "status"]).stdout
    fine, told = rebuild.outcome(folder)
    assert not fine and "score 3.0000 there, 9.0000 here" in told, told


def test_a_remote_that_only_this_machine_knows_is_no_hindrance(project, quick, tmp_path):
    git(project, "rm", "-q", "--cached", "-r", "."), (project / ".gitignore").unlink()
    trial.run(project, [*rebuild.DVC, "init", "--quiet"])
    trial.run(
        project, [*rebuild.DVC, "remote", "add", "--local", "--default", "mine", str(tmp_path / "shelf")]
    )
    git(project, "add", "--all"), git(project, "commit", "-qm", "All of it")
    fine, told = rebuild.outcome(project)
    assert not fine and "dvc pull" not in told and "dvc repro" in told
