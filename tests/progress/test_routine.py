"""The day's frame: the morning shows yesterday and today's goal, the evening files the entry and shows tomorrow."""

import sys
from datetime import date, timedelta

import pytest

from labhelpers import progress
from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.progress import routine
from labhelpers.progress.plan import planning

TODAY = date.today()
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def said():
    return []


def journal():
    path = settings.current().progress / "journal.md"
    return path.read_text() if path.exists() else ""


def nobody(question):
    raise EOFError


def test_the_first_morning_has_a_goal_and_no_yesterday(said):
    routine.morning(TODAY, said.append)
    text = "\n".join(said)
    assert "Today: Day 1" in text and "150 minutes" in text and "lab mlflow" in text
    assert timetable.lesson("day01")["checklist"][0]["text"][:40] in text
    assert "Last time" not in text
    assert not settings.current().progress.exists()


def test_the_morning_shows_what_was_written_last_and_not_more_than_a_few_lines(said):
    progress.write_journal("day01", "An old thought.")
    progress.write_journal("day02", "\n".join(f"line {number}" for number in range(9)) + "\n## mine\nend")
    routine.morning(TOMORROW, said.append)
    text = "\n".join(said)
    assert "Day 2, Data" in text and "line 0" in text and "line 5" in text
    assert "line 6" not in text and "An old thought" not in text and "progress/journal.md" in text


def test_a_clock_that_jumped_back_still_shows_the_last_entry(said):
    progress.write_journal("day01", "A thought.")
    routine.morning(TODAY - timedelta(days=400), said.append)
    assert "  A thought." in said


def test_a_journal_that_cannot_be_read_does_not_stop_the_day(said):
    (settings.current().progress / "journal.md").mkdir(parents=True)
    routine.morning(TODAY, said.append)
    assert any("journal.md" in line for line in said) and any("Today: Day 1" in line for line in said)


def test_the_evening_files_an_entry_and_keeps_what_was_there(said, capsys):
    progress.write_journal("day01", "This morning.")
    progress.record_attempt("day02/to-chat", passed=True, feedback="")
    progress.record_attempt("day02/q1", passed=True, feedback="")
    routine.wrap_up("Chat templates are strict.", "Who invented [SEP]?", say=said.append)
    text = journal()
    assert text.index("This morning.") < text.index("Chat templates are strict.")
    assert "Day 2, Data" in text, "the lesson of the day's last attempt"
    assert "Open question: Who invented [SEP]?" in text
    assert "Exercises passed: day02/to-chat." in text
    routine.wrap_up("Chat templates are strict.", "Who invented [SEP]?", say=said.append)
    assert journal() == text and "already" in capsys.readouterr().out


def test_the_evening_asks_where_nothing_was_given(said):
    answers = iter(["It worked.", ""])
    routine.wrap_up(say=said.append, read=lambda question: next(answers))
    assert "It worked." in journal() and "Open question" not in journal()


def test_the_evening_does_not_wait_for_somebody_who_is_not_there(said):
    routine.wrap_up(say=said.append, read=nobody)
    assert journal() == ""
    assert any("Nothing filed" in line for line in said) and any("Next time: Day 1" in line for line in said)


def test_the_evening_previews_what_comes(said):
    planning.save(planning.make("quick_start", "relaxed", start=TODAY))
    routine.wrap_up("x", say=said.append)
    text = "\n".join(said)
    assert "Next time: Day 1" in text and "In your plan:" in text and "sitting 1 of 3" in text
    assert timetable.lesson("day01")["sections"][0]["title"] in text
    progress.tick("D01-T1")
    said.clear()
    routine.wrap_up("y", say=said.append)
    assert timetable.lesson("day01")["checklist"][1]["text"][:30] in "\n".join(said)


def test_the_evening_celebrates_once(said):
    progress.tick("D01-M")
    routine.wrap_up("x", say=said.append)
    routine.wrap_up("y", say=said.append)
    assert sum("Milestone reached" in line for line in said) == 1


def test_an_unknown_lesson_is_named_and_nothing_is_written(said):
    with pytest.raises(LabError, match="day99"):
        routine.wrap_up("x", lesson="day99", say=said.append)
    assert journal() == ""


def test_lab_start_opens_the_day_and_then_jupyter(monkeypatch, capsys):
    from typer.testing import CliRunner

    from labhelpers.tools import cli, start_page

    called = []
    monkeypatch.setattr(start_page, "write_notebook", lambda: "lessons/start_here.ipynb")
    monkeypatch.setattr(cli.subprocess, "call", lambda command: called.append(command) or 0)
    result = CliRunner().invoke(cli.app, ["start", "--no-browser"])
    assert result.exit_code == 0
    assert result.output.index("Today: Day 1") < result.output.index("Starting JupyterLab")
    [command] = called
    assert command[:3] == [sys.executable, "-m", "jupyterlab"] and "--no-browser" in command
    assert "--LabApp.default_url=/lab/tree/lessons/start_here.ipynb" in command


def test_lab_next_and_lab_wrap_up_are_commands():
    from typer.testing import CliRunner

    from labhelpers.tools import cli

    assert "Next: Day 1" in CliRunner().invoke(cli.app, ["next"]).output
    result = CliRunner().invoke(cli.app, ["wrap-up", "A line.", "--question", "Why?", "--lesson", "day03"])
    assert result.exit_code == 0 and "Day 3, The baseline" in journal()
    assert CliRunner().invoke(cli.app, ["wrap-up"], input="").exit_code == 0
