"""`lab project check --final`: a finished project meets every point, and what is missing is named with its cure."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from labhelpers import production
from labhelpers.core.settings import LabError
from labhelpers.production import rebuild, rubric, trial

METRICS = {
    "score": 0.7417, "score_low": 0.7012, "score_high": 0.7811, "baseline": 0.7, "gain": 0.0417, "gain_low": 0.01,
    "gain_high": 0.08, "examples": 30,
}  # fmt: skip
SENTENCE = "One sentence of mine."


def commit(folder: Path, *tag: str) -> None:
    for command in (
        ["add", "--all"],
        ["commit", "-q", "-m", "Next"],
        *([["tag", "-a", *tag, "-m", "Version"]] if tag else []),
    ):
        done = trial.run(folder, ["git", *command])
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project with real splits, a score written by hand, its pages published, and a version."""
    folder = production.new(tmp_path_factory.mktemp("final") / "project", at="day20")
    production.fill(folder)
    assert trial.run(folder, [sys.executable, "-m", "dvc", "repro", "prepare_data"]).returncode == 0
    (folder / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    place = folder / "docs" / "words.yaml"
    words = dict.fromkeys(yaml.safe_load(place.read_text(encoding="utf-8")), SENTENCE) | {
        "model_licence": "mit"
    }
    place.write_text(yaml.safe_dump(words), encoding="utf-8")
    done = trial.run(folder, [sys.executable, "-m", "src.publish"])
    assert done.returncode == 0, done.stderr
    commit(folder, "v1.0.0")
    return folder


@pytest.fixture
def judged(finished, tmp_path, monkeypatch, capsys):
    """Judge a changed copy; training it again is the lesson's part."""
    monkeypatch.setattr(rebuild, "outcome", lambda _: (True, "rebuilt"))

    def judge(change, *tag, tests=False):
        if not tests:
            monkeypatch.setattr(rubric, "_tests", lambda _: (True, "not run here"))
        copy = tmp_path / "copy"
        shutil.copytree(finished, copy, symlinks=True)
        if change:
            change(copy)
            commit(copy, *tag)
        return production.final(copy), capsys.readouterr().out

    return judge


def test_a_finished_project_meets_every_point(judged):
    good, told = judged(None, tests=True)
    assert good, told
    assert told.splitlines()[-1] == "8 of 8 points" and "0.74 (0.70 to 0.78)" in told
    assert "v1.0.0 is commit" in told and "passed" in told


def edit(name, old, new):
    def change(copy):
        path = copy / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit("README.md", "0.74 (0.70 to 0.78)", "0.81"), "README.md does not show 0.74 (0.70 to 0.78)"),
        (edit("docs/words.yaml", f"not_for: {SENTENCE}", "not_for: …"), "docs/words.yaml: not_for"),
        (edit("docs/words.yaml", f"users: {SENTENCE}\n", ""), "docs/words.yaml: users is missing"),
        (edit("src/files.py", "import os\n", "import csv\nimport os\n"), "`csv` imported but unused"),
        (lambda copy: (copy / "docs" / "report.pdf").unlink(), "docs/report.pdf is in no commit"),
        (lambda copy: (copy / "metrics.json").unlink(), "metrics.json is in no commit"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(change, words, judged):
    good, told = judged(change, "v1.0.1")
    assert not good and words in told, told
    assert "7 of 8" in told


def test_a_commit_without_a_version_is_no_release(judged):
    good, told = judged(edit("README.md", "one step alone", "a single step"))
    assert not good and "git tag -a" in told


def test_a_folder_without_a_project_is_said(tmp_path):
    with pytest.raises(LabError, match="holds no project"):
        production.final(tmp_path)


def test_an_open_change_is_told_first(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rebuild, "outcome", lambda _: (True, "rebuilt"))
    monkeypatch.setattr(rubric, "_tests", lambda _: (True, "not run here"))
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, symlinks=True)
    (copy / "README.md").write_text("Mine.", encoding="utf-8")
    assert not production.final(copy)
    assert "README.md is in no commit" in capsys.readouterr().out
