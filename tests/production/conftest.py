"""Trials and stages in forks of a process that has the big libraries loaded: as fresh as a new Python, and seconds quicker."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from labhelpers.production import trial

QUICK = (
    "pandas", "numpy", "scipy.stats", "pydantic", "typer", "dvc.cli", "dvc.repo", "mlflow", "alembic.command",
    "mlflow.store.tracking.sqlalchemy_store",
)  # fmt: skip
TRAINING = (
    *QUICK, "sklearn.model_selection", "sklearn.linear_model", "torch", "datasets", "peft", "trl", "rouge_score.rouge_scorer",
    "transformers.trainer", "transformers.models.bert.modeling_bert", "transformers.models.bert.tokenization_bert",
)  # fmt: skip
SERVER = """
import atexit, contextlib, importlib, json, os, runpy, signal, socket, sys, time, traceback

def work(asked, handles):
    os.setsid()
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    os.chdir(asked["folder"])
    os.environ.clear(), os.environ.update(asked["environment"])
    sys.path[0], command = "", asked["command"]
    sys.argv = ["-c"] if command[0] == "-c" else command[1:]
    exec(asked["before"], {})
    ended = 0
    try:
        if command[0] == "-c":
            exec(compile(command[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    except SystemExit as stopped:
        ended = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
        ended = 1
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(ended)

def waited(child, seconds):
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)

def attend(talk):
    size, handles, *_ = socket.recv_fds(talk, 8, 3)
    asked = json.loads(talk.makefile("rb").read(int.from_bytes(size, "big")))
    if not (child := os.fork()):
        talk.close()
        work(asked, handles)
    code = waited(child, asked["seconds"])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started ends with it
    talk.sendall(json.dumps(code).encode())
    os._exit(0)

for name in sys.argv[2:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
with contextlib.suppress(ImportError):  # two seconds of migrations once, and not in every fork
    import mlflow.store.db.utils as tables, shutil, sqlalchemy
    real, empty = tables._initialize_tables, os.path.abspath("empty.db")
    real(sqlalchemy.create_engine(f"sqlite:///{empty}"))
    def copied(engine):
        engine.dispose()
        shutil.copyfile(empty, engine.url.database)
    tables._initialize_tables = copied
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen()
print("ready", flush=True)
while True:
    talk, _ = door.accept()
    if not os.fork():
        door.close()
        attend(talk)
    talk.close()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
"""
ASK = """
import json, os, socket, sys

def ask(door, asked, handles):
    text = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(door)
        socket.send_fds(talk, [len(text).to_bytes(8, "big")], handles)
        talk.sendall(text)
        return json.loads(talk.makefile().read())
"""
PYTHON = """#!{python} -IS
{ask}
asked = {{"folder": os.getcwd(), "command": sys.argv[1:], "environment": dict(os.environ), "before": "", "seconds": 600}}
sys.exit(ask({door!r}, asked, [0, 1, 2]) or 0)
"""
exec(ASK, known := {})


class Loaded:
    """A Python that has imported what it was told to, and forks itself for every command."""

    def __init__(self, modules):
        self.place = tempfile.TemporaryDirectory(prefix="loaded-")
        self.door = str(Path(self.place.name) / "door")
        command = [sys.executable, "-c", SERVER, self.door, *modules]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=self.place.name, env=trial.environment(), text=True
        )
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdout.close()

    def run(self, folder, command, seconds=trial.SECONDS, before="", **environment):
        """As `trial.run`, for a command of this Python; `before` is executed first."""
        asked = {
            "folder": str(folder), "command": command[1:], "environment": trial.environment() | environment,
            "before": before, "seconds": seconds,
        }  # fmt: skip
        with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = known["ask"](self.door, asked, [nothing.fileno(), out.fileno(), err.fileno()])
            said = [(file.seek(0), file.read().decode("utf-8", "replace"))[1] for file in (out, err)]
        if code is None:
            raise trial.Trouble(f"It was stopped after {seconds:.0f} seconds without an end.")
        return subprocess.CompletedProcess(command, code, *said)

    def python(self, folder):
        """A folder with a `python` in it that lets this one do the work."""
        path = folder / "python"
        path.write_text(PYTHON.format(python=sys.executable, ask=ASK, door=self.door), encoding="utf-8")
        path.chmod(0o755)
        return folder

    def close(self):
        self.process.kill()
        self.process.wait(60)
        self.place.cleanup()


def start(modules):
    if sys.platform != "linux":
        pytest.skip("forks of a process with libraries loaded are safe on Linux only")
    loaded = Loaded(modules)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def quick_python():
    yield from start(QUICK)


@pytest.fixture(scope="session")
def training_python():
    yield from start(TRAINING)


def through(loaded, monkeypatch):
    real = trial.run

    def run(folder, command, seconds=trial.SECONDS):
        return (loaded.run if command[0] == sys.executable else real)(folder, command, seconds)

    monkeypatch.setattr(trial, "run", run)


@pytest.fixture
def quick(request, monkeypatch):
    """Let trials run in forks, where that is safe; elsewhere they only take longer."""
    if sys.platform == "linux":
        through(request.getfixturevalue("quick_python"), monkeypatch)


@pytest.fixture
def quick_stages(request, monkeypatch, tmp_path_factory):
    """Let trials, and the `python` that DVC's stages name, run in forks, where that is safe."""
    if sys.platform == "linux":
        loaded, real = request.getfixturevalue("training_python"), trial.environment
        shim = loaded.python(tmp_path_factory.mktemp("bin"))
        monkeypatch.setattr(
            trial, "environment", lambda: real() | {"PATH": f"{shim}{os.pathsep}{real()['PATH']}"}
        )
        through(loaded, monkeypatch)
