"""What a learner gives to an instructor: shown first, written after a yes, and nothing private in it."""

import json
import re

import pytest

from labhelpers import progress
from labhelpers.core import answers
from labhelpers.core.settings import LabError, current
from labhelpers.progress import summary

SECRET = "my-secret-wording"


def some_work():
    """Ticks, attempts, a quiz and a journal, each with words that must stay at home."""
    for id in ("D01-T1", "D01-T2", "D04-T5", "WC-1a"):
        progress.tick(id)
    progress.record_attempt("day04/flips", False, f"You have {SECRET} swapped, it says")
    progress.record_attempt("day04/flips", True, "Right.")
    progress.record_attempt("day03/coin", False, f"Trying your answer out raised ValueError: {SECRET}.")
    progress.record_attempt("day01/scale", False, f"Your answer uses the name `{SECRET}`, but nothing has")
    progress.record_attempt("day02/to-chat", False, f"a reply that nobody foresaw: {SECRET}")
    progress.record_attempt("day01/q1", False, SECRET)
    progress.record_attempt("day01/q1", True, SECRET)
    progress.record_attempt(f"{SECRET}/own", True, SECRET)
    progress.write_journal("day01", SECRET)
    week = current().progress / "week1.md"
    with open(week, "a", encoding="utf-8") as file:
        file.write(f"\n- [x] {SECRET} <!-- id: {SECRET} -->\n")


def export(tmp_path, **options):
    said = []
    path = summary.export(tmp_path / "out.json", say=said.append, **{"yes": True, **options})
    return (json.loads(path.read_text(encoding="utf-8")) if path else None), "\n".join(said)


def test_it_says_what_was_ticked_tried_and_answered(tmp_path):
    some_work()
    written, _ = export(tmp_path)
    assert written["ticked"] == {"day01": ["D01-T1", "D01-T2"], "day04": ["D04-T5"], "week1": ["WC-1a"]}
    flips = written["exercises"]["day04/flips"]
    assert (flips["attempts"], flips["passed_at"], flips["first_failure"]) == (2, 2, "swapped")
    coin = written["exercises"]["day03/coin"]
    assert (coin["attempts"], coin["passed_at"], coin["first_failure"]) == (1, None, summary.ERROR)
    assert written["exercises"]["day01/scale"]["first_failure"] == summary.UNKNOWN_NAME
    assert written["exercises"]["day02/to-chat"]["first_failure"] == summary.OTHER
    assert written["quiz"] == {"day01/q1": {"answers": 2, "right_at": 2}}


def test_nothing_private_leaves(tmp_path):
    some_work()
    progress.write_journal("day02", "more")
    text = json.dumps(export(tmp_path)[0])
    assert SECRET not in text
    assert str(tmp_path) not in text and str(current().root) not in text
    assert re.search(r"\d:\d\d|\dT\d", text) is None, "days, never clock times"
    assert json.loads(text)["learner"]["name"] is None


def test_the_days_are_those_of_attempts_and_of_journal_headings(tmp_path):
    current().progress.mkdir(parents=True)
    (current().progress / "journal.md").write_text(
        "# Journal\n\n## 2026-10-01 · Day 1\n\n2026-10-02 was fine.\n"
    )
    line = {"exercise_id": "day01/scale", "passed": True, "feedback": "", "time": "2026-10-05T23:59:00+02:00"}
    (current().progress / "exercises.jsonl").write_text(json.dumps(line) + "\n")
    assert export(tmp_path)[0]["days"] == ["2026-10-01", "2026-10-05"]


