"""The week's report shows what was recorded and nothing else, and never loses a word of the learner's."""

import re

import pytest

from labhelpers import progress
from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.display import guesses
from labhelpers.progress import report
from labhelpers.training import tracking

TIMETABLE = {
    "weeks": [
        {
            "id": "week1",
            "title": "Foundations",
            "focus": "How it works",
            "milestone": "You can say by how much",
            "checkpoints": [{"id": "WC-1a", "text": "I can explain it"}],
            "days": [
                {
                    "id": "day04",
                    "title": "First",
                    "status": "ready",
                    "checklist": [{"id": "D04-T1", "text": "Run it"}],
                    "bands": {
                        "test_accuracy": {"cpu": [0.8, 0.9]},
                        "margin_over_baseline": {"cpu": [0, 0.1]},
                        "margin_low": {"cpu": [0, 0.1]},
                    },
                    "guesses": [
                        {"id": "test", "lesson": "day04", "result": "test_accuracy", "scale": 100, "unit": "%",
                         "about": "test accuracy"},
                    ],
                },
                {"id": "day05", "title": "Look", "status": "ready", "checklist": []},
                {"id": "weekend1_saturday", "title": "Sweep", "status": "planned", "checklist": []},
            ],
        },
        {"id": "week2", "title": "Methods", "focus": "More", "milestone": "M", "checkpoints": [], "days": []},
    ]
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_timetable(monkeypatch):
    monkeypatch.setattr(timetable, "load", lambda: TIMETABLE)
    monkeypatch.setenv("LAB_PROFILE", "cpu")


def run_day4(monkeypatch, accuracy=0.85, margin=0.05, low=0.02):
    monkeypatch.setenv("LAB_LESSON", "day04")
    for name, value in {
        "test_accuracy": accuracy,
        "margin_over_baseline": margin,
        "margin_low": low,
        "seconds": 138,
    }.items():
        tracking.record(name, value)


def text():
    return report.week("week1").read_text(encoding="utf-8")


def test_an_empty_machine_is_said_to_be_empty():
    page = text()
    assert page.startswith("# Week 1 report\n")
    assert "| Day 4 | First | not run here yet | 0 of 6 | 0 | 0 of 1 |" in page
    assert "| Weekend 1, Saturday | Sweep | not written yet |" in page
    assert "Not run on this machine yet: Day 4; Day 5." in page
    assert "Not known yet: Day 4 has not tested a model here." in page
    assert "%" not in page and "| inside |" not in page, "no number appears that nothing recorded"


def test_recorded_results_stand_beside_their_bands(monkeypatch):
    run_day4(monkeypatch, accuracy=0.75)
    page = text()
    assert "| Day 4 | test accuracy | 0.75 | 0.8 to 0.9 | below |" in page
    assert "| Day 4 | seconds | 138 | no band |  |" in page
    assert re.search(r"Day 4 \| First \| 2 of 3 as expected \(20\d\d-\d\d-\d\d, cpu\)", page)
    assert "Not run on this machine yet: Day 5." in page


@pytest.mark.parametrize(
    ("low", "said"), [(0.02, "luck is a poor explanation"), (-0.01, "luck could explain it")]
)
def test_the_comparison_is_one_sentence_computed_from_the_records(monkeypatch, low, said):
    run_day4(monkeypatch, low=low)
    assert (
        "right on 85.0% of the test sentences and the best baseline on 80.0%, a difference of +5.0" in text()
    )
    assert said in text()


def test_a_result_is_held_against_the_band_of_the_profile_it_was_made_in(monkeypatch):
    run_day4(monkeypatch)
    monkeypatch.setenv("LAB_PROFILE", "smoke")
    assert "| test accuracy | 0.85 | 0.8 to 0.9 | inside |" in text()


def test_exercises_ticks_and_guesses_are_counted(monkeypatch):
    progress.record_attempt("day04/flips", passed=True, feedback="")
    progress.record_attempt("day04/lora-config", passed=False, feedback="no")
    progress.record_attempt("day04/lora-config", passed=True, feedback="")
    progress.record_attempt("day04/lora-config", passed=True, feedback="")
    progress.record_attempt("day04/best-epoch", passed=False, feedback="no")
    progress.tick("D04-T1")
    progress.tick("WC-1a")
    run_day4(monkeypatch)
    assert "What you guessed" not in text()
    guesses.save("test", 70)
    page = text()
    assert "| 2 of 6 | 1 | 1 of 1 |" in page
    assert "- done: I can explain it" in page
    assert "| test accuracy | 70 % | 85 % |" in page
    day = report.standings("week1")[0]
    assert (day.tries["day04/lora-config"], day.tries["day04/best-epoch"], day.at_once) == (2, 1, 1)


OLD = """\
My own beginning.
# Week 1 report

<!-- generated: begin 0123456789ab -->
Old numbers. A line typed among them.
<!-- generated: end -->

## What I learned

<!-- yours: begin learned -->
LoRA is a detour.
<!-- yours: end learned -->

## What surprised me

<!-- yours: begin surprised -->
*Write here: a number that was not what you expected, and why.*
<!-- yours: end surprised -->

## Your notes

<!-- yours: begin notes -->
Müde, aber froh
<!-- yours: end notes -->
"""


def own(words, page="week1_notes.md"):
    """Answer the first question, as a learner does."""
    file = report.week("week1").with_name(page)
    prompt = report.parts("week1")[0].prompt
    assert prompt in file.read_text()
    file.write_text(file.read_text().replace(prompt, words))
    return file


def kept():
    return sorted(path.name for path in settings.current().progress.glob("*kept*"))


def test_own_words_stand_at_the_end_while_the_numbers_change(monkeypatch):
    notes = own("LoRA is a detour.\n\nPS: ask Ada")
    before = notes.read_bytes()
    run_day4(monkeypatch)
    page = text()
    assert "| 0.85 |" in page and page.count("## The week") == 1
    assert page.index("## The week") < page.index("## What I learned\n\nLoRA is a detour.\n\nPS: ask Ada\n")
    assert notes.read_bytes() == before and report.notes("week1") == notes and kept() == []


def test_what_nobody_has_written_yet_is_listed():
    path = report.week("week1")
    titles = [part.title for part in report.parts("week1")[:4]]
    assert report.unwritten("week1") == titles
    own("Detours.\n\n## A heading of mine")
    assert report.unwritten("week1") == titles[1:]
    report.notes("week1").write_text("My own form altogether.")
    assert report.unwritten("week1") == [] and "My own form" in path.read_text()
    report.notes("week1").unlink()
    assert report.unwritten("week1") == titles, "a form that was thrown away is offered again"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_report_that_the_learner_wrote_into_loses_no_word(capsys, newline):
    """Before the notes had a file of their own, both wrote into the report."""
    path = settings.current().progress / "week1_report.md"
    path.parent.mkdir()
    path.write_bytes(OLD.replace("\n", newline).encode())
    assert report.unwritten("week1") == ["What surprised me"]
    assert (path.parent / "week1_report.kept-1.md").read_bytes() == OLD.replace("\n", newline).encode()
    assert "kept as week1_report.kept-1.md" in capsys.readouterr().out
    notes = report.notes("week1").read_text()
    assert "LoRA is a detour." in notes and "Müde, aber froh" in notes and "Old numbers" not in notes
    assert "LoRA is a detour." in path.read_text() and "Old numbers" not in path.read_text()
    again = path.read_text()
    assert text() == again and len(kept()) == 1 and "kept" not in capsys.readouterr().out


def test_words_typed_into_the_report_are_kept_and_become_the_notes_while_those_are_blank():
    own("first", page="week1_report.md")
    assert "first" in text() and "first" in report.notes("week1").read_text() and len(kept()) == 1
    path = report.week("week1")
    path.write_text(path.read_text().replace("first", "second"))
    before = report.notes("week1").read_bytes()
    report.week("week1")
    assert report.notes("week1").read_bytes() == before, "notes that hold a word are never touched"
    assert "second" in (path.parent / "week1_report.kept-2.md").read_text()


@pytest.mark.parametrize("raw", [b"", "café".encode("latin-1"), OLD.encode("utf-16"), b"\x00\x01"])
def test_a_report_in_another_encoding_is_kept_byte_for_byte(raw):
    path = settings.current().progress / "week1_report.md"
    path.parent.mkdir()
    path.write_bytes(raw)
    assert "## The week" in text()
    assert [(path.parent / name).read_bytes() for name in kept()] == ([raw] if raw else [])


def test_notes_in_another_encoding_are_named_and_not_touched():
    notes = own("Müde")
    notes.write_bytes(notes.read_text().encode("latin-1"))
    before = notes.read_bytes()
    with pytest.raises(LabError, match=r"week1_notes\.md is not UTF-8"):
        report.week("week1")
    assert notes.read_bytes() == before


def test_mistakes_are_explained(capsys):
    with pytest.raises(LabError, match=r"no week 'week9'.*week1, week2"):
        report.week("week9")
    path = report.week("week1")
    path.unlink()
    path.mkdir()
    with pytest.raises(LabError, match=r"Could not read .*week1_report\.md"):
        report.show("week1")


def test_a_damaged_results_file_is_set_aside(capsys):
    path = settings.current().workspace / "results" / "day04.json"
    path.parent.mkdir(parents=True)
    path.write_text("{oops")
    assert "| Day 4 | First | not run here yet" in text()
    assert "could not be read" in capsys.readouterr().out


def test_the_report_is_shown_without_its_marks(capsys):
    report.show("week1")
    shown = capsys.readouterr().out
    assert "## The week" in shown and "<!--" not in shown


def test_every_guess_the_timetable_lists_is_asked_and_answered_by_its_lesson(monkeypatch):
    monkeypatch.undo()
    asked = [guess for day in timetable.lessons() for guess in day.get("guesses", [])]
    assert asked
    for guess in asked:
        lesson = timetable.lesson(guess["lesson"])["lesson"]
        path = settings.current().root / "curriculum" / "manuscripts" / f"{lesson}.py"
        manuscript = path.read_text(encoding="utf-8")
        assert f'"{guess["id"]}"' in manuscript and f'"{guess["result"]}"' in manuscript, guess
