"""The learner's own files survive hand edits, crashes and two windows at once."""

import json
import multiprocessing

import pytest

from labhelpers import progress
from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError

TIMETABLE = {
    "weeks": [
        {
            "id": "week1",
            "title": "Foundations",
            "checkpoints": [{"id": "WC-1a", "text": "I can explain it"}],
            "days": [
                {
                    "id": "day01",
                    "title": "Set-up",
                    "milestone": "It works",
                    "milestone_id": "D01-M",
                    "checklist": [{"id": "D01-T1", "text": "Run it"}, {"id": "D01-T2", "text": "Read `it`"}],
                },
                {"id": "day02", "title": "Data", "checklist": [{"id": "D02-T1", "text": "Look"}]},
            ],
        },
        {
            "id": "week2",
            "title": "Methods",
            "days": [{"id": "day06", "title": "LoRA", "checklist": [{"id": "D06-T1", "text": "Choose r"}]}],
        },
    ]
}

HAND_EDITED = (
    "# My week\n\nsome *note* of mine\n- [ ] Run it <!-- id: D01-T1 -->\n\t* [X] Read it twice <!--id:D01-T2-->  \n"
    "- [ ] shopping\n- [?] odd <!-- id: D02-T1 -->\nlast line without an end"
)


@pytest.fixture(autouse=True)
def small_timetable(monkeypatch):
    monkeypatch.setattr(timetable, "load", lambda: TIMETABLE)


@pytest.fixture
def folder():
    path = settings.current().progress
    path.mkdir(parents=True)
    return path


def test_reading_makes_no_file():
    assert progress.read() == dict.fromkeys(["D01-T1", "D01-T2", "D01-M", "D02-T1", "WC-1a", "D06-T1"], False)
    assert not settings.current().progress.exists()


def test_checklist_makes_the_week_and_prints_the_day(capsys):
    progress.tick("D01-T2")
    progress.checklist("day01")
    assert capsys.readouterr().out.splitlines() == [
        "Day 1: 1 of 3 done", "[ ] Run it", "[x] Read `it`", "[ ] Milestone: It works",
    ]  # fmt: skip
    lines = (settings.current().progress / "week1.md").read_text().splitlines()
    assert "## Day 1 · Set-up" in lines
    assert "- [x] Read `it` <!-- id: D01-T2 -->" in lines
    assert "- [ ] I can explain it <!-- id: WC-1a -->" in lines


def test_only_the_weeks_and_their_history_are_seen_in_the_folder():
    progress.tick("D06-T1")
    progress.tick("WC-1a")
    names = sorted(path.name for path in settings.current().progress.glob("[!.]*"))
    assert names == ["history.jsonl", "week1.md", "week2.md"]


def test_ticking_can_be_undone():
    progress.tick("D01-T1")
    assert progress.read()["D01-T1"]
    progress.tick("D01-T1", done=False)
    assert not progress.read()["D01-T1"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_hand_edited_files_keep_every_other_byte(folder, newline, encoding):
    text = (HAND_EDITED + " café").replace("\n", newline)
    (folder / "week1.md").write_bytes(text.encode(encoding))
    assert progress.read()["D01-T2"] and not progress.read()["D01-T1"]
    progress.tick("D01-T1")
    expected = text.replace("- [ ] Run", "- [x] Run").encode(encoding)
    assert (folder / "week1.md").read_bytes() == expected
    progress.tick("D01-T1")
    assert (folder / "week1.md").read_bytes() == expected


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (HAND_EDITED.encode("utf-16"), 1),
        (HAND_EDITED.encode("utf-16-le"), 1),
        (b"- [ ] Run it <!-- id: D01-T1 -->\n\xff caf\xe9\n", 2),
        (b"\x89PNG\r\n\x1a\n\0\0", 1),
        (b"# Week\n" + bytes(100), 2),
    ],
    ids=["UTF-16", "UTF-16 without a mark", "an old encoding", "a picture", "zeros after a power cut"],
)
def test_a_file_that_is_not_utf8_is_named_and_left_alone_and_other_ticks_go_on(folder, capsys, raw, line):
    (folder / "week1.md").write_bytes(raw)
    for attempt in (lambda: progress.tick("D01-T1"), lambda: progress.checklist("day01"), progress.read):
        with pytest.raises(LabError, match=rf"week1\.md is not UTF-8 text \(line {line}\).*UTF-8"):
            attempt()
    progress.tick("D06-T1")
    progress.checklist("day06")
    assert "week1.md is not UTF-8" in capsys.readouterr().out
    assert progress.read(strict=False)["D06-T1"] and (folder / "week1.md").read_bytes() == raw
    with pytest.raises(LabError, match=r"week1\.md"):
        progress.tick_all(["D06-T1", "D02-T1"], done=False)
    assert progress.read(strict=False)["D06-T1"], "all of them, or none"


def test_a_line_without_a_box_is_explained_and_left_alone(folder):
    (folder / "week1.md").write_text(HAND_EDITED)
    with pytest.raises(LabError, match=r"Line 7 of .*week1\.md"):
        progress.tick("D02-T1")
    assert (folder / "week1.md").read_text() == HAND_EDITED


