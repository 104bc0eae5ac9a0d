"""A lesson begins: it says where it is, and in Colab brings the learner's files to Google Drive once."""

import pytest

from labhelpers import progress
from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.lesson import session


def test_start_names_lesson_profile_and_seed(capsys):
    session.start("day01")
    printed = capsys.readouterr().out
    assert "Day 1" in printed and "smoke" in printed and "42" in printed
    assert settings.current().workspace.is_dir()
    with pytest.raises(LabError, match="day01"):
        session.start("day1")


def test_a_workspace_that_cannot_be_written_is_named_with_the_way_out(monkeypatch, tmp_path):
    (tmp_path / "full").write_text("a file where the folder should be")
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "full"))
    with pytest.raises(LabError, match=r"full: .*LAB_WORKSPACE"):
        session.start("day01")


def test_in_colab_progress_goes_to_drive_and_takes_along_what_came_before(monkeypatch, tmp_path):
    root, drive = tmp_path / "course", tmp_path / "drive" / "MyDrive"
    old, new = root / "progress", drive / "fine-tuning-course" / "progress"
    monkeypatch.setattr(settings, "__file__", str(root / "labhelpers" / "core" / "settings.py"))
    monkeypatch.setattr("labhelpers.core.timetable.load", lambda: WEEKS)
    monkeypatch.delenv("LAB_PROGRESS")
    assert settings.current().progress == old and session.settle() is None
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    progress.tick("A1")
    assert "drive.mount" in session.settle() and (old / "week1.md").exists()
    drive.mkdir(parents=True)
    assert settings.current().progress == new and not progress.read()["A1"]
    assert "week1.md" in session.settle()
    assert progress.read()["A1"] and not (old / "week1.md").exists()
    progress.tick("A1", done=False)
    assert str(new) in session.settle() and not progress.read()["A1"], "brought along once"
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "mine"))
    assert settings.current().progress == tmp_path / "mine"


WEEKS = {
    "weeks": [
        {
            "id": "week1",
            "title": "One",
            "days": [{"id": "day01", "title": "First", "checklist": [{"id": "A1", "text": "Do A1"}]}],
        }
    ]
}
