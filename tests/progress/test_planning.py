"""A plan adds up, keeps its order, fits its days, survives a missed week, and never loses what the learner wrote."""

import contextlib
from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from typer.testing import CliRunner

from labhelpers import progress
from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.progress.plan import page as plan_page
from labhelpers.progress.plan import paths, planning
from labhelpers.tools import cli

MONDAY = date(2026, 11, 23)
LESSONS = [day["id"] for day in timetable.lessons()]
ONE = planning.make("quick_start", start=MONDAY)

options = st.fixed_dictionaries(
    {
        "path": st.sampled_from(paths.names("path")),
        "pace": st.sampled_from(paths.names("pace")),
        "focus": st.sampled_from([None, *paths.names("focus")]),
        "background": st.sampled_from([None, *paths.names("background")]),
        "hours_per_week": st.none() | st.floats(0.5, 80),
        "start": st.dates(date(1999, 12, 1), date(2090, 1, 1)),
        "done": st.sets(st.sampled_from(LESSONS)),
    }
)
many = budget(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def made(chosen):
    """A plan, or None where the hours cannot be planned and the message says what can."""
    try:
        return planning.make(**chosen)
    except LabError as error:
        assert chosen["hours_per_week"] is not None and "--hours-per-week" in str(error)
        assume(False)


def spent(plan, by):
    found = Counter()
    for entry in plan.entries:
        found[by(entry)] += entry.minutes
    return found


def assert_sound(plan, done=()):
    """What holds for every plan that the course makes."""
    ends = {entry.lesson_id: place for place, entry in enumerate(plan.entries)}
    begins = {entry.lesson_id: place for place, entry in reversed(list(enumerate(plan.entries)))}
    minutes = spent(plan, lambda entry: entry.lesson_id)
    assert minutes == {name: timetable.minutes(timetable.lesson(name)) for name in minutes}
    assert plan.total_minutes == paths.minutes(minutes)
    background = paths.get("background", plan.background) if plan.background else {"known": []}
    for name, place in begins.items():
        for needed in timetable.lesson(name)["prerequisites"]:
            assert needed in done or needed in background["known"] or ends[needed] < place, (
                f"{name} before {needed}"
            )
    most = planning.limits(paths.get("pace", plan.pace), planning.hours(plan))
    assert all(total <= most[day.weekday()] for day, total in spent(plan, lambda entry: entry.date).items())
    dates = [entry.date for entry in plan.entries]
    assert dates == sorted(dates) and all(entry.minutes > 0 for entry in plan.entries)
    for name in minutes:
        parts = [entry.part for entry in plan.entries if entry.lesson_id == name]
        assert parts == list(range(1, len(parts) + 1))
        assert {entry.parts for entry in plan.entries if entry.lesson_id == name} == {len(parts)}


@many
@given(chosen=options)
def test_every_plan_adds_up_keeps_order_and_fits_its_days(chosen):
    plan = made(chosen)
    assert_sound(plan, chosen["done"])
    expected = set(planning.selection(plan).lessons) - chosen["done"]
    assert {entry.lesson_id for entry in plan.entries} == expected
    assert all(entry.date >= chosen["start"] for entry in plan.entries)
    if planning.hours(plan) is not None:
        weeks = spent(plan, lambda entry: entry.date.isocalendar()[:2])
        assert all(minutes <= planning.hours(plan) * 60 for minutes in weeks.values())


@many
@given(chosen=options, missed=st.integers(0, 120), finished=st.integers(0, 28))
def test_after_a_missed_week_what_is_left_moves_and_what_is_done_stays(chosen, missed, finished):
    plan = made(chosen)
    today = plan.start + timedelta(days=missed)
    done = {*chosen["done"], *list(dict.fromkeys(entry.lesson_id for entry in plan.entries))[:finished]}
    moved = planning.replan(plan, today, done)
    assert_sound(moved, done)
    assert all(entry.date >= today for entry in planning.left(moved, done))
    assert {e.lesson_id for e in planning.left(moved, done)} == {
        e.lesson_id for e in planning.left(plan, done)
    }
    past = [entry for entry in plan.entries if entry.lesson_id in done]
    late = {entry.lesson_id for entry in past if entry.date > today}
    assert [e for e in moved.entries if e.lesson_id in done] == [e for e in past if e.lesson_id not in late]
    assert planning.complaints(moved, done) == []
    assert planning.replan(moved, today, done) == moved, "re-planning twice on a day changes nothing"


@many
@given(chosen=options)
def test_a_saved_plan_comes_back_as_it_was(chosen):
    plan = made(chosen)
    planning.location().unlink(missing_ok=True)
    assert planning.save(plan) == []
    again = planning.current()
    assert again.entries == plan.entries and again.revision == 1
    kept = ("path", "pace", "focus", "background", "hours_per_week", "start", "total_minutes")
    assert all(getattr(again, name) == getattr(plan, name) for name in kept)


@pytest.mark.parametrize("limit", [25, 30, 45, 60, 90, 120])
def test_short_sittings_split_a_lesson_and_leave_no_scrap(limit):
    entries = planning.pack([("a", [20, 15, 30, 35, 20, 20, 10])], [limit] * 7, MONDAY)
    assert sum(entry.minutes for entry in entries) == 150 and len(entries) > 1
    assert all(entry.minutes <= limit for entry in entries)
    assert all(entry.minutes >= 25 for entry in entries) or limit < 50


def test_a_sitting_ends_with_a_section_where_that_wastes_little():
    entries = planning.pack([("a", [30, 25, 40, 30])], [60] * 7, MONDAY)
    assert [entry.minutes for entry in entries] == [55, 40, 30]
    entries = planning.pack([("a", [10, 90])], [60] * 7, MONDAY)
    assert [entry.minutes for entry in entries] == [60, 40], "ten minutes would waste the hour"


def test_the_standard_pace_gives_each_lesson_its_day_and_others_fill_the_day():
    assert [entry.date for entry in ONE.entries] == [
        MONDAY + timedelta(days=n) for n in range(len(ONE.entries))
    ]
    fast = planning.make("quick_start", "accelerated", start=MONDAY)
    assert sum(1 for entry in fast.entries if entry.date == MONDAY) == 2


def test_the_whole_course_at_the_standard_pace_is_four_weeks_with_the_weekends_on_weekends():
    plan = planning.make("production_ready", start=MONDAY)
    assert (plan.entries[-1].date - MONDAY).days == 27
    assert {e.date.weekday() for e in plan.entries if e.lesson_id.endswith("saturday")} == {5}


def test_weekends_only_means_weekends_only():
    plan = planning.make("deep_dive", "weekend", start=MONDAY)
    assert {entry.date.weekday() for entry in plan.entries} == {5, 6}
    assert plan.entries[0].date == date(2026, 11, 28)


def test_new_to_both_gets_six_to_eight_weeks_at_the_standard_pace_unless_hours_are_stated():
    plan = planning.make("production_ready", background="new_to_both", start=MONDAY)
    assert 6 < ((plan.entries[-1].date - MONDAY).days + 1) / 7 <= 8
    assert planning.hours(planning.make("deep", background="new", hours_per_week=20, start=MONDAY)) == 20


def test_a_plan_with_nothing_left_says_so():
    plan = planning.make("quick_start", start=MONDAY, done=LESSONS)
    assert plan.total_minutes == 0 and "Nothing is left" in plan_page.summary(plan)[0]
    assert "Nothing is left" in plan_page.page(plan)


@pytest.mark.parametrize("hours", [0, -3, float("nan"), float("inf"), "ten"])
def test_hours_that_are_no_hours_are_refused(hours):
    with pytest.raises(LabError, match="Give a number of hours"):
        planning.make("quick_start", hours_per_week=hours)


def test_too_few_and_too_many_hours_say_what_would_work():
    with pytest.raises(
        LabError, match=r"--hours-per-week 3 or more, or sit down less often with --pace weekend"
    ):
        planning.make("quick_start", hours_per_week=2)
    assert planning.make("quick_start", hours_per_week=3, start=MONDAY).entries
    assert planning.make("quick_start", "weekend", hours_per_week=2, start=MONDAY).entries
    with pytest.raises(LabError, match="More than 12 is not planned"):
        planning.make("quick_start", "weekend", hours_per_week=30)


def test_a_plan_does_not_run_over_the_end_of_the_calendar():
    with pytest.raises(LabError, match="earlier --start"):
        planning.make("deep_dive", start=date(9999, 12, 30))


def test_a_lesson_is_done_when_its_whole_checklist_is():
    items = [item["id"] for item in timetable.lesson("day02")["checklist"]]
    for item in items[:-1]:
        progress.tick(item)
    assert planning.done_lessons() == set()
    progress.tick(items[-1])
    assert planning.done_lessons() == {"day02"}


def saved(plan=ONE):
    """Save a plan and return its file."""
    planning.save(plan)
    return planning.location()


def edit(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file.read_bytes()


def kept_copies():
    return sorted(planning.location().parent.glob("plan.kept-*"))


def test_an_untouched_plan_is_replaced_without_ado():
    saved()
    assert planning.save(planning.replan(planning.current(), MONDAY + timedelta(days=7), set())) == []
    assert kept_copies() == [] and planning.current().revision == 2


def test_a_date_moved_by_hand_counts_and_its_file_is_kept_when_the_plan_is_made_anew():
    file = saved()
    before = edit(file, "{lesson: day01, date: 2026-11-23", "{lesson: day01, date: 2026-11-22")
    assert planning.current().entries[0].date == date(2026, 11, 22)
    said = planning.save(planning.make("deep_dive", start=MONDAY))
    assert "changes of yours" in said[0] and "plan.kept-1.yaml" in said[0]
    assert [copy.read_bytes() for copy in kept_copies()] == [before]


def test_an_entry_of_the_learners_own_survives_a_re_plan_and_unknown_keys_are_passed_over():
    file = saved()
    edit(file, "pace: standard", "pace: standard\nbuddy: Anna\nretired: []")
    edit(file, "part: 1, parts: 1}", "part: 1, parts: 1, note: library}")
    own = "- {lesson: my own reading, date: 2026-12-02, minutes: 60}\n"
    before = edit(file, "# sealed", own + "# sealed")
    assert (
        "plan.kept-1.yaml" in planning.save(planning.replan(planning.current(), date(2026, 12, 1), set()))[0]
    )
    assert [copy.read_bytes() for copy in kept_copies()] == [before]
    plan = planning.current()
    assert [entry.date for entry in plan.entries if entry.lesson_id == "my own reading"] == [
        date(2026, 12, 2)
    ]
    assert spent(plan, lambda entry: entry.date)[date(2026, 12, 2)] <= 210, (
        "her hour of reading is taken into account"
    )


BEFORE_THE_ROOMS = """\
# Your study plan, yours to change: move a date, add keys, add entries of your own.
# `lab plan` shows it, `lab plan --replan` moves what is left, `lab plan --ics FILE` puts it into your calendar.
path: quick_start
pace: standard
focus: null
background: null
hours_per_week: null
start: 2026-11-23
calendar: 0123456789abcdef0123456789abcdef
revision: 3
buddy: Anna
entries:
- {lesson: day01, date: 2026-11-23, minutes: 150, part: 1, parts: 1, note: library}
- {lesson: day02, date: 2026-11-24, minutes: 170, part: 1, parts: 1}
retired:
- {lesson: day09, date: 2026-12-24, minutes: 60, part: 1, parts: 1}
"""


def test_a_plan_of_an_older_course_is_read_and_its_calendar_goes_on():
    file = planning.location()
    file.parent.mkdir(parents=True)
    file.write_text(BEFORE_THE_ROOMS + "# sealed 918581123b82073b\n")
    assert [entry.lesson_id for entry in planning.current().entries] == ["day01", "day02"]
    assert planning.save(planning.replan(planning.current(), MONDAY, set())) == [], (
        "nobody changed it by hand"
    )
    assert (planning.current().calendar, planning.current().revision) == ("0123456789abcdef" * 2, 4)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("date: 2026-11-23, minutes", "date: soon, minutes", "entry 1, day01: 'soon' is not a date"),
        ("minutes: 150", "minutes: many", "entry 1, day01: 'many' should be a whole number"),
        ("minutes: 150", "minutes: -150", "whole number"),
        ("- {lesson: day02", "- {lesen: day02", "entry 2: an entry needs at least"),
        ("- {lesson: day02", "<<<<<<< HEAD\n- {lesson: day02", "line 14"),
        ("entries:", "entries: {", "line 12"),
        ("entries:", "sittings:", "no list of `entries`"),
        ("start: 2026-11-23", "start: 1", "start: 1 is not a date"),
        ("path: quick_start", "path: long_way", "long_way"),
        ("hours_per_week: null", "hours_per_week: 1", "--hours-per-week"),
    ],
)
def test_a_plan_that_cannot_be_read_names_the_place_and_is_kept_when_a_new_one_is_made(old, new, words):
    file = saved()
    before = edit(file, old, new)
    with pytest.raises(LabError) as error:
        planning.current()
    assert "plan.yaml" in str(error.value) and words in str(error.value)
    assert file.read_bytes() == before
    said = planning.save(ONE)
    assert said and [copy.read_bytes() for copy in kept_copies()] == [before]
    assert planning.current().entries == ONE.entries


