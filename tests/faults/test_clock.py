"""The clock jumped back: what the learner did lies in the future now, and still counts."""

import json
import os
import time
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest

from labhelpers import progress
from labhelpers.core import settings
from labhelpers.progress import journal, standing
from labhelpers.tools import start_page
from labhelpers.training import live, tracking

AHEAD = timedelta(days=3)
SECONDS = AHEAD.total_seconds()
TODAY = date.today()


@pytest.fixture
def work_of_the_future():
    """Three days of work, done before the clock jumped back over them."""
    folder = settings.current().progress
    folder.mkdir(parents=True)
    moments = [datetime.now().astimezone() + AHEAD - timedelta(days=back) for back in (2, 1, 0)]
    lines = [
        json.dumps({"exercise_id": "day04/x", "passed": False, "feedback": "", "time": moment.isoformat()})
        + "\n"
        for moment in moments
    ]
    (folder / "exercises.jsonl").write_text("".join(lines))
    (folder / "journal.md").write_text(f"# Journal\n\n## {moments[-1]:%Y-%m-%d} · Day 3\n\nLater.\n")
    (folder / "week1.md").write_text("- [x] done <!-- id: D03-T1 -->\n")
    for path in folder.iterdir():
        os.utime(path, (time.time() + SECONDS,) * 2)
    return moments


def test_attempts_and_entries_keep_the_order_in_which_they_were_made(work_of_the_future):
    progress.record_attempt("day04/x", True, "Right.")
    progress.write_journal("day04", "Earlier, says the clock.")
    progress.tick("D04-T1")
    assert [attempt.passed for attempt in progress.attempts("day04/x")] == [False, False, False, True]
    assert progress.passed("day04/x")
    assert [entry.text for entry in journal.entries()] == ["Later.", "Earlier, says the clock."]
    ticked = progress.read()
    assert ticked["D03-T1"] and ticked["D04-T1"]


def test_days_of_the_future_are_learning_days_too(work_of_the_future):
    days = standing.learning_days(progress.attempts())
    assert {moment.date() for moment in work_of_the_future} <= days
    assert standing.length(days, TODAY + AHEAD) >= 3


def test_the_start_page_is_shown_all_the_same(work_of_the_future):
    progress.tick("D04-T1")
    assert "## Next" in start_page.page(standing.now())


def test_the_newest_checkpoint_is_the_one_with_most_steps(tmp_path):
    from transformers.trainer_utils import rotate_checkpoints

    def save(step):
        """Do as the Trainer does: write, delete the oldest but two by their time of change, tell the callbacks."""
        (tmp_path / f"checkpoint-{step}").mkdir()
        rotate_checkpoints(str(tmp_path), save_total_limit=2, use_mtime=True)
        live.Watch(tmp_path, 0.0).on_save(None, SimpleNamespace(global_step=step), None)

    save(4)
    save(8)
    for path in tmp_path.glob("checkpoint-*"):
        os.utime(path, (path.stat().st_mtime + SECONDS,) * 2)  # to them, the clock jumps back by so much
    save(12)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-12", "checkpoint-8"]


def test_an_mlflow_run_that_ends_before_it_began(monkeypatch):
    import mlflow

    real = time.time
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.setup("sentiment")
    with tracking.start_run("sentiment", "before"):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + SECONDS)
        with tracking.start_run("sentiment", "jumps"):
            mlflow.log_metric("loss", 3.0, step=1)
            patch.setattr(time, "time", real)
            mlflow.log_metric("loss", 2.0, step=2)
            tracking.record("accuracy", 0.5)
    with tracking.start_run("sentiment", "after"):
        tracking.record("accuracy", 0.75)
    found = {
        run.info.run_name: run
        for run in mlflow.search_runs(search_all_experiments=True, output_format="list")
    }
    assert {name: run.info.status for name, run in found.items()} == dict.fromkeys(
        ("before", "jumps", "after"), "FINISHED"
    )
    history = mlflow.MlflowClient().get_metric_history(found["jumps"].info.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(1, 3.0), (2, 2.0)]
    assert tracking.recorded("scratch") == {"accuracy": 0.75}
