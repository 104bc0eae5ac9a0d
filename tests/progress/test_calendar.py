"""The calendar file is read back by a real parser, and opening a newer one updates instead of doubling."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from labhelpers.core import timetable
from labhelpers.core.settings import LabError
from labhelpers.progress.plan import page, paths, planning
from labhelpers.progress.plan.planning import Entry

MONDAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def events(plan):
    return icalendar.Calendar.from_ical(page.to_ics(plan, NOW)).walk("VEVENT")


def assert_opens(plan):
    """What RFC 5545 asks of the file, and what a person asks of the calendar."""
    raw = page.to_ics(plan, NOW)
    assert raw.endswith(b"END:VCALENDAR\r\n") and b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in raw.split(b"\r\n")), "longer lines must be folded"
    calendar = icalendar.Calendar.from_ical(raw)
    assert calendar["prodid"] and calendar["version"] == "2.0" and not calendar.errors
    found = events(plan)
    assert len({str(event["uid"]) for event in found}) == len(found)
    assert all(event["dtstamp"].dt == NOW and not event.errors for event in found)
    assert all(event["dtstart"].dt.tzinfo is None for event in found), "floating: the learner's own clock"
    assert sum((e["dtend"].dt - e["dtstart"].dt).total_seconds() for e in found) == 60 * plan.total_minutes
    times = sorted((event["dtstart"].dt, event["dtend"].dt) for event in found)
    assert all(begin < end for begin, end in times)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times)), "two at once"
    assert [event["dtstart"].dt.date() for event in found] == [entry.date for entry in plan.entries]
    midnight = timedelta(days=1)
    assert all(end <= datetime.combine(begin.date(), datetime.min.time()) + midnight for begin, end in times)


@budget(max_examples=60, deadline=None)
@given(
    path=st.sampled_from(paths.names("path")),
    pace=st.sampled_from(paths.names("pace")),
    hours=st.none() | st.integers(5, 24),
    start=st.dates(date(2000, 1, 1), date(2090, 1, 1)),
)
def test_any_plan_opens_in_a_calendar(path, pace, hours, start):
    assert_opens(planning.make(path, pace, hours_per_week=hours, start=start))


def test_long_evenings_begin_earlier_instead_of_running_past_midnight():
    plan = planning.make("production_ready", hours_per_week=84, start=MONDAY)
    assert max(entry.minutes for entry in plan.entries) <= 720
    assert_opens(plan)
    assert min(event["dtstart"].dt.hour for event in events(plan)) < 18


def test_an_event_says_what_it_is_and_where(monkeypatch):
    planned = [
        dict(day, status="planned" if day["week"] == "week4" else "ready") for day in timetable.lessons()
    ]
    monkeypatch.setattr(timetable, "lessons", lambda: planned)
    plan = planning.make("deep_dive", "relaxed", start=MONDAY)
    first, *_, last = events(plan)
    assert (
        "Day 1 · Set-up and orientation (1 of" in first["summary"]
        and "lessons/week1/day01" in first["description"]
    )
    assert "not written yet" in last["description"]
    assert first["dtstart"].dt == datetime(2026, 11, 23, 18)
    saturdays = {event["dtstart"].dt.hour for event in events(plan) if event["dtstart"].dt.weekday() == 5}
    assert 10 in saturdays and 18 not in saturdays


def uids(plan):
    return {str(event["uid"]): event for event in events(plan)}


def test_opening_the_file_again_after_a_re_plan_updates_the_same_events():
    planning.save(planning.make("quick_start", "relaxed", start=MONDAY))
    before = uids(planning.current())
    planning.save(planning.replan(planning.current(), MONDAY + timedelta(days=7), set()))
    after = uids(planning.current())
    assert set(after) == set(before)
    for uid, event in after.items():
        assert event["dtstart"].dt > before[uid]["dtstart"].dt and event["sequence"] > before[uid]["sequence"]


def test_two_learners_do_not_overwrite_each_other(monkeypatch, tmp_path):
    found = []
    for name in ("anna", "bert"):
        monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / name))
        planning.save(planning.make("quick_start", start=MONDAY))
        found.append(set(uids(planning.current())))
    assert found[0].isdisjoint(found[1])


def test_entries_of_the_learner_go_into_the_calendar_whatever_they_are_called():
    plan = planning.make("quick_start", start=MONDAY)
    own = [Entry("Anna; reading,\nBEGIN:VALARM", MONDAY - timedelta(days=2 - n), 45) for n in (0, 1)]
    plan = replace(plan, entries=(*own, *plan.entries))
    assert_opens(plan)
    assert len(events(plan)) == len(plan.entries)


def test_the_file_replaces_an_older_calendar_and_nothing_else(tmp_path):
    plan = planning.make("quick_start", start=MONDAY)
    file = page.write_calendar(plan, tmp_path / "new folder" / "plan.ics")
    assert page.write_calendar(plan, file).read_bytes().count(b"BEGIN:VEVENT") == len(plan.entries)
    notes = tmp_path / "notes.md"
    notes.write_text("mine", encoding="utf-8")
    with pytest.raises(LabError, match="no calendar of this course"):
        page.write_calendar(plan, notes)
    assert notes.read_text(encoding="utf-8") == "mine"
    with pytest.raises(LabError, match="is a folder"):
        page.write_calendar(plan, tmp_path)
