"""Lives on a small disk that becomes full at the worst moments; prints what it was told, as JSON.

Started by test_full_disk.py: `python -m tests.faults.full_disk FOLDER`. FOLDER is a disk of a few megabytes, or, where
none can be had, any folder: then no file may grow beyond a few bytes, which every library meets in the same way.
"""

import contextlib
import io
import json
import os
import resource
import sys
import traceback
import zipfile
from pathlib import Path

SMALL_DISK = 200 * 2**20
PLACE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


def fill():
    """Take all space."""
    if os.statvfs(PLACE).f_blocks * os.statvfs(PLACE).f_frsize > SMALL_DISK:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, resource.RLIM_INFINITY))
        return
    with contextlib.suppress(OSError), open(PLACE / "ballast", "ab", buffering=0) as ballast:
        while True:
            ballast.write(bytes(512))


def free():
    """Give the space back."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (PLACE / "ballast").unlink(missing_ok=True)


def told(action):
    """Run something on a full disk; return the message of its LabError, or the whole traceback of anything else."""
    from labhelpers.core.settings import LabError

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            action()
    except LabError as error:
        return str(error)
    except BaseException:
        return traceback.format_exc()
    finally:
        free()
    return said.getvalue()


def on_a_full_disk(action):
    """Fill the disk, then act."""

    def act():
        fill()
        action()

    return told(act)


def checkpoint(report):
    """The disk fills up between two checkpoints; the run goes on when there is room again."""
    from labhelpers import training

    from . import tiny

    report["checkpoint"] = told(lambda: training.train(tiny.trainer([tiny.At(6, fill)]), "tiny"))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        trainer = tiny.trainer()
        training.train(trainer, "tiny")
    report["checkpoint, again"] = said.getvalue()
    report["adapter"] = on_a_full_disk(
        lambda: training.save_once(PLACE / "adapter", trainer.model.save_pretrained)
    )
    training.save_once(PLACE / "adapter", trainer.model.save_pretrained)
    report["adapter, again"] = sorted(path.name for path in (PLACE / "adapter").iterdir())
    report["start of a run"] = on_a_full_disk(lambda: training.train(tiny.trainer(epochs=1), "tiny"))


def progress(report):
    """Ticks, journal, an attempt and an exercise."""
    from labhelpers import progress
    from labhelpers.core import settings
    from labhelpers.lesson import exercise, quiz

    folder = settings.current().progress
    progress.tick("D04-T1")
    progress.write_journal("day04", "Before. " * 20)
    progress.record_attempt("day04/x", True, "Right.")

    def kept():
        return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}

    before = kept()
    report["tick"] = on_a_full_disk(lambda: progress.tick("D04-T2"))
    report["journal"] = on_a_full_disk(lambda: progress.write_journal("day04", "After. " * 200))
    report["attempt"] = on_a_full_disk(lambda: progress.record_attempt("day04/x", False, "No. " * 2000))
    after = kept()
    report["lost"] = [name for name, text in before.items() if not after[name].startswith(text)]
    report["quiz"] = on_a_full_disk(lambda: print(quiz.answer("day04/q1", "a")))
    report["check"] = on_a_full_disk(lambda: exercise.check("day04/lora-forward", 0))
    progress.tick("D04-T2")
    progress.record_attempt("day04/x", True, "Right.")
    report["attempts"] = [attempt.passed for attempt in progress.attempts("day04/x")]


def fetching(report):
    """An asset is unpacked while the disk fills up."""
    from labhelpers.data import assets, fetching

    archive = Path(os.environ["LAB_ARCHIVES"]) / "small-1.whl"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.bin", os.urandom(5000))
        file.writestr("b.bin", os.urandom(5000))

    asset = assets.Asset(
        "small", "test", "Small", "small", "1", archive.name, archive.stat().st_size, fetching.sha256(archive), 20_000, 1,
        [{"from": "*.bin", "to": "."}], "MIT", "nobody",
    )  # fmt: skip
    assets.catalogue = lambda: {"small": asset}
    copy = fetching._copy

    def copy_then_fill(member, file):
        copy(member, file)
        fill()

    fetching._copy = copy_then_fill
    report["unpacking"] = told(lambda: assets.path("small"))
    report["unpacking, state"] = assets.status()[0].state
    fetching._copy = copy
    with contextlib.redirect_stdout(io.StringIO()):
        report["unpacking, again"] = sorted(path.name for path in assets.path("small").iterdir())


def log(text, before):
    """An MLflow run with a curve and a page of notes."""
    import mlflow

    from labhelpers.training import tracking

    with tracking.start_run("sentiment", text):
        before()
        for step in range(300):
            mlflow.log_metric("loss", step, step=step)
        mlflow.log_text("x" * 20_000, "notes.txt")


def tracking(report):
    """MLflow runs, results, a database made."""
    import mlflow

    from labhelpers.training import tracking

    def artefact():
        with tracking.start_run("sentiment", "artefact"):
            fill()
            mlflow.log_text("x" * 20_000, "notes.txt")

    report["database"] = on_a_full_disk(lambda: tracking.setup("sentiment"))
    log("whole", lambda: None)
    report["metrics"] = told(lambda: log("metrics", fill))
    report["artefact"] = told(artefact)
    results(report)
    with contextlib.redirect_stdout(io.StringIO()):
        log("again", lambda: None)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    report["runs"] = {run.info.run_name: run.info.status for run in runs}


def results(report):
    """A recorded result, and one more without room."""
    from labhelpers.training import tracking

    tracking.record("accuracy", 0.5)
    report["result"] = on_a_full_disk(lambda: tracking.record("accuracy", 0.75))
    report["results"] = tracking.recorded("scratch")


def main():
    """Go through all of it."""
    report = {}
    for scene in (progress, fetching, tracking, checkpoint):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                scene(report)
        except BaseException:
            free()
            report[scene.__name__] = traceback.format_exc()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
