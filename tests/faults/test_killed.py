"""The kernel dies in the middle of Day 4: nothing of the learner's is lost, and the lesson goes on."""

import random
import re
import signal
import subprocess
import sys
import time

import pytest

from labhelpers import progress
from labhelpers.core import settings

from . import kernels, learner

DIE = "import os, signal\n\ndef die():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
MOMENTS = {
    "the second checkpoint is half written": """
import torch
from pathlib import Path
save = torch.save
def half(content, path, *rest, **named):
    save(content, path, *rest, **named)
    if "optimizer.pt" in str(path) and len(list(Path(path).parents[1].glob("checkpoint-*"))) == 2:
        os.truncate(path, os.path.getsize(path) // 2)
        die()
torch.save = half
""",
    "the finished run is half written": """
import safetensors.torch
save = safetensors.torch.save_file
def half(tensors, path, *rest, **named):
    save(tensors, path, *rest, **named)
    if "trained.safetensors" in str(path):
        os.truncate(path, os.path.getsize(path) // 2)
        die()
safetensors.torch.save_file = half
""",
}


WRITINGS = {
    "a tick": ("""
import tempfile
make = tempfile.mkstemp
def half(*rest, prefix=None, **named):
    handle, name = make(*rest, prefix=prefix, **named)
    if prefix == ".week1.md.":
        os.write(handle, b"# Found")
        die()
    return handle, name
tempfile.mkstemp = half
""", 'progress.tick("D04-T2")'),
    "a journal entry": ("""
replace = os.replace
def never(source, target):
    if str(target).endswith("journal.md"):
        die()
    replace(source, target)
os.replace = never
""", 'progress.write_journal("day04", "Lost, but nothing else is.")'),
    "an attempt": ("""
import fcntl
sync = os.fsync
def half(handle):
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND:
        os.ftruncate(handle, os.fstat(handle).st_size - 30)
        die()
    sync(handle)
os.fsync = half
""", 'progress.record_attempt("day04/x", True, "Right.")'),
}  # fmt: skip


@pytest.mark.parametrize("writing", WRITINGS)
def test_death_in_the_middle_of_writing(writing):
    plant, act = WRITINGS[writing]
    progress_folder = settings.current().progress
    before = learner.begin(progress_folder)
    code = f"{DIE}{plant}\nfrom labhelpers import progress\n{act}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.current().root, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    learner.assert_nothing_lost(before, between := learner.look(progress_folder))
    progress.tick("D04-T3")
    progress.record_attempt("day04/x", True, "Right.")
    progress.write_journal("day04", "And on.")
    learner.assert_nothing_lost(between, after := learner.look(progress_folder))
    assert learner.ticked(after) == {"D04-T1", "D04-T3"} and b"And on." in after.journal
    assert progress.passed("day04/x")


def die_then_look(moment: str, folder) -> str:
    """Run Day 4 until it dies at the moment; the learner must have lost nothing. Returns what it had printed."""
    files = settings.current().progress
    before = learner.look(files)
    notebook = kernels.day04(kernels.QUICK + DIE + MOMENTS[moment])
    assert kernels.run(notebook, folder) == "killed", moment
    learner.assert_nothing_lost(before, learner.look(files))
    return kernels.printed(notebook)


# A lesson in little: ticks, a training, the journal.
LITTLE = (
    "from labhelpers import progress, training\nfrom tests.faults import tiny",
    'progress.tick("D04-T2")',
    'run = training.train(tiny.trainer(), "tiny")',
    'progress.write_journal("day04", f"Found again: {run.reused}")',
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_kernel_dies_while_it_trains(moment, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HEADLESS", "1")
    monkeypatch.setenv("PYTHONPATH", str(settings.current().root))
    files = settings.current().progress
    before = learner.begin(files)
    assert kernels.run(kernels.notebook_of(DIE + MOMENTS[moment], *LITTLE), tmp_path) == "killed"
    learner.assert_nothing_lost(before, between := learner.look(files))
    assert learner.ticked(between) == {"D04-T1", "D04-T2"}
    again = kernels.notebook_of(*LITTLE)
    assert kernels.run(again, tmp_path) == "finished"
    learner.assert_nothing_lost(between, after := learner.look(files))
    assert "going on from step" in kernels.printed(again) and b"Found again: False" in after.journal


@pytest.mark.heavy  # Day 4 three times; a lesson in little stands for it in every `make test`
def test_the_kernel_dies_at_every_delicate_moment_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HEADLESS", "1")
    files, runs = settings.current().progress, settings.current().workspace / "runs"
    learner.begin(files)
    said = {moment: die_then_look(moment, tmp_path) for moment in MOMENTS}
    assert "going on from step" in said["the finished run is half written"]
    assert len(list(runs.glob("first-lora-*/broken-checkpoint-*"))) == 1

    before, notebook = learner.look(files), kernels.day04(kernels.QUICK)
    assert kernels.run(notebook, tmp_path) == "finished"
    learner.assert_nothing_lost(before, after := learner.look(files))
    assert len(learner.ticked(after)) > 5 and after.journal.count(b"Thought number") > 5
    assert re.search("going on from step|Found the finished run", kernels.printed(notebook)), "began again"
    assert len([path for path in runs.glob("first-lora-*") if path.is_dir()]) == 1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Seconds that Day 4 takes from its first cell to its last."""
    folder = tmp_path_factory.mktemp("undisturbed")
    own = {"LAB_WORKSPACE": str(folder / "workspace"), "LAB_PROGRESS": str(folder / "progress")}
    learner.begin(folder / "progress")
    began = time.monotonic()
    assert kernels.run(kernels.day04(kernels.QUICK), folder, LAB_HEADLESS="1", **own) == "finished"
    return time.monotonic() - began


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(20))
def test_the_kernel_dies_at_a_random_moment(undisturbed, tmp_path, monkeypatch, seed):
    monkeypatch.setenv("LAB_HEADLESS", "1")
    files = settings.current().progress
    before = learner.begin(files)
    kernels.run(kernels.day04(kernels.QUICK), tmp_path, seconds=random.Random(seed).uniform(0, undisturbed))
    learner.assert_nothing_lost(before, between := learner.look(files))
    assert kernels.run(kernels.day04(kernels.QUICK), tmp_path) == "finished"
    learner.assert_nothing_lost(between, after := learner.look(files))
    assert after.journal.count(b"Thought number") > 5
