"""The disk becomes full: what was there stays, the message names the place, and with room again the work goes on."""

import errno
import json
import os
import re
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.training import runs

# A disk of its own, seen by this process and its children alone; it goes when they end.
OWN_DISK = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"', "sh"]  # fmt: skip


def own_disk(folder):
    """The command that puts a small disk at a folder, or nothing where the system does not allow one."""
    command = [*OWN_DISK, str(folder)]
    try:
        return command if subprocess.run([*command, "true"], capture_output=True).returncode == 0 else []
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What a learner is told whose disk becomes full in one place after the other."""
    folder = tmp_path_factory.mktemp("disk")
    places = {"WORKSPACE": "workspace", "PROGRESS": "progress", "CACHE": "cache", "ARCHIVES": "archives"}
    environment = {f"LAB_{name}": str(folder / place) for name, place in places.items()}
    command = [*own_disk(folder), sys.executable, "-m", "tests.faults.full_disk", str(folder)]
    done = subprocess.run(
        command, cwd=settings.current().root, env={**os.environ, **environment, "LAB_HEADLESS": "1", "LAB_LESSON": ""},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SCENES = [
    "checkpoint",
    "adapter",
    "start of a run",
    "tick",
    "journal",
    "attempt",
    "unpacking",
    "database",
    "metrics",
    "artefact",
    "result",
]


@pytest.mark.parametrize("scene", SCENES)
def test_the_message_names_the_place_and_the_next_step(report, scene):
    told = report[scene]
    assert "Traceback" not in told, told
    assert "/disk0/" in told or "/disk0 " in told, told
    assert any(word in told for word in ("Free some space", "has room")), told
    assert "again" in told


def test_training_goes_on_from_the_last_whole_checkpoint(report):
    assert "going on from step 4." in report["checkpoint, again"]
    assert "Trained 16 steps" in report["checkpoint, again"]


def test_an_adapter_is_saved_whole_or_not_at_all(report):
    assert "adapter_config.json" in report["adapter, again"]
    assert "adapter_model.safetensors" in report["adapter, again"]


def test_ticks_journal_and_attempts_stay(report):
    assert report["lost"] == []
    assert report["attempts"][0] is True and report["attempts"][-1] is True


@pytest.mark.parametrize("scene", ["check", "quiz"])
def test_an_exercise_goes_on_although_its_attempt_cannot_be_kept(report, scene):
    assert "Traceback" not in report[scene] and "not kept" in report[scene], report[scene]


def test_half_an_asset_is_never_taken_for_a_whole_one(report):
    assert report["unpacking, state"] == "missing"
    assert report["unpacking, again"] == ["a.bin", "asset.json", "b.bin"]


def test_results_and_runs_stay_and_none_is_left_running(report):
    assert report["results"] == {"accuracy": 0.5}
    assert report["runs"]["whole"] == report["runs"]["again"] == "FINISHED"
    assert set(report["runs"].values()) <= {"FINISHED", "FAILED", "KILLED"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        RuntimeError(
            "[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed writing file data/3"
        ),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["full", "read-only", "torch", "safetensors"],
)
def test_each_library_has_its_own_word_for_a_full_disk(tmp_path, error):
    with (
        pytest.raises(LabError, match=r"write the run to .*Go on\.") as told,
        runs.readable_errors(tmp_path, "write the run to", "Go on."),
    ):
        raise error
    assert str(tmp_path) in str(told.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not fit"),
        FileNotFoundError(errno.ENOENT, "my own file"),
        SafetensorError("No such file or directory (os error 2)"),
    ],
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with (
        pytest.raises(type(error), match=re.escape(str(error.args[-1]))),
        runs.readable_errors(tmp_path, "write the run to", "Go on."),
    ):
        raise error