@many
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_crash_the_reader_and_none_are_lost(raw):
    file = planning.location()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)
    with contextlib.suppress(LabError):
        planning.current()
    planning.save(ONE)
    assert planning.current().entries == ONE.entries
    assert not raw or raw in [copy.read_bytes() for copy in kept_copies()]
    for copy in kept_copies():
        copy.unlink()


def test_windows_line_ends_are_read_and_another_encoding_is_named():
    file = saved()
    text = "\ufeff" + file.read_text(encoding="utf-8").replace("\n", "\r\n")
    file.write_bytes(text.encode())
    assert planning.current().entries == ONE.entries
    file.write_bytes(text.encode("utf-16-le"))
    with pytest.raises(LabError, match=r"plan\.yaml is not UTF-8"):
        planning.current()


def test_what_does_not_add_up_after_a_change_by_hand_is_said():
    file = saved()
    edit(file, "minutes: 170", "minutes: 60")
    edit(file, "{lesson: day04, date: 2026-11-26", "{lesson: day04, date: 2026-11-24")
    said = "\n".join(planning.complaints(planning.current()))
    assert "Day 2 has 170 minutes, but 60 are planned" in said
    assert "Day 4 builds on Day 3, which is planned for later" in said
    assert "2026-11-24 has 270 minutes, more than the 210" in said
    assert "Day 4 builds on Day 3" not in "\n".join(planning.complaints(planning.current(), {"day03"}))