def leaves(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value is None else [value]


def test_the_question_comes_after_all_that_is_in_it(tmp_path):
    some_work()
    said, asked = [], []
    summary.export(
        tmp_path / "out.json", "Ada", say=said.append, read=lambda _: asked.append(len(said)) or "y"
    )
    shown = "\n".join(said[: asked[0]])
    assert "\n".join(summary.preview(json.loads((tmp_path / "out.json").read_text()))) in shown
    assert "no signature" in shown and "your journal" in shown


def test_a_course_that_pip_does_not_know_still_says_its_version(tmp_path, monkeypatch):
    """Colab imports the course from its folder."""
    import importlib.metadata
    import tomllib

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    some_work()
    written, _ = export(tmp_path)
    project = tomllib.loads((current().root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert written["course"]["version"] == project["version"]


def test_the_preview_holds_every_value():
    """Each value is one that occurs nowhere else, so that none can be left out unnoticed."""
    exercise = {"attempts": 71, "passed_at": 53, "first_failure": "swapped", "last": "2026-03-04"}
    document = {
        "format": "the-format", "version": 97, "course": {"version": "7.8.9", "commit": "feedbeef"},
        "learner": {"id": "0123456789ab", "name": "Ada"}, "exported": "2026-05-06", "serial": 37,
        "days": ["2026-01-02", "2026-02-03"], "ticked": {"day01": ["D01-T1", "D01-T9"], "week2": ["WC-2b"]},
        "exercises": {"day04/flips": exercise}, "quiz": {"day03/q4": {"answers": 64, "right_at": 43}},
    }  # fmt: skip
    shown = "\n".join(summary.preview(document))
    assert len(leaves(document)) == 19
    for leaf in leaves(document):
        assert str(leaf) in shown, leaf


def test_the_preview_knows_every_field_of_a_real_summary(tmp_path):
    """A new field of the file must come into the preview too, and then into the test above."""
    some_work()
    written, _ = export(tmp_path)
    assert list(written) == [
        "format", "version", "course", "learner", "exported", "serial", "days", "ticked", "exercises", "quiz",
        "checksum",
    ]  # fmt: skip
    assert set(written["exercises"]["day04/flips"]) == {"attempts", "passed_at", "first_failure", "last"}
    assert set(written["quiz"]["day01/q1"]) == {"answers", "right_at"}


def test_only_a_yes_writes(tmp_path):
    for answer in ("", "n", "later"):
        written, said = export(tmp_path, yes=False, read=lambda _, answer=answer: answer)
        assert written is None and "Nothing was written" in said
    assert not (tmp_path / "out.json").exists() and not current().progress.exists()
    assert export(tmp_path, yes=False, read=lambda _: " Yes ")[0]["serial"] == 1


def test_a_script_without_anybody_to_answer_is_told_about_yes(tmp_path):
    def nobody(_):
        raise EOFError

    with pytest.raises(LabError, match="--yes"):
        export(tmp_path, yes=False, read=nobody)
    assert not (tmp_path / "out.json").exists()


def test_the_next_summary_is_of_the_same_learner_and_newer(tmp_path):
    first, second = export(tmp_path)[0], export(tmp_path)[0]
    assert first["learner"]["id"] == second["learner"]["id"]
    assert (first["serial"], second["serial"]) == (1, 2)
    (current().progress / "learner.json").write_text("{broken")
    assert export(tmp_path)[0]["learner"]["id"] != first["learner"]["id"]


def test_the_checksum_notices_a_change(tmp_path):
    some_work()
    written, _ = export(tmp_path)
    assert summary.checksum(written) == written["checksum"]
    written["exercises"]["day03/coin"]["passed_at"] = 1
    assert summary.checksum(written) != written["checksum"]


def test_a_file_that_is_no_summary_stays(tmp_path):
    (tmp_path / "out.json").write_text('{"my": "own"}')
    with pytest.raises(LabError, match="stays as it is"):
        export(tmp_path)
    assert (tmp_path / "out.json").read_text() == '{"my": "own"}'
    with pytest.raises(LabError, match=r"\.json"):
        summary.export(tmp_path / "out.txt", yes=True)


def test_a_folder_takes_a_file_of_the_usual_name(tmp_path):
    path = summary.export(tmp_path, yes=True, say=str)
    assert path == tmp_path / f"summary-{json.loads(path.read_text())['learner']['id']}.json"


@pytest.mark.parametrize("name", ["x" * 81, "Ada\x1b[2J", "Ada\u202eadA"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path, name):
    with pytest.raises(LabError, match="--name"):
        export(tmp_path, name=name)


def test_names_of_all_languages_come_back(tmp_path):
    for name in ("Łukasz Ćwik", "李小龍", "  Ada   Lovelace "):
        assert export(tmp_path, name=name)[0]["learner"]["name"] == " ".join(name.split())


def test_a_damaged_attempt_or_a_strange_date_stops_nothing(tmp_path):
    current().progress.mkdir(parents=True)
    line = {"exercise_id": "day01/scale", "passed": False, "feedback": None, "time": "yesterday"}
    (current().progress / "exercises.jsonl").write_text("{half\n" + json.dumps(line) + "\n")
    written, _ = export(tmp_path)
    assert written["exercises"]["day01/scale"]["last"] is None and written["days"] == []


def test_every_built_lesson_can_be_in_it(tmp_path):
    for lesson in answers.built():
        progress.record_attempt(answers.exercises(lesson)[0]["id"], True, "Right.")
    assert {id.split("/")[0] for id in export(tmp_path)[0]["exercises"]} == set(answers.built())
