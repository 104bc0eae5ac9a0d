"""Reads curriculum/paths.yaml: learning paths, paces, focus areas and backgrounds as selections of lessons."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core import timetable
from ...core.settings import LabError

# What the options of `lab plan` are called in the file.
KINDS = {"path": "paths", "pace": "paces", "focus": "focus", "background": "backgrounds"}


@dataclass(frozen=True)
class Selection:
    """Which lessons somebody takes."""

    lessons: tuple[str, ...]
    added: tuple[str, ...]
    left_out: Mapping[str, str]
    techniques: tuple[str, ...]
    to_come: tuple[str, ...]
    guides: tuple[str, ...]


def load() -> dict[str, Any]:
    """Read the whole file."""
    return timetable.curriculum("paths")


def names(kind: str) -> tuple[str, ...]:
    """List what there is to choose from; `kind` is "path", "pace", "focus" or "background"."""
    return tuple(load()[KINDS[kind]])


def resolve(kind: str, name: str) -> str:
    """Find the name that somebody meant: "Quick Start", "quick-start" and "quick" are all quick_start."""
    known = names(kind)
    wanted = str(name).strip().lower().replace("-", "_").replace(" ", "_")
    found = [wanted] if wanted in known else [each for each in known if wanted and each.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"Did you mean --{kind} {close[0]}? " if close else ""
    raise LabError(
        f"There is no {kind} {name!r}. {hint}Choose one of: {', '.join(known)}. "
        "`lab plan --quiz` helps you to choose."
    )


def get(kind: str, name: str) -> dict[str, Any]:
    """Look up its entry in the file."""
    return load()[KINDS[kind]][resolve(kind, name)]


def select(path: str, pace: str, focus: str | None = None, background: str | None = None) -> Selection:
    """Put together the lessons of a path, changed by pace, focus and background.

    A focus or a background adds lessons together with what they build on; a lesson is left out only where no lesson
    that stays builds on it, or because the learner knows its subject.
    """
    chosen = get("path", path)
    aim = get("focus", focus) if focus else {}
    person = get("background", background) if background else {}
    wanted = [*chosen["lessons"], *aim.get("adds", []), *person.get("adds", [])]
    candidates = dict.fromkeys(aim.get("leaves_out", []), f"less to the point of {aim.get('title')}")
    if get("pace", pace).get("skip_optional"):
        candidates |= dict.fromkeys(chosen["optional"], "an extra that this pace leaves out")
    asked = {*aim.get("adds", []), *person.get("adds", [])}
    taken, left_out = _drop(with_prerequisites(wanted), candidates, asked)
    known = [name for name in person.get("known", []) if name in taken]
    left_out |= dict.fromkeys(known, "you know its subject; read its quiz to be sure")
    guides = dict.fromkeys([*aim.get("guides", []), *person.get("guides", [])])
    to_come = dict.fromkeys([*chosen["to_come"], *aim.get("to_come", [])])
    ready = _known_lessons()
    return Selection(
        tuple(name for name in taken if name not in known),
        tuple(name for name in taken if name not in {*known, *chosen["lessons"]}),
        {name: left_out[name] for name in ready if name in left_out},
        tuple(chosen["techniques"]),
        tuple(name for name in to_come if name not in ready),
        tuple(guides),
    )


def with_prerequisites(lessons: Iterable[str]) -> tuple[str, ...]:
    """Add whatever the lessons build on; the ids come back in teaching order."""
    found: set[str] = set()
    open_ = list(lessons)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += timetable.lesson(name)["prerequisites"]
    return tuple(name for name in _known_lessons() if name in found)


def minutes(lessons: Iterable[str]) -> int:
    """Add up the minutes of lessons, each counted once per mention."""
    return sum(timetable.minutes(timetable.lesson(name)) for name in lessons)


def title(lesson_id: str) -> str:
    """Name a lesson, be it in the timetable or still to come; an id that is neither names itself."""
    if lesson_id in _known_lessons():
        day = timetable.lesson(lesson_id)
        return f"{timetable.label(day)} · {day['title']}"
    return load()["planned_lessons"].get(lesson_id, lesson_id)


def _drop(
    lessons: tuple[str, ...], candidates: Mapping[str, str], asked: set[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take candidates out, last lessons first, where nothing that stays builds on them and nobody asked for them."""
    kept, dropped = list(lessons), {}
    for name in reversed(lessons):
        if name not in candidates or name in asked:
            continue
        if not any(name in timetable.lesson(other)["prerequisites"] for other in kept):
            kept.remove(name)
            dropped[name] = candidates[name]
    return tuple(kept), dropped


def _known_lessons() -> tuple[str, ...]:
    return tuple(day["id"] for day in timetable.lessons())
