"""Every test gets folders of its own; models and data come from the real cache."""

import os
import re

import pytest

os.environ["MPLBACKEND"] = "agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two trainings of two threads each would wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Under `pytest -n 2` all tests of a lesson share one worker, so one run of it; so does everything else."""
    from xdist.scheduler import LoadScopeScheduling

    class ByLesson(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            lesson = re.search(r"test_lessons\.py::\w+\[(\w+)", nodeid)
            return lesson[1] if lesson else "everything else"

    return ByLesson(config, log)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Point the workspace and the progress at temporary folders, so that no test touches the learner's."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("LAB_RUN_LOG", raising=False)
    monkeypatch.delenv("LAB_LESSON", raising=False)
