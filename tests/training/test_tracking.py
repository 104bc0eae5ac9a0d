"""MLflow in the workspace, and results against their bands."""

import contextlib
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import torch

from labhelpers.core import files, settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.training import tracking


@pytest.fixture(autouse=True)
def closed_runs(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    import mlflow

    while mlflow.active_run() is not None:
        mlflow.end_run()


@pytest.fixture
def workspace():
    return settings.current().workspace


@pytest.fixture
def lesson(monkeypatch):
    """A lesson with one band."""
    monkeypatch.setenv("LAB_LESSON", "day04")
    monkeypatch.setattr(
        timetable, "band", lambda day, name: (0.82, 0.88) if name == "test_accuracy" else None
    )


def run_with_everything():
    import matplotlib.pyplot as plt
    import mlflow

    with tracking.start_run("sentiment", "lora-r8") as run:
        mlflow.log_params({"learning_rate": 1e-3, "r": 8})
        for step, loss in enumerate([0.7, 0.5, 0.3]):
            mlflow.log_metric("loss", loss, step=step)
        mlflow.log_text("hello", "notes.txt")
        figure, axes = plt.subplots()
        axes.plot([0, 1])
        mlflow.log_figure(figure, "loss.png")
        plt.close(figure)
    return run


def test_a_run_with_everything_can_be_read_back(workspace, monkeypatch):
    import mlflow

    monkeypatch.setenv("LAB_LESSON", "day04")
    run, client = run_with_everything(), mlflow.MlflowClient()
    stored = client.get_run(run.info.run_id)
    assert stored.info.status == "FINISHED" and stored.info.run_name == "lora-r8"
    assert stored.data.params == {"learning_rate": "0.001", "r": "8"}
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [0.7, 0.5, 0.3]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"notes.txt", "loss.png"}
    assert mlflow.artifacts.load_text(f"{stored.info.artifact_uri}/notes.txt") == "hello"
    tags = stored.data.tags
    assert tags["lesson"] == "day04" and tags["profile"] == "smoke" and tags["torch"] == torch.__version__
    assert {"python", "device", "machine"} <= tags.keys() and not set(tags) & set(stored.data.params)
    assert (workspace / "mlflow.db").is_file()
    assert len(list((workspace / "mlartifacts").rglob("loss.png"))) == 1


def test_first_creation_is_silent_and_leaves_only_its_own_files(workspace):
    done = subprocess.run(
        [sys.executable, "-c", "from labhelpers import tracking; print(tracking.setup('sentiment'))"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=settings.current().root,
    )
    assert done.stdout == f"sqlite:///{workspace}/mlflow.db\n"
    assert done.stderr == ""
    assert [path.name for path in workspace.iterdir() if not path.name.startswith(".")] == ["mlflow.db"]


def test_the_second_workspace_gets_a_copy_that_speaks_of_its_own_files(workspace, monkeypatch, tmp_path):
    import mlflow
    from mlflow.store.db import utils

    tracking.setup("sentiment")
    (empty,) = settings.current().cache.glob("mlflow-*.db")
    monkeypatch.setattr(utils, "_initialize_tables", None)  # building again would be an error
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "second"))
    tracking.setup("spam")
    places = [each.artifact_location for each in mlflow.MlflowClient().search_experiments()]
    assert len(places) == 2 and all(str(tmp_path / "second" / "mlartifacts") in place for place in places)
    assert empty.is_file()