def test_the_page_links_what_is_written_and_marks_what_is_not():
    plan = planning.make("production_ready", focus="cost", background="strong_ml", start=MONDAY)
    page = plan_page.page(plan, {"day01"})
    links = [part.split(")")[0] for part in page.split("](")[1:]]
    here = settings.current().progress
    assert links and all((here / link).resolve().is_file() for link in links)
    for day in timetable.lessons():
        rows = [
            line
            for line in page.splitlines()
            if line.startswith("|") and f" {timetable.label(day)} ·" in line.replace("[", " ")
        ]
        assert all(("not written yet" in row) == (day["status"] != "ready") for row in rows)
    assert "done |" in page and "you know its subject" in page and f"{plan.total_minutes:,} minutes" in page
    for row in paths.get("path", "production_ready")["checks"]:
        assert row["text"] in page


def test_a_page_with_notes_of_the_learner_is_kept():
    assert plan_page.write(ONE) == [] and plan_page.write(ONE, {"day01"}) == []
    page = settings.current().progress / "plan.md"
    page.write_text(page.read_text(encoding="utf-8") + "Ask Anna.\n", encoding="utf-8")
    before = page.read_bytes()
    assert "plan.kept-1.md" in plan_page.write(ONE)[0]
    assert (page.parent / "plan.kept-1.md").read_bytes() == before


