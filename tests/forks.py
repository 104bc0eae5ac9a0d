"""Commands of Python in forks of a process that has the big libraries loaded: as fresh as a new one, and seconds quicker."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from labhelpers.production import trial
from tests.lessons.offline.forwarding import ask

OFFLINE = Path(__file__).parent / "lessons" / "offline"  # its sitecustomize is the door's other side
LOADED = (
    "pandas", "numpy", "scipy.stats", "pydantic", "typer", "dvc.cli", "dvc.repo", "mlflow", "alembic.command",
    "mlflow.store.tracking.sqlalchemy_store", "sklearn.model_selection", "sklearn.linear_model", "torch", "datasets",
    "peft", "trl", "rouge_score.rouge_scorer", "transformers.trainer", "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert", "matplotlib.pyplot",
)  # fmt: skip
SERVER = """
import atexit, contextlib, gc, importlib, json, os, runpy, select, signal, socket, sys, tempfile, time, traceback, warnings

def work(asked, handles):
    os.setsid()
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    os.chdir(asked["folder"])
    os.environ.clear(), os.environ.update(asked["environment"])
    tempfile.tempdir = None
    if "ignore" in os.environ.get("PYTHONWARNINGS", ""):
        warnings.simplefilter("ignore")
    # What pytest would rewrite is loaded already, and it says so; a new Python has nothing to say.
    os.environ["PYTEST_ADDOPTS"] = "-W ignore::pytest.PytestAssertRewriteWarning"
    sys.path[0], command = "", asked["command"]
    sys.argv = ["-c"] if command[0] == "-c" else command[command[0] == "-m":]
    exec(asked["before"], {})
    ended = 0
    try:
        if command[0] == "-c":
            exec(compile(command[1], "<string>", "exec"), {"__name__": "__main__"})
        elif command[0] == "-m":
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stopped:
        ended = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        ended = 1
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(ended)

def waited(child, talk, seconds):
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if select.select([talk], [], [], 0.005)[0]:
            if not (told := talk.recv(1)):
                return None  # whoever asked is gone
            os.kill(child, told[0])

def attend(talk):
    size, handles, *_ = socket.recv_fds(talk, 8, 3)
    size, text = int.from_bytes(size, "big"), b""
    while len(text) < size:
        text += talk.recv(size - len(text))
    asked = json.loads(text)
    if not (child := os.fork()):
        talk.close()
        work(asked, handles)
    code = waited(child, talk, asked["seconds"])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started ends with it
    with contextlib.suppress(OSError):
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
gc.freeze()
print("ready", flush=True)
while door in select.select([door, sys.stdin], [], [])[0]:  # whoever started it holds the other end of its input
    talk, _ = door.accept()
    if not os.fork():
        door.close()
        attend(talk)
    talk.close()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
"""


class Loaded:
    """A Python that has imported what it was told to, and forks itself for every command."""

    def __init__(self, modules=LOADED):
        self.place = tempfile.TemporaryDirectory(prefix="loaded-")
        self.door = str(Path(self.place.name) / "door")
        command = [sys.executable, "-c", SERVER, self.door, *modules]
        seen = trial.environment() | {"PYTHONPATH": str(OFFLINE), "HF_HUB_OFFLINE": "1"}
        del seen["PYTHONWARNINGS"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.place.name,
            env=seen,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdout.close()

    def run(self, folder, command, seconds=trial.SECONDS, before="", **environment):
        """As `trial.run`, for a command of this Python; `before` is executed first."""
        asked = {
            "folder": str(folder), "command": command[1:], "environment": trial.environment() | environment,
            "before": before, "seconds": seconds, "signals": False,
        }  # fmt: skip
        with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = ask(self.door, asked, [nothing.fileno(), out.fileno(), err.fileno()])
            said = [(file.seek(0), file.read().decode("utf-8", "replace"))[1] for file in (out, err)]
        if code is None:
            raise trial.Trouble(f"It was stopped after {seconds:.0f} seconds without an end.")
        return subprocess.CompletedProcess(command, code, *said)

    def seen_by(self, process_environment):
        """Environment in which the project's commands, at any depth, are done by forks."""
        return process_environment | {"PYTHONPATH": str(OFFLINE), "COURSE_FORKS": self.door}

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.place.cleanup()