def test_a_damaged_empty_database_is_not_copied(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    import mlflow

    (tmp_path / "cache" / f"mlflow-{mlflow.__version__}.db").write_bytes(b"no database")
    tracking.setup("sentiment")
    assert mlflow.get_experiment_by_name("sentiment")
    assert (tmp_path / "cache" / f"mlflow-{mlflow.__version__}.db").read_bytes().startswith(b"SQLite")


def test_run_left_open_by_an_interrupted_cell_is_closed():
    import mlflow

    tracking.setup("sentiment")
    left_open = mlflow.start_run()
    with tracking.start_run("sentiment", "second") as run:
        assert mlflow.active_run().info.run_id == run.info.run_id
    assert mlflow.active_run() is None
    assert mlflow.get_run(left_open.info.run_id).info.status == "KILLED"


def test_failing_cell_marks_its_run_as_failed():
    import mlflow

    with pytest.raises(ZeroDivisionError), tracking.start_run("sentiment", "breaks") as run:
        1 / 0  # noqa: B018
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_database_deleted_while_the_notebook_runs_is_made_again(workspace):
    tracking.setup("sentiment")
    (workspace / "mlflow.db").unlink()
    with tracking.start_run("sentiment", "after") as run:
        pass
    import mlflow

    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"


def test_two_workspaces_in_one_process_keep_apart(workspace, monkeypatch, tmp_path):
    tracking.setup("sentiment")
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "second"))
    assert tracking.setup("sentiment") == f"sqlite:///{tmp_path}/second/mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_deleted_experiment_comes_back():
    import mlflow

    tracking.setup("sentiment")
    client = mlflow.MlflowClient()
    client.delete_experiment(client.get_experiment_by_name("sentiment").experiment_id)
    tracking.setup("sentiment")
    assert client.get_experiment_by_name("sentiment").lifecycle_stage == "active"


def test_own_address_is_used(monkeypatch, tmp_path, workspace):
    own = f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own)
    assert tracking.setup("sentiment") == own
    assert (tmp_path / "mine.db").exists() and not (workspace / "mlflow.db").exists()


