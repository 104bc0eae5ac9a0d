"""A command that a fork does ends, speaks and is stopped as in a new Python, and it is held to this machine all the same."""

import os
import signal
import subprocess
import sys
import time

import pytest

from labhelpers.production import trial
from tests import forks


@pytest.fixture
def seen(loaded_python, tmp_path):
    """What a lesson's processes see; a project's module `src.told` does what its argument says."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "told.py").write_text("import sys\nexec(sys.argv[1])\n", encoding="utf-8")
    return loaded_python.seen_by(trial.environment())


def start(folder, environment, code):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "src.told", code]
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


def gone(pid):
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_what_goes_in_and_what_comes_out(seen, tmp_path):
    code = "print(input(), 'torch' in sys.modules, __name__, sys.argv[1][:5]); print('no', file=sys.stderr); sys.exit(3)"
    process = start(tmp_path, seen, code)
    assert process.communicate("hello\n", timeout=60) == ("hello True __main__ print\n", "no\n")
    assert process.returncode == 3


def test_a_command_that_fails_says_where(seen, tmp_path):
    process = start(tmp_path, seen, "import not_there_at_all")
    assert "No module named 'not_there_at_all'" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_fork_and_its_asker_alike(seen, tmp_path, number):
    process = start(tmp_path, seen, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    pid = int(process.stdout.readline())
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    assert gone(pid)


def test_a_fork_has_no_way_out_of_this_machine(seen, tmp_path):
    log = tmp_path / "log"
    code = "import urllib.request; urllib.request.urlopen('http://example.org')"
    process = start(tmp_path, seen | {"LAB_RUN_LOG": str(log)}, code)
    assert "network is blocked" in process.communicate(timeout=60)[1]
    assert "example.org" in log.read_text(encoding="utf-8")


def test_the_loaded_process_ends_with_whoever_started_it(tmp_path):
    loaded = forks.Loaded(["json"])
    code = f"import sys; sys.path.insert(0, {os.getcwd()!r}); from tests import forks; loaded = forks.Loaded(['json'])"
    last = "print(loaded.process.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {last}"],
        env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert gone(int(done.stdout))
    assert loaded.process.poll() is None
    loaded.close()
    assert loaded.process.returncode == 0
