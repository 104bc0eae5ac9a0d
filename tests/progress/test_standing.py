"""Where the learner stands: next step, streak, plan, milestones, tracker, on the page and in the terminal."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from labhelpers import progress
from labhelpers.core import answers, settings, timetable
from labhelpers.progress import standing, standing_view
from labhelpers.progress.plan import planning
from labhelpers.tools import start_page

SATURDAY = date(2026, 11, 21)
READY = [day["id"] for day in timetable.lessons() if day["status"] == "ready"]


def finish(*lessons):
    progress.tick_all([item["id"] for lesson in lessons for item in timetable.lesson(lesson)["checklist"]])


def attempt_on(day, exercise_id="day01/scale", passed=True):
    path = settings.current().progress / "exercises.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(
            f'{{"exercise_id": "{exercise_id}", "passed": {str(passed).lower()}, "feedback": "", '
            f'"time": "{day}T23:30:00-05:00"}}\n'
        )


def before(count, of=SATURDAY):
    return of - timedelta(days=count)


# ---------------------------------------------------------------- what is next


def test_the_first_day_is_next_and_says_how_long_it_takes():
    step = standing.now(SATURDAY).next
    assert step.lesson["id"] == "day01" and step.ticked == 0
    assert step.minutes == timetable.minutes(timetable.lesson("day01"))
    assert step.machine_minutes == timetable.predicted_minutes("day01")


def test_a_lesson_waits_for_what_it_builds_on():
    finish("day01")
    assert standing.now(SATURDAY).next.lesson["id"] == "day02"
    assert standing.next_lesson({"day01", "day02", "day04"})["id"] == "day03"


def test_what_is_not_written_holds_nobody_up(monkeypatch):
    days = [dict(day, status="planned" if day["id"] == "day03" else "ready") for day in timetable.lessons()]
    monkeypatch.setattr(timetable, "lessons", lambda: days)
    assert standing.next_lesson({"day01", "day02"})["id"] == "day04"


def test_the_learners_plan_decides_the_order_and_its_end_is_not_the_end():
    plan = planning.make("quick_start", "standard", start=SATURDAY)
    entries = sorted(plan.entries, key=lambda entry: entry.lesson_id != "day04")
    own = replace(plan, entries=tuple(entry for entry in entries if entry.lesson_id in ("day02", "day04")))
    assert standing.next_lesson(set(), own)["id"] == "day04"
    assert standing.next_lesson({"day04"}, own)["id"] == "day02"
    assert standing.next_lesson({"day04", "day02"}, own)["id"] == "day01"


def test_a_plan_still_keeps_a_lesson_behind_what_it_builds_on():
    plan = planning.make("quick_start", "standard", start=SATURDAY)
    backwards = replace(plan, entries=tuple(reversed(plan.entries)))
    assert standing.next_lesson({"day01"}, backwards)["id"] == "day02"


def test_when_all_is_done_nothing_is_next():
    finish(*READY)
    now = standing.now(SATURDAY)
    assert now.next is None and len(now.done) == now.written
    assert "every lesson that is written" in start_page.page(now)


# ---------------------------------------------------------------- the streak


def test_a_streak_counts_days_in_a_row_and_today_may_still_come():
    days = {before(1), before(2), before(4)}
    assert standing.length(days, SATURDAY) == 2
    assert standing.length({*days, SATURDAY}, SATURDAY) == 3
    assert standing.length({before(2)}, SATURDAY) == 0
    assert standing.length(set(), SATURDAY) == 0


def test_days_that_the_pace_leaves_free_do_not_break_a_streak():
    weekends = {before(0), before(6), before(7), before(13)}
    assert standing.length(weekends, SATURDAY) == 1
    assert standing.length(weekends, SATURDAY, rest=range(5)) == 4
    assert standing.length(weekends - {SATURDAY}, before(2), rest=range(5)) == 3


def test_attempts_count_on_the_day_they_were_made_wherever_that_was():
    attempt_on(before(1))
    attempt_on(SATURDAY)
    now = standing.now(SATURDAY)
    assert (now.streak, now.active_today, now.days) == (2, True, 2)
    assert "2 days in a row" in start_page.page(now)


def test_a_tick_in_a_lesson_counts_on_its_day():
    progress.tick("D01-T1")
    now = standing.now(date.today())
    assert (now.streak, now.days) == (1, 1)


def test_days_that_an_older_course_noted_still_count_and_are_kept():
    settings.current().progress.mkdir(parents=True)
    seen = settings.current().progress / "seen.json"
    seen.write_text(json.dumps({"celebrated": ["D01-M"], "days": [str(before(1))], "ticked": ["D01-T1"]}))
    assert standing.now(SATURDAY).streak == 1
    progress.tick_all(["D01-M", "D04-M"])
    now = standing.now(SATURDAY)
    assert [milestone.id for milestone in now.milestones if milestone.new] == ["D04-M"]
    standing.remember(now)
    saved = json.loads(seen.read_text())
    assert saved["celebrated"] == ["D01-M", "D04-M"] and saved["days"] == [str(before(1))]


def test_the_journal_counts_too_and_damaged_dates_do_not():
    progress.write_journal("day01", "A thought.")
    journal = settings.current().progress / "journal.md"
    journal.write_text(journal.read_text() + "\n## 2026-13-99 · Day 2\n\nodd\n")
    assert standing.now(date.today()).days == 1


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"days": 3, "ticked": [4], "celebrated": {}}', '{"days": ["x"]}']
)
def test_a_damaged_memory_is_an_empty_one(text):
    settings.current().progress.mkdir(parents=True)
    (settings.current().progress / "seen.json").write_text(text)
    assert standing.celebrated() == set() and standing.learning_days([]) == set()


def test_attempts_with_strange_ids_and_times_are_passed_over():
    settings.current().progress.mkdir(parents=True)
    rows = [
        '{"exercise_id": ["x"], "passed": true, "feedback": "", "time": "2026-11-21"}',
        '{"exercise_id": "day01/scale", "passed": true, "feedback": "", "time": 7}',
    ]
    (settings.current().progress / "exercises.jsonl").write_text("\n".join(rows))
    now = standing.now(SATURDAY)
    assert now.passed == 1 and now.days == 0


# ---------------------------------------------------------------- the plan


def test_behind_and_ahead_of_the_plan_without_reproach():
    planning.save(planning.make("quick_start", "standard", start=before(2)))
    now = standing.now(SATURDAY)
    assert [entry.lesson_id for entry in now.pace.behind] == ["day01", "day02"]
    assert "2 sittings" in start_page.page(now) and "--replan" in start_page.page(now)
    assert now.next.sitting.date == before(2)
    finish("day01", "day02", "day03", "day04")
    now = standing.now(SATURDAY)
    assert now.pace.behind == () and [entry.lesson_id for entry in now.pace.ahead] == ["day04"]
    assert "ahead of your plan" in start_page.page(now)


def test_lessons_that_nobody_has_written_make_nobody_late():
    planning.save(planning.make("deep_dive", "standard", start=before(300)))
    late = {entry.lesson_id for entry in standing.now(SATURDAY).pace.behind}
    assert late and late <= set(READY)


def test_a_clock_before_the_plan_began_is_simply_on_plan():
    planning.save(planning.make("quick_start", "standard", start=SATURDAY))
    assert "On plan" in start_page.page(standing.now(before(4000)))


def test_a_plan_that_cannot_be_read_is_named_and_the_page_still_comes():
    settings.current().progress.mkdir(parents=True)
    (settings.current().progress / "plan.yaml").write_text("entries: [\n")
    now = standing.now(SATURDAY)
    assert now.pace is None and "plan.yaml" in now.complaints[0]
    assert "plan.yaml" in start_page.page(now) and "Begin Day 1" in start_page.page(now)


def test_a_checklist_that_cannot_be_read_is_named_and_the_page_still_comes():
    (settings.current().progress / "week1.md").mkdir(parents=True)
    page = start_page.page(standing.now(SATURDAY))
    assert "week1.md" in page and "Begin Day 1" in page


# ---------------------------------------------------------------- milestones, checkpoints, exercises


def test_a_milestone_is_celebrated_once():
    progress.tick("D01-M")
    now = standing.now(SATURDAY)
    assert [milestone.id for milestone in now.milestones if milestone.new] == ["D01-M"]
    assert "Milestone reached: Your environment works." in start_page.page(now)
    standing.remember(now)
    later = standing.now(SATURDAY)
    assert not any(milestone.new for milestone in later.milestones)
    assert "Milestone reached" not in start_page.page(later)
    assert "| Your environment works | Day 1 | ✔ reached |" in start_page.page(later)


def test_a_week_is_a_milestone_when_all_its_checkpoints_are_ticked():
    for letter in "abc":
        progress.tick(f"WC-1{letter}")
    assert not any(milestone.reached for milestone in standing.now(SATURDAY).milestones)
    progress.tick("WC-1d")
    assert [each.id for each in standing.now(SATURDAY).milestones if each.new] == ["week1"]


def test_every_milestone_has_words_of_its_own():
    now = standing.now(SATURDAY)
    single = [milestone.words for milestone in now.milestones if not milestone.id.startswith("week")]
    assert all(single) and len(set(single)) == len(single) == 7


def test_success_questions_can_be_ticked_and_are_counted():
    progress.tick("SM-1")
    progress.tick("WC-1b")
    week = standing.now(SATURDAY).weeks[0]
    assert [box.id for box in week.checkpoints if box.ticked] == ["WC-1b"]
    assert [(box.id, box.ticked) for box in week.questions] == [("SM-1", True)]
    assert "Can I explain fine-tuning" in (settings.current().progress / "week1.md").read_text()


def test_exercises_are_counted_once_and_quizzes_are_none():
    for _ in range(2):
        progress.record_attempt("day01/scale", passed=True, feedback="")
    progress.record_attempt("day01/q1", passed=True, feedback="")
    progress.record_attempt("day99/gone", passed=True, feedback="")
    now = standing.now(SATURDAY)
    written = [name for name in answers.built() if name in READY]
    assert (now.passed, now.exercises) == (1, sum(len(answers.exercises(name)) for name in written))


# ---------------------------------------------------------------- the tracker


def cells(now):
    return {(row[0].technique, cell.level): cell for row in now.techniques for cell in row}


def test_the_tracker_has_fifteen_cells_three_of_which_do_not_exist():
    found = cells(standing.now(SATURDAY))
    assert len(found) == 15
    assert [key for key, cell in found.items() if cell.state == "does not exist"] == [
        ("QLoRA", "beginner"), ("Prompt tuning", "expert"), ("Adapter layers", "beginner"),
    ]  # fmt: skip
    assert found["QLoRA", "expert"].state == "not written yet"
    assert found["Prompt tuning", "beginner"].state == "open"
    assert "— does not exist" in start_page.page() and "There is no beginner's QLoRA" in start_page.page()


def test_a_cell_follows_its_lesson():
    lora = ("LoRA", "beginner")
    assert cells(standing.now(SATURDAY))[lora].state == "open"
    progress.tick("D04-T1")
    assert cells(standing.now(SATURDAY))[lora].state == "begun"
    finish("day04")
    assert cells(standing.now(SATURDAY))[lora].state == "done"
    assert "✔ done: [Day 4](week1/day04_first_finetuning.ipynb)" in start_page.page()


def test_what_is_done_is_not_called_finished_while_more_is_to_come(monkeypatch):
    ready = [
        dict(day, status="ready" if day["id"] in ("day06", "day16") else "planned")
        for day in timetable.lessons()
    ]
    monkeypatch.setattr(timetable, "lessons", lambda: ready)
    finish("day06")
    assert cells(standing.now(SATURDAY))["Full fine-tuning", "beginner"].state == "done so far"


# ---------------------------------------------------------------- page and terminal


def test_looking_changes_nothing_and_an_untouched_course_looks_the_same_every_day():
    pages = {start_page.page(standing.now(day)) for day in (SATURDAY, before(4000), before(-4000))}
    assert len(pages) == 1
    assert not settings.current().progress.exists()


def test_every_table_of_the_page_names_its_columns():
    lines = start_page.page().splitlines()
    heads = [lines[at - 1] for at, line in enumerate(lines) if line.startswith("|--")]
    assert len(heads) == 5
    assert all(cell.strip() for head in heads for cell in head.strip("|").split("|"))


def test_the_terminal_says_what_the_page_says(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    progress.tick("D04-M")
    now = standing.now(SATURDAY)
    standing_view.show(now)
    standing.remember(now)
    said = capsys.readouterr().out
    for words in (
        "Next: Day 1",
        "Milestone reached: Your first model",
        "0 passed of",
        "WC-1a",
        "SM-1",
        "expert",
    ):
        assert words in said
    standing_view.show_next(standing.now(SATURDAY))
    said = capsys.readouterr().out
    assert "150 minutes" in said and "week1/day01_orientation.ipynb" in said
    assert "Milestone reached" not in said, "celebrated once, wherever"


def test_the_written_page_celebrates_and_holds_the_timer(tmp_path, monkeypatch):
    import nbformat

    own = replace(settings.current(), root=tmp_path)
    for name in ("curriculum", "labhelpers"):
        (tmp_path / name).symlink_to(settings.current().root / name)
    (tmp_path / "lessons").mkdir()
    monkeypatch.setattr(start_page, "current", lambda: own)
    progress.tick("D01-M")
    start_page.write_notebook()
    notebook = nbformat.read(tmp_path / "lessons" / "start_here.ipynb", as_version=4)
    nbformat.validate(notebook)
    page, timer = (cell.outputs[0].data["text/markdown"] for cell in notebook.cells)
    assert "Milestone reached" in page and "25 minutes of work" in timer
    assert all(cell.execution_count for cell in notebook.cells), "nbval refuses outputs of a cell never run"
    assert "D01-M" in standing.celebrated()


def test_a_progress_folder_that_cannot_be_written_costs_no_page(monkeypatch):
    progress.tick("D01-M")
    (settings.current().progress / "seen.json").mkdir()
    now = standing.now(SATURDAY)
    standing.remember(now)
    assert "Begin Day 1" in start_page.page(now)


def test_a_damaged_measurement_of_this_machine_is_no_measurement():
    path = settings.current().workspace / "machine.json"
    path.parent.mkdir(parents=True)
    expected = timetable.predicted_minutes("day01")
    for text in ("{", "[]", "{}", '{"float32": 0}', '{"float32": "fast"}'):
        path.write_text(text)
        assert timetable.predicted_minutes("day01") == expected