def test_server_that_does_not_answer_is_named_at_once(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9.*no server answers"):
        tracking.setup("sentiment")


def test_address_that_mlflow_refuses_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    with pytest.raises(LabError, match="MLFLOW_TRACKING_URI"):
        tracking.setup("sentiment")


@pytest.mark.parametrize("name", ["", "  ", None])
def test_experiment_needs_a_name(name):
    with pytest.raises(LabError, match="name"):
        tracking.setup(name)


@pytest.mark.parametrize(
    "value,words",
    [
        (0.853, "test_accuracy = 0.853 (expected 0.82 to 0.88: inside)"),
        (0.82, "inside)"),
        (0.61, "(expected 0.82 to 0.88: below). If you changed something"),
        (np.float32(0.95), "above"),
        (torch.tensor(0.85), "inside"),
    ],
)
def test_record_compares_with_the_band(lesson, capsys, value, words):
    tracking.record("test_accuracy", value)
    assert words in capsys.readouterr().out
    assert tracking.recorded("day04")["test_accuracy"] == pytest.approx(float(value))


def test_record_without_a_band_only_tells_the_value(lesson, capsys):
    tracking.record("seconds", 81)
    assert capsys.readouterr().out == "seconds = 81\n"


def test_record_outside_a_lesson_is_kept_too(capsys):
    tracking.record("tried", 1)
    assert tracking.recorded("scratch") == {"tried": 1.0}


def test_record_reaches_the_run_log_the_file_and_mlflow(lesson, monkeypatch, tmp_path, workspace):
    import mlflow

    monkeypatch.setenv("LAB_RUN_LOG", str(tmp_path / "log.jsonl"))
    with tracking.start_run("sentiment", "first") as run:
        tracking.record("test_accuracy", 0.85)
        tracking.record("seconds", 3)
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert events[0] == {
        **{"event": "record", "lesson": "day04", "name": "test_accuracy"},
        **{"value": 0.85, "low": 0.82, "high": 0.88},
    }
    assert mlflow.get_run(run.info.run_id).data.metrics == {"test_accuracy": 0.85, "seconds": 3.0}
    stored = json.loads((workspace / "results" / "day04.json").read_text())
    assert stored["test_accuracy"]["profile"] == "smoke" and stored["test_accuracy"]["low"] == 0.82


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.8", None, True, np.zeros(2), [1]])
def test_record_refuses_what_is_no_number(lesson, value):
    with pytest.raises(LabError, match="one finite number"):
        tracking.record("test_accuracy", value)
    assert tracking.recorded("day04") == {}


@pytest.mark.parametrize("name", ["", "a/b", "accuracy (%)", None, "1st"])
def test_record_refuses_a_name_it_cannot_use(lesson, name):
    with pytest.raises(LabError, match="starts with a letter"):
        tracking.record(name, 0.5)


def test_latest_value_wins_and_nothing_recorded_is_empty(lesson):
    assert tracking.recorded("day04") == {}
    tracking.record("seconds", 1)
    tracking.record("seconds", 2)
    assert tracking.recorded("day04") == {"seconds": 2.0}
    with pytest.raises(LabError, match="no lesson"):
        tracking.recorded("../secrets")


@pytest.mark.parametrize("content", ["{", "[]", '{"seconds": {}}'])
def test_damaged_results_are_set_aside(lesson, workspace, capsys, content):
    path = workspace / "results" / "day04.json"
    files.write(path, content)
    tracking.record("seconds", 1)
    assert tracking.recorded("day04") == {"seconds": 1.0}
    assert next(path.parent.glob("broken-*")).read_text() == content


def test_a_run_id_left_in_the_environment_is_ignored(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    with tracking.start_run("sentiment", "mine") as run:
        pass
    assert run.info.run_id != "0123456789abcdef"
    assert "MLFLOW_RUN_ID=0123456789abcdef was left" in capsys.readouterr().out


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_workspace_that_was_moved_or_copied_keeps_its_artefacts(
    workspace, monkeypatch, tmp_path, capsys, how
):
    import mlflow

    old = run_with_everything()
    how(workspace, new := tmp_path / "other place" / "w")
    monkeypatch.setenv("LAB_WORKSPACE", str(new))
    before = sorted(workspace.rglob("*"))
    with tracking.start_run("sentiment", "second") as second:
        mlflow.log_text("hello", "more.txt")
    assert f"This workspace was at {workspace} before" in capsys.readouterr().out
    client = mlflow.MlflowClient()
    assert {file.path for file in client.list_artifacts(old.info.run_id)} == {"notes.txt", "loss.png"}
    assert len(list((new / "mlartifacts").rglob("more.txt"))) == 1
    assert [file.path for file in client.list_artifacts(second.info.run_id)] == ["more.txt"]
    assert sorted(workspace.rglob("*")) == before, "nothing is written to the old place"
    tracking.setup("sentiment")
    assert capsys.readouterr().out == ""


def test_a_database_of_a_newer_mlflow_is_left_as_it_is(workspace):
    with tracking.start_run("sentiment", "one"):
        pass
    with contextlib.closing(sqlite3.connect(workspace / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff00001111'")
        connection.execute("UPDATE tags SET value = '31.10.2' WHERE key = 'mlflow'")
    before = (workspace / "mlflow.db").read_bytes()
    with pytest.raises(
        LabError, match=r"last used by MLflow 31\.10\.2, and here is MLflow \d.*lab update.*rename"
    ):
        tracking.setup("sentiment")
    assert (workspace / "mlflow.db").read_bytes() == before


def test_a_port_that_somebody_answers_on_is_not_taken():
    with socket.socket() as busy:
        busy.bind(("0.0.0.0", 0))  # as AirPlay does: on every address
        busy.listen()
        port = busy.getsockname()[1]
        assert tracking.free_port(port) not in (port, 0)
    assert tracking.free_port(port) == port


def test_ui_command_serves_the_same_database_to_this_machine_only(workspace):
    command = tracking.ui_command(port=5066)
    assert f"sqlite:///{workspace}/mlflow.db" in command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1" and "5066" in command


def test_warnings_of_other_libraries_stay_as_they_were():
    before = logging.getLogger().level
    tracking.setup("sentiment")
    assert logging.getLogger().level == before and not logging.getLogger("labhelpers").disabled
