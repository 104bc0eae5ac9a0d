"""What Day 12 says of DVC still holds: the day DVC mends one of its traps, the test of that trap fails and the lesson changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PREPARE = """\
import os, pathlib, yaml
params = yaml.safe_load(open("params.yaml"))
pathlib.Path("data").mkdir(exist_ok=True)
words = [params["seed"], params["size"], os.environ.get("QUICK", "all")]
pathlib.Path("data/train.txt").write_text(" ".join(map(str, words)))
"""
TRAIN = """\
import pathlib
pathlib.Path("model.txt").write_text(pathlib.Path("data/train.txt").read_text())
"""
BROKEN = "raise SystemExit('out of memory')\n"
PIPELINE = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    params: [size]
    outs: [data/train.txt]
  train:
    cmd: python train.py
    deps: [train.py, data/train.txt]
    outs: [model.txt]
"""


class Project:
    """A git and DVC repository of two plain stages, known to nobody's settings."""

    def __init__(self, folder):
        self.folder = folder / "project"
        self.folder.mkdir()
        (folder / "config").write_text("[core]\nanalytics = false\ncheck_update = false\n")
        self.environment = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(folder), "DVC_SITE_CACHE_DIR": str(folder / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
        }  # fmt: skip
        self.environment.pop("QUICK", None)
        texts = {"prepare.py": PREPARE, "train.py": TRAIN, "dvc.yaml": PIPELINE}
        for name, text in {**texts, "params.yaml": "seed: 1\nsize: 10\n"}.items():
            self.write(name, text)
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")
        self.commit()

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")

    def read(self, name):
        return (self.folder / name).read_text(encoding="utf-8")

    def run(self, *command, fails=False, **variables):
        """Run a command in the project and return what it says."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment | variables, capture_output=True, text=True
        )
        assert bool(done.returncode) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self):
        self.run("git", "add", ".")
        self.run("git", "commit", "-qm", "state")

    def untracked(self):
        """Paths that `git add .` would take."""
        return self.run("git", "ls-files", "--others", "--exclude-standard").split()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_an_undeclared_value_changes_and_nothing_runs(project):
    project.run("dvc", "repro")
    project.write("params.yaml", "seed: 2\nsize: 10\n")
    assert "Stage 'prepare' didn't change, skipping" in project.run("dvc", "repro")
    assert project.read("model.txt").startswith("1 "), "the stale model stays"
    project.write("dvc.yaml", PIPELINE.replace("[size]", "[size, seed]"))
    project.run("dvc", "repro")
    assert project.read("model.txt").startswith("2 "), "declared, it is noticed"


def test_an_environment_variable_is_invisible(project):
    project.run("dvc", "repro", QUICK="50")
    assert "Data and pipelines are up to date." in project.run("dvc", "repro")
    assert project.read("model.txt").endswith(" 50"), "the model of the quick try stays"
    project.run("dvc", "repro", "--force")
    assert project.read("model.txt").endswith(" all")


def test_a_later_failure_unignores_the_output_of_a_stage_that_succeeded(project):
    project.write("train.py", BROKEN)
    assert "failed to reproduce 'train'" in project.run("dvc", "repro", fails=True)
    assert "data/train.txt" in project.untracked()
    project.write("train.py", TRAIN)
    project.run("dvc", "repro")
    assert "data/train.txt" in project.untracked(), "the next success does not mend it"
    project.write(".gitignore", "/data/\n/model.txt\n")
    assert "data/train.txt" not in project.untracked(), "lines of one's own do"


def test_data_that_git_took_stop_the_pipeline(project):
    project.write("train.py", BROKEN)
    project.run("dvc", "repro", fails=True)
    project.commit()
    project.write("params.yaml", "seed: 1\nsize: 11\n")
    assert "already tracked by SCM" in project.run("dvc", "repro", fails=True)


def test_a_failed_training_has_deleted_the_last_good_model(project):
    project.run("dvc", "repro")
    good = project.read("model.txt")
    project.write("train.py", BROKEN)
    project.run("dvc", "repro", fails=True)
    assert not (project.folder / "model.txt").exists()
    project.run("dvc", "checkout")
    assert project.read("model.txt") == good
