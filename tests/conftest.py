"""Every test gets folders of its own; what speaks early runs first; nothing stays behind in the temporary folder."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ
# Rooms first, in the order of their arrows, and lessons last: a slip in the package is heard within a minute.
ORDER = (
    "test_house", "core", "display", "data", "models", "training", "production", "progress", "lesson", "tools",
    "guides", "lessons/test_build", "test_offline", "guides/test_commands", "test_security", "colab", "faults", "browser",
    "lessons/test_nbval", "lessons/test_lessons",
)  # fmt: skip

os.environ["MPLBACKEND"] = "agg"
if IN_WORKER:
    # Two trainings of two threads each would wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
else:
    # All temporary files of the session go here, those of its child processes too; at its end only `left_behind` is here.
    # Pytest's own folders stay where one looks for them.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="course-tests-")


def lesson_of(nodeid):
    """The lesson that a test runs, or None."""
    found = re.search(r"test_lessons\.py::\w+\[(\w+)", nodeid)
    return found and found[1]


def scope_of(nodeid):
    """What shares a worker: the tests of a lesson (they share its run), the browser's folder, or a file."""
    file = nodeid.split("::")[0]
    return lesson_of(nodeid) or ("tests/browser" if file.startswith("tests/browser/") else file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Under `pytest -n 2` each worker takes the next scope in the order of the collection below."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def __init__(self, config, log):
            config.option.loadscopereorder = False
            super().__init__(config, log)

        def _split_scope(self, nodeid):
            return scope_of(nodeid)

        def _reschedule(self, node):
            if (
                node in self.registered_collections
            ):  # a worker that stands in for one that died collects first
                super()._reschedule(node)

    return ByScope(config, log)


NOT_MEASURED = 1000  # seconds, for a lesson that nobody has timed: it may be the longest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Sort by ORDER; among the lessons the longest first, so that no worker is left alone with it at the end."""
    measured = yaml.safe_load((ROOT / "curriculum" / "measured.yaml").read_text(encoding="utf-8"))

    def rank(item):
        name = item.nodeid.removeprefix("tests/")
        named = [start for start in ORDER if name.startswith((f"{start}/", f"{start}.py"))]
        place = ORDER.index(max(named, key=len)) if named else 0
        lesson = lesson_of(item.nodeid)
        return place, -measured.get(lesson, {}).get("seconds", NOT_MEASURED), lesson or ""

    items.sort(key=rank)


class Aloud:
    """Says at once, in a line, what failed; pytest itself tells the whole story at the end, an hour later."""

    def __init__(self, reporter):
        self.reporter = reporter

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        if report.failed:
            said = getattr(report.longrepr, "reprcrash", None)
            why = said.message.splitlines()[0] if said and said.message else report.when
            self.reporter.ensure_newline()
            self.reporter.write_line(f"{report.nodeid}: {why}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not IN_WORKER:
        config.pluginmanager.register(Aloud(reporter))


# torch's compiler makes its folder wherever torch is imported; MLflow's lock stays when its process is killed.
NOT_OURS = ("torchinductor_", "db_init_lock-")


def left_behind():
    """Files and folders that the tests should have removed."""
    return sorted(name for name in os.listdir(os.environ["TMPDIR"]) if not name.startswith(NOT_OURS))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Fail a session that leaves something in the temporary folder."""
    if not IN_WORKER and left_behind() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if left := left_behind():
        terminalreporter.write_line(f"Left behind in the temporary folder: {', '.join(left)}", red=True)


def pytest_unconfigure():
    if not IN_WORKER:
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


@pytest.fixture(scope="session")
def loaded_python():
    """A Python with the big libraries loaded that forks itself for each command: seconds quicker than a new one."""
    if sys.platform != "linux":
        pytest.skip("forks of a process with libraries loaded are safe on Linux only")
    from tests import forks

    loaded = forks.Loaded()
    yield loaded
    loaded.close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Point the workspace and the progress at temporary folders, so that no test touches the learner's."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.delenv("LAB_RUN_LOG", raising=False)
    monkeypatch.delenv("LAB_LESSON", raising=False)
    # MLflow notes an address there, which whatever starts next would inherit: gone before a test, and after it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
