"""Every test gets folders of its own; models and data come from the real cache."""

import os

import pytest

os.environ["MPLBACKEND"] = "agg"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Point the workspace and the progress at temporary folders, so that no test touches the learner's."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("LAB_RUN_LOG", raising=False)
    monkeypatch.delenv("LAB_LESSON", raising=False)
