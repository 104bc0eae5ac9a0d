"""The class as one HTML page: no script, nothing from elsewhere, light and dark. Every text in it is escaped."""

import html
from collections.abc import Iterable, Sequence

from ...core import timetable
from .report import Class, Hurdle, Standing
from .table import ago, counted, percent, until

MARK = b'<meta name="generator" content="lab class">'
STYLE = """\
:root {
  --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --band: #f6f8fa; --fill: #b6d7f2; --focus: #0b5cad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e6e9ed; --faint: #a3adb8; --line: #3a434d; --band: #1c2229; --fill: #1f4e79; --focus: #79b8ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; }
main, footer { max-width: 1500px; margin: 0 auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 1.5rem 0 0.5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.25rem; border-bottom: 1px solid var(--line); }
.frame { overflow-x: auto; margin: 1rem 0 1.5rem; }
.frame:focus-visible, summary:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
th, td { padding: 0.25rem 0.6rem; vertical-align: top; text-align: left; border-bottom: 1px solid var(--line); }
thead th { background: var(--band); vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 400; position: sticky; left: 0; background: var(--paper); }
.word, td.number { white-space: nowrap; }
.number { text-align: right; max-width: 7rem; }
.text { min-width: 8.5rem; max-width: 18rem; overflow-wrap: break-word; }
.bar {
  display: inline-block; min-width: 4.5rem; padding: 0 0.35rem; border-radius: 3px; text-align: right;
  background: linear-gradient(to right, var(--fill) var(--share), var(--band) var(--share));
}
li { overflow-wrap: anywhere; }
footer { color: var(--faint); border-top: 1px solid var(--line); margin-top: 2rem; font-size: 0.9rem; }
@media (max-width: 900px) {
  main, footer { padding: 0 0.75rem; }
  table { font-size: 0.85rem; }
  th, td { padding: 0.25rem 0.35rem; }
  .text { min-width: 6rem; }
  .bar { min-width: 4rem; }
}
@media print { .frame { overflow: visible; } }
"""


class Markup(str):
    """HTML that is ours; every other text is escaped on its way into the page."""


def page(found: Class) -> str:
    """Write the page.

    Args:
        found: from `classroom.read`.

    Returns:
        A whole HTML document that needs no other file.
    """
    title = f"{timetable.load()['course']['title']}: the class on {found.today:%d %B %Y}"
    body = "\n".join(
        [
            f"<h1>{escaped(title)}</h1>",
            f"<p>{escaped(_sentence(found))}</p>",
            _section("Who may need you", _quiet(found)),
            _section("What stops people", _exercises(found.exercises), _quiz(found.quiz)),
            _section("Who is where", _where(found), _matrix(found)),
            _section("Files and remarks", _notes(found.notes)) if found.notes else "",
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK.decode()}\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n"
        "<footer><p>Made by <code>lab class</code> from the summaries that learners gave you. This file holds their "
        "names: it was sent nowhere, and whether it leaves this machine is up to you.</p></footer>\n</body>\n</html>\n"
    )


def escaped(text: object) -> str:
    """Make a text safe inside an element or an attribute in quotes; our own markup stays."""
    return text if isinstance(text, Markup) else html.escape(str(text))


