"""Every test gets folders of its own; models and data come from the real cache."""

import os

import pytest

os.environ["MPLBACKEND"] = "agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two trainings of two threads each would wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_itemcollected(item):
    """Under `pytest -n 2 --dist loadgroup` a lesson's tests share one run of it, and everything else keeps its order."""
    drawn = getattr(item, "callspec", None)
    lesson = drawn.params.get("lesson") if drawn and item.path.name == "test_lessons.py" else None
    item.add_marker(pytest.mark.xdist_group(lesson or "everything else"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Point the workspace and the progress at temporary folders, so that no test touches the learner's."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("LAB_RUN_LOG", raising=False)
    monkeypatch.delenv("LAB_LESSON", raising=False)
