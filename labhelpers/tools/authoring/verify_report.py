"""The page an instructor opens before class: what `lab verify` found, in one file that needs no network."""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from ...core import files, timetable, timing
from .. import html_page
from ..html_page import mark, table
from . import manuscripts
from . import notebooks as authoring
from . import verify as verifying
from .verify import Stored

WAYS = {"learner": "untouched", "solved": "solved"}
WIDTH, COLOURS = 826, 64  # of a figure's picture: one page must hold those of the whole course
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def write(path: Path, profile: str) -> Path:
    """Write the page from what `lab verify` left in the workspace.

    Args:
        path: HTML file to write; its folder is made if missing.
        profile: "smoke", "cpu" or "gpu"; results of other profiles are left out.

    Returns:
        The file.

    Raises:
        LabError: when it cannot be written.
    """
    files.write(path, page(profile, verifying.stored(profile)))
    return path


def page(profile: str, runs: Sequence[Stored]) -> str:
    """Write the page.

    Args:
        profile: "smoke", "cpu" or "gpu".
        runs: what was verified in that profile.

    Returns:
        HTML that refers to no other file and to no address.
    """
    ids = verifying.ready()
    days = {lesson: {one.run.variant: one for one in runs if one.run.lesson == lesson} for lesson in ids}
    verdict = _verdict(days) + _changed(days)
    body = [f"<header><h1>Is the course ready to teach?</h1>{verdict}{_origin(profile, runs)}</header><main>"]
    if runs:
        body += [*_failures(runs), _overview(days)]
        body += [_section(lesson, found) for lesson, found in days.items() if found]
    body += [_missing(days, profile), "</main>"]
    return html_page.document(f"Verified: {profile} profile", "\n".join(body))


def _verdict(days: dict[str, dict[str, Stored]]) -> str:
    if not any(days.values()):
        return '<p class="verdict bad">Nothing has been verified yet.</p>'
    failing = [found for found in days.values() if any(one.complaints for one in found.values())]
    missing = sum(len(found) < len(WAYS) for found in days.values())
    if failing:
        return f'<p class="verdict bad">{len(failing)} of {len(days)} lessons need a look before class.</p>'
    if missing:
        return f'<p class="verdict">Sound so far; {missing} of {len(days)} lessons are not verified yet.</p>'
    return f'<p class="verdict good">All {len(days)} lessons work here, untouched and solved.</p>'


def _changed(days: dict[str, dict[str, Stored]]) -> str:
    names = [lesson for lesson, found in days.items() if any(map(_has_changed, found.values()))]
    listed = "; ".join(map(_name, names))
    return f'<p class="bad">Changed since they were verified: {escape(listed)}.</p>' if names else ""


def _origin(profile: str, runs: Sequence[Stored]) -> str:
    lines = [f"Profile: {profile}"]
    if runs:
        times = sorted(one.finished for one in runs)
        lines += [f"Verified: {times[0]}" + (f" to {times[-1]}" if times[-1] != times[0] else "")]
        # The speed is measured anew by each call, so two calls on one machine differ in it.
        lines += [
            f"Machine: {text}" for text in {one.machine.split(";")[0]: one.machine for one in runs}.values()
        ]
    return '<p class="quiet">' + "<br>".join(map(escape, lines)) + "</p>"


def _failures(runs: Iterable[Stored]) -> list[str]:
    failing = [one for one in runs if one.complaints]
    return ["<h2>Look at these first</h2>", *map(_failure, failing)] if failing else []


def _failure(one: Stored) -> str:
    where, last = _stopped_at(one) if one.run.error else ("", "")
    lines = [f"<h3>{escape(_name(one.run.lesson))}: {WAYS[one.run.variant]}</h3>"]
    if where:
        lines += [f"<p>It stopped in “{escape(where)}”:</p><pre>{escape(last)}</pre>"]
    else:
        lines += ["<ul>", *(f"<li>{escape(text)}</li>" for text in one.complaints), "</ul>"]
    again = f"lab run {one.run.lesson} --variant {one.run.variant} --profile {one.profile}"
    return f"<article>{''.join(lines)}<p>See it again: <code>{escape(again)}</code></p></article>"


def _stopped_at(one: Stored) -> tuple[str, str]:
    """The heading above the failing cell, and the last line of its error; empty texts without a notebook."""
    heading = ""
    for cell in _cells(one.run.notebook):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found = re.findall(r"^#+ (.+)$", source, re.M)
            heading = found[-1] if found else heading
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                lines = ANSI.sub("", "\n".join(output["traceback"])).strip().splitlines()
                last = lines[-1] if lines else ""
                return heading or "the first cell", last or f"{output['ename']}: {output['evalue']}"
    return "", ""


def _overview(days: dict[str, dict[str, Stored]]) -> str:
    rows = [_overview_row(lesson, found) for lesson, found in days.items()]
    heads = [
        "Lesson",
        "Untouched",
        "Solved",
        "Minutes",
        "Peak memory",
        "Results as expected",
        "Exercises solved",
    ]
    return "<h2>Every lesson</h2>" + table(
        "Minutes and memory are the computer’s, solved, from an empty workspace.",
        heads,
        rows,
        numbers=(3, 4, 5, 6),
    )


