"""The timetable is complete, consistent and honest about what exists."""

import re
from collections import Counter

import pytest

from labhelpers.core import settings, timetable
from labhelpers.progress import report

MANUSCRIPTS = settings.current().root / "curriculum" / "manuscripts"
WEEKS = ["week1", "week2", "week3", "week4"]
READY = ["day01", "day02", "day03", "day04"]

# How many checklist items the course promises, per day. Ids run from 1 without gaps and are never reused.
DAY_ITEMS = [9, 9, 7, 15, 4, 9, 9, 6, 5, 8, 6, 8, 4, 5, 5, 4, 5, 3, 7, 4]
WEEKEND_ITEMS = {
    "W1SAT": 4,
    "W1SUN": 4,
    "W2SAT": 3,
    "W2SUN": 4,
    "W3SAT": 4,
    "W3SUN": 4,
    "W4SAT": 4,
    "W4SUN": 4,
}
TECHNIQUE_ITEMS = {
    "TX-FULL-B": 4,
    "TX-FULL-I": 4,
    "TX-LORA-I": 4,
    "TX-QLORA-I": 4,
    "TX-PT-B": 4,
    "TX-PT-I": 4,
    "TX-AD-I": 5,
    "TX-MT": 3,
    "TX-CL": 3,
    "TX-CO": 3,
    "TX-AR": 3,
}
ITEMS = {f"D{day:02d}": count for day, count in enumerate(DAY_ITEMS, 1)} | WEEKEND_ITEMS | TECHNIQUE_ITEMS
MILESTONES = ["D01-M", "D04-M", "D10-M", "W2-M", "D14-M", "D20-M", "W4-M"]


def lesson_ids() -> list[str]:
    return [day["id"] for day in timetable.lessons()]


def test_four_weeks_hold_twenty_days_and_four_weekends_in_order():
    expected = []
    for week in range(1, 5):
        expected += [f"day{day:02d}" for day in range(5 * week - 4, 5 * week + 1)]
        expected += [f"weekend{week}_saturday", f"weekend{week}_sunday"]
    assert [name for name in lesson_ids() if not name.startswith("technique_")] == expected
    assert [week["id"] for week in timetable.load()["weeks"]] == [*WEEKS, "techniques"]


def test_every_promised_checklist_item_appears_exactly_once():
    found = Counter(item["id"] for day in timetable.lessons() for item in day["checklist"])
    promised = Counter(f"{prefix}-T{n}" for prefix, count in ITEMS.items() for n in range(1, count + 1))
    reflections = Counter(f"D05-Q{n}" for n in range(1, 5))
    assert found == promised + reflections


def test_every_week_has_its_four_checkpoints():
    for number, week in enumerate(timetable.load()["weeks"][: len(WEEKS)], 1):
        assert [point["id"] for point in week["checkpoints"]] == [f"WC-{number}{letter}" for letter in "abcd"]
        assert all(point["text"].strip() for point in week["checkpoints"])


def prefix_of(day):
    """The ids of a lesson's checklist begin with this."""
    if day["week"] == "techniques":
        return rf"TX-({'|'.join(name.removeprefix('TX-') for name in TECHNIQUE_ITEMS)})"
    weekend = re.fullmatch(r"weekend(\d)_(sat|sun)\w+", day["id"])
    return f"W{weekend[1]}{weekend[2].upper()}" if weekend else f"D{day['id'][3:]}"


def test_checklist_ids_belong_to_their_lesson_and_texts_are_unlike():
    for day in timetable.lessons():
        texts = [item["text"].strip() for item in day["checklist"]]
        strange = [
            item["id"]
            for item in day["checklist"]
            if not re.fullmatch(rf"{prefix_of(day)}-[TQ]\d+", item["id"])
        ]
        assert strange == [], day["id"]
        assert all(texts) and len(set(texts)) == len(texts), day["id"]


def test_milestones_are_all_there_and_each_has_words():
    reached = [day for day in timetable.lessons() if day["milestone"] is not None]
    assert [day["milestone_id"] for day in reached] == MILESTONES
    assert all(day["milestone"].strip() for day in reached)
    assert all("milestone_id" not in day for day in timetable.lessons() if day["milestone"] is None)


