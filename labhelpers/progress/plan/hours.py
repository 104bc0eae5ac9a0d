"""Says what published plans promise and what the lessons really add up to. Every number here is computed."""

from collections.abc import Collection, Sequence
from datetime import date

from ...core import timetable
from . import paths
from .file import Plan
from .sittings import limits, pack

MONDAY = date(2026, 1, 5)  # any Monday: how long a pace takes depends on weekdays only


def sentences(plan: Plan) -> list[str]:
    """Compare the published figures of the plan's path and pace with the lessons' minutes.

    Args:
        plan: any plan.

    Returns:
        Sentences for a page, the most important first.
    """
    path, pace = paths.get("path", plan.path), paths.get("pace", plan.pace)
    said, everything = path["published"], _whole_course()
    found = [
        f"Published for a path like {path['title']}: {_span(said['weeks'])} weeks of {_span(said['hours_per_week'])} "
        f"hours, that is {_span(_total(said))} hours. Its {len(path['lessons'])} lessons add up to "
        f"{_hours(paths.minutes(path['lessons']))}, {_verdict(paths.minutes(path['lessons']), said)}.",
        f"Published for a pace like {pace['title']}: {pace['published']['claims']}. That is "
        f"{_span(_total(pace['published']))} hours for the whole course. Its {len(everything)} lessons add up to "
        f"{_hours(paths.minutes(everything))}, {_verdict(paths.minutes(everything), pace['published'])}. "
        f"At this pace the course takes {_days(plan.pace)}.",
    ]
    return [*found, *_of_this_pace(plan.pace), *_four_weeks()]


def per_week(plan: Plan) -> dict[date, int]:
    """Add up a plan's minutes per calendar week.

    Args:
        plan: any plan.

    Returns:
        Monday of the week → minutes.
    """
    weeks: dict[date, int] = {}
    for entry in plan.entries:
        monday = date.fromordinal(max(1, entry.date.toordinal() - entry.date.weekday()))
        weeks[monday] = weeks.get(monday, 0) + entry.minutes
    return weeks


def _of_this_pace(name: str) -> list[str]:
    """What else is promised for a pace, worked out."""
    weekdays = [timetable.minutes(day) for day in timetable.lessons() if day["id"].startswith("day")]
    mean = sum(weekdays) / len(weekdays)
    return {
        "relaxed": [f"Twice the time for everything would be {_hours(2 * paths.minutes(_whole_course()))}."],
        "accelerated": [f"The {len(weekdays)} weekday lessons alone take {_hours(sum(weekdays))}."],
        "weekend": [f"Three or four weekday lessons take {3 * mean / 60:.1f} to {4 * mean / 60:.1f} hours."],
    }.get(name, [])


def _four_weeks() -> list[str]:
    """The totals of the well-known four-week plan, added up."""
    total, split = paths.load()["time"]
    weeks = [sum(timetable.minutes(day) for day in week["days"]) / 60 for week in timetable.weeks()]
    shares = [100 * hours / split["total"] for hours in split["hours"].values()]
    low, high = (total["weeks"] * hours for hours in total["hours_per_week"])
    day = timetable.lesson("day04")
    return [
        f"Published for the four weeks: about {total['total']} hours, from {low} to {high} by its own weekly figures. "
        f"The lessons of the four weeks take {_list([f'{hours:.1f}' for hours in weeks])} hours.",
        f"Its split into {_list([f'{name} {hours} h' for name, hours in split['hours'].items()])} does add up to "
        f"{sum(split['hours'].values())}; the shares are {_list([f'{share:.1f} %' for share in shares])}. "
        "It describes a total that the lessons do not have.",
        f"Single days were short, too: Day 4 is often printed as three hours. Its sections are {timetable.minutes(day)} "
        "minutes.",
    ]


def _days(pace_name: str) -> str:
    pace = paths.get("pace", pace_name)
    lessons = paths.select("production_ready", pace_name).lessons
    rows = [(name, [part["minutes"] for part in timetable.lesson(name)["sections"]]) for name in lessons]
    entries = pack(rows, limits(pace), MONDAY, pace["fill"])
    days = (entries[-1].date - entries[0].date).days + 1
    skipped = len(_whole_course()) - len(lessons)
    left_out = f", {skipped} optional lessons left out" if skipped else ""
    return f"{days} days, or {days / 7:.1f} weeks{left_out}"


def _whole_course() -> list[str]:
    return [day["id"] for day in timetable.lessons() if day["week"].startswith("week")]


def _total(published: dict[str, Sequence[int]]) -> list[int]:
    return [
        weeks * hours for weeks, hours in zip(published["weeks"], published["hours_per_week"], strict=True)
    ]


def _verdict(minutes: int, published: dict[str, Sequence[int]]) -> str:
    low, high = _total(published)
    if minutes / 60 > high:
        return "more than that"
    return "less than that" if minutes / 60 < low else "which fits"


def _span(pair: Sequence[int]) -> str:
    low, high = pair
    return f"{low}" if low == high else f"{low} to {high}"


def _hours(minutes: int) -> str:
    return f"{minutes / 60:.1f} hours ({minutes:,} minutes)"


def _list(parts: Collection[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
