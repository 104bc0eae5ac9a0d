"""Trials and stages in forks of a process that has the big libraries loaded."""

import sys

import pytest

from labhelpers.production import trial


@pytest.fixture
def quick(request, monkeypatch):
    """Let trials run in forks, where that is safe; elsewhere they only take longer."""
    if sys.platform == "linux":
        through(request.getfixturevalue("loaded_python"), monkeypatch)


@pytest.fixture
def quick_stages(request, monkeypatch):
    """Let trials, and the `python` that DVC's stages name, run in forks, where that is safe."""
    if sys.platform == "linux":
        loaded, real = request.getfixturevalue("loaded_python"), trial.environment
        monkeypatch.setattr(trial, "environment", lambda: loaded.seen_by(real()))
        through(loaded, monkeypatch)


def through(loaded, monkeypatch):
    real = trial.run

    def run(folder, command, seconds=trial.SECONDS):
        return (loaded.run if command[0] == sys.executable else real)(folder, command, seconds)

    monkeypatch.setattr(trial, "run", run)