def test_prerequisites_exist_and_come_earlier():
    ids = lesson_ids()
    late = [
        f"{day['id']} builds on {name}, which does not come before it"
        for day in timetable.lessons()
        for name in day["prerequisites"]
        if name not in ids[: ids.index(day["id"])]
    ]
    assert late == []


def test_minutes_are_positive_and_fit_a_working_day():
    for day in timetable.lessons():
        minutes = [section["minutes"] for section in day["sections"]]
        assert all(isinstance(each, int) and each > 0 for each in minutes), day["id"]
        titles = [section["title"] for section in day["sections"]]
        assert all(titles) and len(set(titles)) == len(titles), day["id"]
        shortest = 60 if day["week"] == "techniques" else 120
        assert shortest <= timetable.minutes(day) <= 210, day["id"]


def test_day_four_admits_its_three_and_a_half_hours():
    assert timetable.minutes(timetable.lesson("day04")) == 210


def test_ready_lessons_have_a_manuscript_and_planned_ones_have_none():
    for day in timetable.lessons():
        assert day["lesson"].startswith(f"{day['week']}/{day['id'].removeprefix('technique_')}")
        assert day["status"] in ("ready", "draft", "planned"), day["id"]
        manuscript = MANUSCRIPTS / f"{day['lesson']}.py"
        assert manuscript.is_file() == (day["status"] != "planned"), (
            f"{day['id']} is {day['status']}: {manuscript}"
        )


def test_no_manuscript_is_missing_from_the_timetable():
    known = {f"{day['lesson']}.py" for day in timetable.lessons()}
    on_disk = {path.relative_to(MANUSCRIPTS).as_posix() for path in MANUSCRIPTS.rglob("*.py")}
    assert on_disk <= known


def test_the_first_days_are_ready_and_name_their_sources():
    for day in map(timetable.lesson, READY):
        assert day["status"] == "ready", day["id"]
        assert 5 <= len(day["sections"]) <= 8, day["id"]
        assert day["sources"], day["id"]
        for source in day["sources"]:
            assert source["title"] and source["section"] and 1950 < source["year"] <= 2026, day["id"]


def test_bands_name_known_profiles_and_have_room_inside():
    for day in timetable.lessons():
        for name, profiles in day.get("bands", {}).items():
            for profile, (low, high) in profiles.items():
                assert profile in settings.PROFILES and low < high, f"{day['id']}: {name} in {profile}"


def test_lesson_knows_its_week():
    assert timetable.lesson("day04")["week"] == "week1"
    assert timetable.lesson("weekend3_sunday")["week"] == "week3"


def test_technique_lessons_are_no_week_that_a_report_looks_forward_to():
    ahead = {week["id"]: report.parts(week["id"])[3].title for week in timetable.weeks()}
    assert ahead["week3"] == "Questions for Week 4" and ahead["week4"] == "Questions that stay"


def test_an_unknown_lesson_is_an_error_that_lists_the_choices():
    with pytest.raises(settings.LabError, match=r"'nope'.*day01.*weekend4_sunday"):
        timetable.lesson("nope")


@pytest.mark.parametrize(("profile", "expected"), [("smoke", (0.5, 0.9)), ("cpu", (0.8, 1.0)), ("gpu", None)])
def test_band_follows_the_profile(monkeypatch, profile, expected):
    limits = {"test_accuracy": {"smoke": [0.5, 0.9], "cpu": [0.8, 1]}}
    small = {"weeks": [{"id": "week1", "days": [{"id": "day04", "bands": limits}, {"id": "day05"}]}]}
    monkeypatch.setattr(timetable, "load", lambda: small)
    monkeypatch.setenv("LAB_PROFILE", profile)
    assert timetable.band("day04", "test_accuracy") == expected
    assert timetable.band("day04", "unheard_of") is None
    assert timetable.band("day05", "test_accuracy") is None