def test_an_item_the_file_lacks_is_added_at_its_end(folder):
    (folder / "week1.md").write_bytes(b"mine\r\n")
    progress.tick("WC-1a")
    assert progress.read()["WC-1a"]
    raw = (folder / "week1.md").read_bytes()
    assert raw.startswith(b"mine\r\n\r\n") and raw.count(b"\n") == raw.count(b"\r\n")


def test_an_id_of_the_learners_own_can_be_ticked(folder):
    (folder / "week1.md").write_text("1. [ ] my own item <!-- id: mine-1 -->\n")
    progress.tick("mine-1")
    assert progress.read()["mine-1"]


def test_an_unknown_id_names_the_close_ones():
    with pytest.raises(LabError, match=r"'d01-t9'.*D01-T[12] or"):
        progress.tick("d01-t9")


def test_a_file_that_cannot_be_written_is_named(folder):
    (folder / "week1.md").mkdir()
    with pytest.raises(LabError, match=r"Could not read .*week1\.md"):
        progress.tick("D01-T1")


def test_attempts_come_back_in_order_and_damaged_lines_stay(folder):
    path = folder / "exercises.jsonl"
    path.write_bytes(b'{"exercise_id": "a/b", "pas')
    assert progress.attempts("a/b") == [] and not progress.passed("a/b")
    progress.record_attempt("a/b", passed=False, feedback="Divide by √n.\nOnce.")
    progress.record_attempt("a/c", passed=True, feedback="")
    progress.record_attempt("a/b", passed=True, feedback="Right.")
    assert [(attempt.passed, attempt.feedback) for attempt in progress.attempts("a/b")] == [
        (False, "Divide by √n.\nOnce."), (True, "Right."),
    ]  # fmt: skip
    assert progress.passed("a/b")
    lines = path.read_bytes().splitlines()
    assert lines[0] == b'{"exercise_id": "a/b", "pas' and len(lines) == 4
    assert json.loads(lines[3])["time"][:2] == "20"


def _attempt_many(name):
    for number in range(20):
        progress.record_attempt(name, passed=True, feedback=str(number))
        progress.tick(name, done=number % 2 == 1)


def test_two_windows_lose_nothing(folder):
    context = multiprocessing.get_context("fork")
    ids = ["D01-T1", "D01-T2"]
    windows = [context.Process(target=_attempt_many, args=(id,)) for id in ids]
    for window in windows:
        window.start()
    for window in windows:
        window.join()
    assert [len(progress.attempts(id)) for id in ids] == [20, 20]
    assert progress.read()["D01-T1"] and progress.read()["D01-T2"]


def test_the_journal_grows_and_never_forgets(folder, capsys):
    (folder / "journal.md").write_bytes("my own start é\r\n".encode("utf-8-sig"))
    progress.write_journal("day01", "A **surprise**.")
    progress.write_journal("day02", "Another.")
    progress.write_journal("day01", "A **surprise**.")
    progress.write_journal("day01", ...)
    raw = (folder / "journal.md").read_bytes()
    assert raw.startswith("my own start é\r\n".encode("utf-8-sig"))
    text = raw.decode("utf-8-sig")
    assert text.count("A **surprise**.") == 1 and text.index("surprise") < text.index("Another.")
    assert "· Day 1, Set-up" in text and text.count("\n") == text.count("\r\n")
    assert "already" in capsys.readouterr().out


def test_the_journal_wants_text():
    with pytest.raises(LabError, match="list"):
        progress.write_journal("day01", ["a"])
    with pytest.raises(LabError, match="day99"):
        progress.write_journal("day99", "a")


def test_a_click_on_a_box_changes_the_file(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda widget, **_: shown.append(widget))
    progress.tick("D01-T2")
    progress.checklist("day01")
    first, second, _, status = shown[0].children
    assert second.description == "Read <code>it</code>", "code in an item is shown as code"
    assert (first.value, second.value) == (False, True)
    first.value = True
    assert progress.read()["D01-T1"] and "week1.md" in status.value
    second.value = False
    assert not progress.read()["D01-T2"]


def test_a_journal_that_is_not_utf8_is_named_and_left_alone(folder):
    raw = "mine é".encode("cp1252")
    (folder / "journal.md").write_bytes(raw)
    with pytest.raises(LabError, match=r"journal\.md is not UTF-8"):
        progress.write_journal("day01", "A surprise.")
    assert (folder / "journal.md").read_bytes() == raw


def test_a_half_character_in_the_journal_entry_costs_no_word(folder):
    progress.write_journal("day01", "split \ud83d\ude00 alone \ud83d end")
    text = (folder / "journal.md").read_text(encoding="utf-8")
    assert "split \U0001f600 alone" in text and " end" in text


def test_a_page_is_written_once_and_never_over(folder):
    assert progress.keep_page("my_page.md", "# Mine é\n")
    (folder / "my_page.md").write_text("changed by hand")
    assert not progress.keep_page("my_page.md", "# Mine é\n")
    assert (folder / "my_page.md").read_text() == "changed by hand"
