"""Files of the course that got damaged: noticed, kept aside, made again, and said."""

import os
import signal
import subprocess
import sys

import pytest

from labhelpers import training
from labhelpers.core import settings, timetable
from labhelpers.display import guesses, widgets
from labhelpers.tools import start_page
from labhelpers.training import tracking


@pytest.fixture
def workspace(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = settings.current().workspace
    folder.mkdir(parents=True)
    return folder


def mlflow_runs():
    import mlflow

    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return {run.info.run_name: run.info.status for run in found}


@pytest.mark.parametrize("damage", ["garbage", "cut", "overwritten in the middle", "emptied"])
def test_a_corrupt_mlflow_store_is_kept_and_the_open_notebook_goes_on(workspace, capsys, damage):
    with tracking.start_run("sentiment", "first"):
        pass
    database = workspace / "mlflow.db"
    whole = database.read_bytes()
    broken = {
        "garbage": os.urandom(len(whole)),
        "cut": whole[: len(whole) // 3],
        "overwritten in the middle": whole[:8192] + os.urandom(len(whole) - 8192),
        "emptied": b"",
    }[damage]
    database.write_bytes(broken)
    (workspace / "mlflow.db-journal").write_bytes(b"left by a crash")
    with tracking.start_run("sentiment", "second"):
        tracking.record("accuracy", 0.5)
    said = capsys.readouterr().out
    aside = workspace / "broken-mlflow.db"
    assert aside.read_bytes() == broken and f"It now lies in {aside}, nothing was deleted" in said
    assert not list(workspace.glob("mlflow.db-*")), "sqlite would apply it to the new database"
    assert mlflow_runs() == {"second": "FINISHED"}


def test_a_run_whose_kernel_died_does_not_run_for_ever(workspace, capsys):
    code = (
        "import os, signal\nfrom labhelpers import tracking\n"
        "with tracking.start_run('sentiment', 'dies'):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.current().root, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with tracking.start_run("sentiment", "lives"):
        # Somebody else's run is not closed while it is open.
        other = "from labhelpers import tracking\nwith tracking.start_run('sentiment', 'other'): pass"
        subprocess.run(
            [sys.executable, "-c", other], cwd=settings.current().root, check=True, capture_output=True
        )
        assert mlflow_runs() == {"dies": "KILLED", "lives": "RUNNING", "other": "FINISHED"}
    assert mlflow_runs()["lives"] == "FINISHED"
    assert "'dies' was cut off earlier" in capsys.readouterr().out


def save_model(folder):
    """Save something as a model saves itself."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({"a": torch.ones(3)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_corrupt_adapter_is_kept_aside_with_its_card_and_saved_again(workspace, capsys, name):
    folder = training.save_once(workspace / "adapters" / "mine", save_model)
    (folder / "README.md").write_text("My card.")
    training.save_once(folder, pytest.fail)
    os.truncate(folder / name, 1)
    training.save_once(folder, save_model)
    assert (folder.parent / "broken-mine" / "README.md").read_text() == "My card."
    assert not (folder / "README.md").exists() and (folder / "adapter_config.json").read_text() == "{}"
    assert f"{folder / name} is damaged" in capsys.readouterr().out


def test_saving_that_is_cut_off_leaves_no_half_model(workspace):
    folder = workspace / "adapters" / "mine"

    def stop(part):
        save_model(part)
        (part / "adapter_config.json").unlink()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.save_once(folder, stop)
    assert not folder.exists()
    training.save_once(folder, save_model)
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_an_empty_results_file_costs_that_lessons_results_only(workspace, capsys):
    tracking.record("accuracy", 0.5)
    os.truncate(workspace / "results" / "scratch.json", 0)
    tracking.record("loss", 0.25)
    assert tracking.recorded("scratch") == {"loss": 0.25}
    assert "could not be read" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{}", '{"float32": 0}', "[1]"])
def test_a_damaged_measurement_of_this_machine_does_not_stop_the_start_page(workspace, content):
    (workspace / "machine.json").write_text(content)
    assert "Next" in start_page.page()
    assert timetable.predicted_minutes("day04") > 0


def test_guesses_that_cannot_be_read_are_kept(workspace, capsys):
    guesses.save("one", 1.0)
    (workspace / "guesses.json").write_text('{"one": 1.0, "tw')
    guesses.save("three", 3.0)
    assert widgets.predict("three", "?", 0, 5).value == 3.0
    assert [path.read_text() for path in workspace.glob("guesses.*.json")] == ['{"one": 1.0, "tw']