@pytest.mark.parametrize("path", paths.names("path"))
def test_technique_lessons_of_a_path_are_named_without_a_date(path):
    plan = planning.make(path, "standard", start=MONDAY)
    text = plan_page.page(plan)
    assert paths.get("path", path)["techniques"]
    for name in paths.get("path", path)["techniques"]:
        assert paths.title(name) in text
        assert name not in {entry.lesson_id for entry in plan.entries}


def lab(*arguments, typed=""):
    done = CliRunner().invoke(cli.app, ["plan", *arguments], input=typed)
    return done, str(done.exception) if isinstance(done.exception, LabError) else done.output


def test_lab_plan_makes_shows_moves_and_exports(tmp_path):
    _, said = lab()
    assert "You have no plan yet" in said and "lab plan --quiz" in said
    done, said = lab("--path", "quick", "--start", "2026-11-23", "--no-save")
    assert done.exit_code == 0 and planning.current() is None and "Day 4" in said
    calendar = tmp_path / "my plan.ics"
    done, said = lab("--path", "quick", "--pace", "weekend", "--start", "28.11.2026", "--ics", str(calendar))
    assert done.exit_code == 0 and "Saved in" in said and calendar.read_bytes().startswith(b"BEGIN:VCALENDAR")
    assert planning.current().entries[0].date == date(2026, 11, 28)
    assert (settings.current().progress / "plan.md").is_file()
    done, said = lab("--replan", "--start", "2026-12-05")
    assert done.exit_code == 0 and planning.current().entries[0].date == date(2026, 12, 5)
    before = planning.location().read_bytes()
    done, said = lab()
    assert "Quick Start, weekend pace" in said and planning.location().read_bytes() == before


