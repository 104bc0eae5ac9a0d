"""The page an instructor opens before class: what `lab verify` found, in one file that needs no network."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from ...core import files, timetable
from ...display import page as page_html
from ...display import words
from . import manuscripts, verify
from . import notebooks as authoring
from .verify import Stored

WAYS = {"learner": "untouched", "solved": "solved"}
WANTED = {"learner": "untouched", "solved": "right"}
WIDTH, COLOURS = 826, 64  # of a figure's picture: one page must hold those of the whole course
ANSI = re.compile(r"\x1b\[[0-9;]*m")
Days = dict[str, dict[str, Stored]]  # lesson → variant → its last run


def write(path: Path, profile: str) -> Path:
    """Write the page from what `lab verify` left in the workspace; results of other profiles are left out."""
    files.write(path, page(profile, verify.stored(profile)))
    return path


def page(profile: str, runs: Sequence[Stored]) -> str:
    """Write the page: HTML that refers to no other file and to no address."""
    days = {
        lesson: {one.run.variant: one for one in runs if one.run.lesson == lesson}
        for lesson in verify.ready()
    }
    missing = [lesson for lesson, found in days.items() if len(found) < len(WAYS)]
    which = "" if len(missing) == len(days) else " ".join(missing) + " "
    return page_html.render(
        Path(__file__).parents[1],
        "templates/verify.html.j2",
        title=f"Verified: {profile} profile",
        verdict=_verdict(days, len(missing)),
        profile=profile,
        runs=runs,
        times=sorted(one.finished for one in runs),
        # The speed is measured anew by each call, so two calls on one machine differ in it.
        machines={one.machine.split(";")[0]: one.machine for one in runs}.values(),
        days=days,
        missing="; ".join(map(_name, missing)),
        command=f"lab verify {which}--profile {profile} --report REPORT.html",
        changed={lesson for lesson, found in days.items() if any(map(_has_changed, found.values()))},
        measured=timetable.measurements(),
        ways=WAYS,
        wanted=WANTED,
        name=_name,
        number=partial(words.number, digits=4),
        memory=_memory,
        inside=_inside,
        stopped_at=_stopped_at,
        results=_results,
        exercises=_exercises,
        figures=_figures,
    )


def _verdict(days: Days, missing: int) -> tuple[str, str]:
    """The sentence at the top, and how it looks."""
    failing = sum(any(one.complaints for one in found.values()) for found in days.values())
    if not any(days.values()):
        return "bad", "Nothing has been verified yet."
    if failing:
        return "bad", f"{failing} of {len(days)} lessons need a look before class."
    if missing:
        return "", f"Sound so far; {missing} of {len(days)} lessons are not verified yet."
    return "good", f"All {len(days)} lessons work here, untouched and solved."


def _stopped_at(one: Stored) -> tuple[str, str]:
    """The heading above the failing cell, and the last line of its error; empty texts without a notebook."""
    heading = ""
    for cell in _cells(one.run.notebook):
        if cell["cell_type"] == "markdown":
            found = re.findall(r"^#+ (.+)$", "".join(cell["source"]), re.M)
            heading = found[-1] if found else heading
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                lines = ANSI.sub("", "\n".join(output["traceback"])).strip().splitlines()
                last = lines[-1] if lines else ""
                return heading or "the first cell", last or f"{output['ename']}: {output['evalue']}"
    return "", ""


def _results(one: Stored) -> tuple[list[dict[str, Any]], int, int]:
    """What a run recorded, how many of these have a band, and how many are inside theirs."""
    recorded = one.run.of_kind("record")
    expected = [event for event in recorded if event.get("low") is not None]
    return recorded, len(expected), sum(map(_inside, expected))


def _inside(event: dict[str, Any]) -> bool:
    return event["low"] <= event["value"] <= event["high"]


def _exercises(found: dict[str, Stored]) -> dict[str, dict[str, str]]:
    """Collect exercise → variant → outcome."""
    outcomes: dict[str, dict[str, str]] = {}
    for variant, one in found.items():
        for check in one.run.of_kind("check"):
            outcomes.setdefault(check["exercise"], {})[variant] = check["outcome"]
    return outcomes


def _figures(one: Stored) -> Iterator[tuple[str, str]]:
    """Yield the figures of a run: a base64 PNG and its description."""
    for cell in _cells(one.run.notebook):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = output.get("metadata", {}).get("image/png", {}).get("alt")
                picture = _thumbnail("".join(output["data"]["image/png"]))
                yield picture, alt or "A figure without a description"


def _thumbnail(picture: str) -> str:
    """Shrink a base64 PNG; one that cannot be read comes back as it is."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(base64.b64decode(picture))).convert("RGB")
    except (UnidentifiedImageError, ValueError):
        return picture
    image.thumbnail((WIDTH, 10 * WIDTH))
    small = BytesIO()
    image.quantize(COLOURS).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _name(lesson: str) -> str:
    day = timetable.lesson(lesson)
    return f"{timetable.label(day)}, {day['title']}"


def _memory(count: int | None) -> str:
    return f"{count / 2**30:.2f} GiB" if count else "no figure"


def _has_changed(one: Stored) -> bool:
    """Whether the executed code is no longer that of the lesson."""
    day = timetable.lesson(one.run.lesson)
    now = json.loads(authoring.notebook_text(day, manuscripts.read(day), one.run.variant))["cells"]
    return _code(_cells(one.run.notebook)) not in ([], _code(now))


def _code(cells: Iterable[dict[str, Any]]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook.exists() else []
