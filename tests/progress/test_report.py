"""The week's report shows what was recorded and nothing else, and never loses a word of the learner's."""

import re
import tempfile

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

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
    guesses._save_guess("test", 70)
    page = text()
    assert "| 2 of 6 | 1 | 1 of 1 |" in page
    assert "- done: I can explain it" in page
    assert "| test accuracy | 70 % | 85 % |" in page
    day = report.standings("week1")[0]
    assert (day.tries["day04/lora-config"], day.tries["day04/best-epoch"], day.at_once) == (2, 1, 1)


def test_own_words_stay_while_the_numbers_change(monkeypatch):
    path = report.week("week1")
    before = path.read_text().replace(
        "*Write here: three things", "LoRA is a detour.\n\n*Write here: three things"
    )
    path.write_text("My own beginning.\n" + before + "PS: ask Ada")
    run_day4(monkeypatch)
    after = text()
    assert after.startswith("My own beginning.\n# Week 1 report")
    assert "begin learned -->\nLoRA is a detour.\n\n*Write here" in after and after.endswith("PS: ask Ada")
    assert "| 0.85 |" in after and after.count("## The week") == 1 and "Moved here" not in after
    assert report.unwritten("week1") == [
        "What surprised me",
        "What I would do differently",
        "Questions for Week 2",
    ]


def test_a_line_typed_into_the_generated_part_moves_to_the_notes(monkeypatch, capsys):
    path = report.week("week1")
    path.write_text(path.read_text().replace("## The week", "## The week\n\nmy remark, café"))
    run_day4(monkeypatch)
    notes = text().split("## Your notes")[1]
    assert "\nmy remark, café\n\n<!-- yours: end notes -->" in notes
    assert "1 of your lines stood" in capsys.readouterr().out
    assert text() == text(), "nothing moves twice"


@pytest.mark.parametrize("damaged", ["<!-- generated: end -->", "<!-- generated: begin"])
def test_damaged_marks_cost_nothing(damaged):
    path = report.week("week1")
    path.write_text(path.read_text().replace(damaged, "oops my words"))
    page = text()
    assert "oops my words" in page and page.count("<!-- generated: end -->") >= 1
    again = text()
    assert again == page


def test_an_end_mark_that_wandered_below_the_learners_parts_drags_nothing_along():
    path, mark = report.week("week1"), "<!-- generated: end -->"
    page = path.read_text().replace(mark, "").replace("*Anything else.*", "My words.") + mark
    path.write_text(page)
    assert text().startswith(page), "what stood there stands there still, in the same order"
    assert text().count("## The week") == 2, "a new generated part follows at the end"


def test_a_part_of_which_one_mark_is_left_is_not_added_again():
    path = report.week("week1")
    path.write_text(path.read_text().replace("<!-- yours: end learned -->", ""))
    assert text().count("## What I learned") == 1
    path.write_text(text().replace("<!-- yours: begin learned -->", ""))
    assert text().count("## What I learned") == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_windows_files_stay_windows_files(monkeypatch, encoding, newline):
    path = report.week("week1")
    written = path.read_text().replace("*Anything else.*", "Müde, aber froh").replace("\n", newline)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + written).encode(encoding))
    run_day4(monkeypatch)
    raw = report.week("week1").read_bytes()
    page = raw.decode(encoding).lstrip("\ufeff")
    assert "Müde, aber froh" in page and "| 0.85 |" in page and "Moved here" not in page
    assert page.count("\n") == page.count(newline) and page.count("## The week") == 1
    assert raw[:2] == (mark + written).encode(encoding)[:2]


typed = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["\n", "\r\n", "<!-- generated: end -->", "<!-- yours: end notes -->", "-->", "| a | b |"]
)
edits = st.lists(st.tuples(st.floats(0, 1), typed, st.integers(0, 30)), min_size=1, max_size=6)


@given(
    rounds=st.lists(edits, min_size=1, max_size=3), codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
)
@budget(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_typed_is_ever_lost(monkeypatch, rounds, codec):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("LAB_PROGRESS", folder)
        monkeypatch.setenv("LAB_WORKSPACE", folder)
        path = report.week("week1")
        path.write_bytes(path.read_bytes().decode().encode(codec))
        for number, edit in enumerate(rounds):
            page, pieces = path.read_bytes().decode(codec), []
            for order, (at, words, deleted) in enumerate(edit):
                # A tag at both ends, so that no piece can be found by accident.
                words, at = f"<{number}.{order} {words} {number}:{order}>", round(at * len(page))
                page = page[:at] + words + page[at + deleted :]
                pieces += re.split(r"[\r\n]+|<!--.*?-->", words)
            path.write_bytes(page.encode(codec))
            run_day4(monkeypatch, accuracy=0.8 + number / 100)
            after = report.week("week1").read_bytes().decode(codec)
            assert [piece for piece in pieces if piece in page and piece not in after] == []


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