def test_mistakes_on_the_command_line_say_what_to_do_and_write_nothing():
    for arguments, words in [
        (("--path", "slow"), "Choose one of: quick_start"),
        (("--path", "deep", "--start", "tomorrow"), "Write it as year-month-day"),
        (("--path", "deep", "--hours-per-week", "1"), "--hours-per-week 3 or more"),
        (("--pace", "weekend"), "Add --path"),
        (("--replan",), "no plan yet"),
        (("--replan", "--path", "deep"), "leave --replan out"),
    ]:
        done, said = lab(*arguments)
        assert done.exit_code == 1 and words in said, said
    assert not planning.location().exists()


def test_the_quiz_in_the_terminal_ends_in_a_plan_and_an_option_overrules_it():
    done, said = lab("--quiz", "--start", "2026-11-23", typed="2\nx\n2\n2\n2\n2\n1\n2\n1\n")
    assert done.exit_code == 0 and "Type a number from 1 to 3" in said and "Because:" in said
    assert planning.current().path == "deep_dive" and planning.current().hours_per_week == 10
    lab("--quiz", "--pace", "weekend", "--start", "2026-11-23", typed="2\n2\n2\n2\n2\n1\n2\n1\n")
    assert planning.current().pace == "weekend"
    done, said = lab("--quiz", typed="1\n")
    assert done.exit_code == 1 and "input ended" in said