def table(caption: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> str:
    """Write a table whose first cells head their rows, in a frame that scrolls where the window is narrow.

    Args:
        caption: what the table says.
        columns: heading and kind of each: "word" (stays on its line), "text" (wraps) or "number" (aligned right).
        rows: cells, escaped unless they are Markup; the first one names the row.
    """
    kinds = [kind for _, kind in columns]
    head = "".join(f'<th scope="col" class="{kind}">{escaped(heading)}</th>' for heading, kind in columns)
    body = "\n".join(
        f'<tr><th scope="row" class="{kinds[0]}">{escaped(row[0])}</th>'
        + "".join(
            f'<td class="{kind}">{escaped(cell)}</td>' for kind, cell in zip(kinds[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="frame" role="region" tabindex="0" aria-label="{escaped(caption)}">\n<table>\n'
        f"<caption>{escaped(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
        "</table>\n</div>"
    )


def bar(share: float, text: str) -> Markup:
    """Draw a share of 1 as a bar behind its text, so that the number never depends on a colour."""
    return Markup(f'<span class="bar" style="--share:{100 * share:.0f}%">{html.escape(text)}</span>')


def _sentence(found: Class) -> str:
    people = found.standings
    asking = sum(bool(one.quiet) for one in people)
    tried = {one.id for one in found.exercises}
    return (
        f"{counted(len(people), 'learner')}, {counted(len(tried), 'exercise')} tried, "
        f"{counted(sum(one.attempts for one in people), 'attempt')}. "
        f"{asking or 'Nobody'} {'have' if asking > 1 else 'has'} gone quiet or sent an old summary."
    )


def _section(title: str, *parts: str) -> str:
    return (
        f"<section>\n<h2>{escaped(title)}</h2>\n" + "\n".join(part for part in parts if part) + "\n</section>"
    )


def _where(found: Class) -> str:
    headings = (
        "lessons finished",
        "items left open before",
        "exercises passed",
        "attempts",
        "quiz right at once",
    )
    columns = [("learner", "text"), ("now at", "word"), ("last active", "word")]
    rows = [
        (
            one.name,
            one.at,
            ago(one.last, found.today),
            one.finished,
            one.left_open or "",
            f"{one.passed} of {one.tried}",
            one.attempts,
            percent(one.quiz_first),
        )
        for one in found.standings
    ]
    return table("Learners, by name", [*columns, *_numbers(*headings)], rows)


def _numbers(*headings: str) -> list[tuple[str, str]]:
    return [(heading, "number") for heading in headings]


def _matrix(found: Class) -> str:
    rows = [(one.name, *(_cell(one, day["id"]) for day in found.lessons)) for one in found.standings]
    lessons = _numbers(*(_short(day["id"]) for day in found.lessons))
    return table("How much of each lesson's checklist is ticked", [("learner", "text"), *lessons], rows)


def _cell(one: Standing, lesson: str) -> str | Markup:
    share = one.share.get(lesson)
    return "" if share is None else bar(share, "✓ all" if share == 1 else percent(share))


def _short(lesson: str) -> str:
    if lesson.startswith("technique_"):
        return timetable.label(timetable.lesson(lesson))
    day, _, weekday = lesson.partition("_")
    return (
        f"{weekday[:3].capitalize()} {day.removeprefix('weekend')}"
        if weekday
        else f"Day {int(day.removeprefix('day'))}"
    )


def _quiet(found: Class) -> str:
    rows = [(one.name, ago(one.last, found.today), one.quiet) for one in found.standings if one.quiet]
    columns = (("learner", "text"), ("last active", "word"), ("why", "text"))
    return table("Ask after these", columns, rows) if rows else "<p>Everybody has been active lately.</p>"


def _exercises(hurdles: Sequence[Hurdle]) -> str:
    counts = ("passed", "tried and not passed", "attempts until passed (median)", "attempts in all")
    columns = [("exercise", "word"), *_numbers(*counts)]
    columns += [("what the check said first, mostly", "text"), ("who has not passed", "text")]
    rows = [
        (
            one.id,
            f"{one.passed} of {one.tried}",
            bar(one.stopped, f"{len(one.waiting)} · {percent(one.stopped)}") if one.waiting else "",
            until(one),
            one.attempts,
            one.stumble,
            _people(one.waiting),
        )
        for one in hurdles
    ]
    return table("Exercises, the ones that stop most people first", columns, rows)


def _people(names: Sequence[str]) -> str | Markup:
    if not names:
        return ""
    label = "1 person" if len(names) == 1 else f"{len(names)} people"
    return Markup(f"<details><summary>{label}</summary>{html.escape(', '.join(names))}</details>")


def _quiz(hurdles: Sequence[Hurdle]) -> str:
    columns = [("question", "word"), *_numbers("answered", "right at once", "right by now")]
    rows = [
        (one.id, one.tried, bar(one.at_once / one.tried, percent(one.at_once / one.tried)), one.passed)
        for one in hurdles
    ]
    return table("Quiz questions, the most surprising first", columns, rows)


def _notes(notes: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escaped(note)}</li>" for note in notes) + "\n</ul>"