def _overview_row(lesson: str, found: dict[str, Stored]) -> list[str]:
    name = escape(_name(lesson))
    states = [_state(found.get(variant)) for variant in WAYS]
    if "solved" not in found:
        return [f'<a href="#{lesson}">{name}</a>' if found else name, *states, "", "", "", ""]
    run = found["solved"].run
    expected = [event for event in run.of_kind("record") if event.get("low") is not None]
    checks = run.of_kind("check")
    right = sum(check["outcome"] == "right" for check in checks)
    return [
        f'<a href="#{lesson}">{name}</a>', *states, f"{run.seconds / 60:.1f}", _memory(run.peak_bytes),
        _share(sum(map(_inside, expected)), len(expected)), _share(right, len(checks)),
    ]  # fmt: skip


def _section(lesson: str, found: dict[str, Stored]) -> str:
    reference = found.get("solved") or found["learner"]
    parts = [f'<section id="{lesson}"><h2>{escape(_name(lesson))}</h2>', *map(_times, found.values())]
    measured = timing.measurements().get(lesson)
    if measured and reference.profile == "cpu":
        parts += [f'<p class="quiet">On the maintainers’ machine: {measured["seconds"] / 60:.1f} minutes, '
                  f'{measured["peak_gib"]} GiB, {escape(str(measured["date"]))}.</p>']  # fmt: skip
    if _has_changed(reference):
        parts += ['<p class="bad">The lesson has changed since then. Verify it again.</p>']
    return "".join([*parts, _results(reference), _exercises(found), _figures(reference), "</section>"])


def _times(one: Stored) -> str:
    run, found_again = one.run, one.run.variant == "learner"
    note = "; what the solved run trained is found again" if found_again else ""
    return (f"<p>{WAYS[run.variant].capitalize()}: {_state(one)}, {run.seconds / 60:.1f} minutes, "
            f"{_memory(run.peak_bytes)}{note} ({escape(one.finished)}).</p>")  # fmt: skip


def _results(one: Stored) -> str:
    rows = []
    for event in one.run.of_kind("record"):
        banded = event.get("low") is not None
        band = f"{_number(event['low'])} to {_number(event['high'])}" if banded else "no band"
        verdict = mark(_inside(event), "inside", "outside") if banded else ""
        rows.append([escape(event["name"].replace("_", " ")), _number(event["value"]), band, verdict])
    return table("What it recorded", ["Result", "Here", "Expected", ""], rows, numbers=(1,)) if rows else ""


def _exercises(found: dict[str, Stored]) -> str:
    outcomes: dict[str, dict[str, str]] = {}
    for variant, one in found.items():
        for check in one.run.of_kind("check"):
            outcomes.setdefault(check["exercise"], {})[variant] = check["outcome"]
    wanted = {"learner": "untouched", "solved": "right"}
    rows = [
        [escape(name), *(mark(seen.get(way) == wanted[way], wanted[way], seen.get(way, "not reached")) if way in found
                         else "not run" for way in WAYS)]
        for name, seen in outcomes.items()
    ]  # fmt: skip
    return table("Its exercises", ["Exercise", "Left untouched", "Solved"], rows) if rows else ""


def _figures(one: Stored) -> str:
    pictures = []
    for cell in _cells(one.run.notebook):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = escape(
                    output.get("metadata", {}).get("image/png", {}).get("alt")
                    or "A figure without a description"
                )
                source = _thumbnail("".join(output["data"]["image/png"]))
                picture = f'<img src="data:image/png;base64,{source}" alt="{alt}">'
                pictures.append(f"<details><summary>{picture}</summary><p>{alt}</p></details>")
    return f'<div class="figures">{"".join(pictures)}</div>' if pictures else ""


def _thumbnail(picture: str) -> str:
    """Shrink a base64 PNG; one that cannot be read comes back as it is."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(BytesIO(base64.b64decode(picture))).convert("RGB")
    except (UnidentifiedImageError, ValueError):
        return escape(picture)
    image.thumbnail((WIDTH, 10 * WIDTH))
    small = BytesIO()
    image.quantize(COLOURS).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _missing(days: dict[str, dict[str, Stored]], profile: str) -> str:
    names = [lesson for lesson, found in days.items() if len(found) < len(WAYS)]
    if not names:
        return ""
    which = "" if len(names) == len(days) else " ".join(names) + " "
    command = f"lab verify {which}--profile {profile} --report REPORT.html"
    listed = "; ".join(_name(lesson) for lesson in names)
    return (f"<h2>Not verified yet</h2><p>{escape(listed)}.</p><p>Run this, then open the page again:</p>"
            f"<pre>{escape(command)}</pre>")  # fmt: skip


def _state(one: Stored | None) -> str:
    return "not run" if one is None else mark(not one.complaints, "works", "look at it")


def _inside(event: dict[str, Any]) -> bool:
    return event["low"] <= event["value"] <= event["high"]


def _name(lesson: str) -> str:
    day = timetable.lesson(lesson)
    return f"{timetable.label(day)}, {day['title']}"


def _share(count: int, total: int) -> str:
    return f"{count} of {total}" if total else "none"


def _memory(count: int | None) -> str:
    return f"{count / 2**30:.2f} GiB" if count else "no figure"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _has_changed(one: Stored) -> bool:
    """Whether the executed code is no longer that of the lesson."""
    day = timetable.lesson(one.run.lesson)
    now = json.loads(authoring.notebook_text(day, manuscripts.read(day), one.run.variant))["cells"]
    return _code(_cells(one.run.notebook)) not in ([], _code(now))


def _code(cells: Iterable[dict[str, Any]]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook.exists() else []
