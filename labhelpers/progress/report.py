"""The report of a week: what this machine recorded beside what was expected, then the learner's own words.

The course writes the report, the learner the notes beside it; the report shows both.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import answers, files, settings, timetable
from ..core.settings import LabError
from ..display import words
from ..display.guesses import Guess
from ..training import tracking
from . import checklists

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
# An older course let the learner write into the same file, between marks; its first one had a digest in it.
GENERATED = re.compile(r"<!-- generated: begin .*?<!-- generated: end -->\n*", re.DOTALL)
MARK = re.compile(r"<!--[ \t]*(?:generated|yours|sealed)\b[^\n]*?-->\n?")


@dataclass(frozen=True)
class Part:
    """A part of a report that only the learner can write; one without a prompt is not asked for."""

    title: str
    prompt: str = ""


@dataclass(frozen=True)
class Result:
    """A recorded number with the band it was expected in, both as they were when it was recorded."""

    name: str
    value: float
    low: float | None
    high: float | None
    profile: str
    time: str

    @property
    def where(self) -> str:
        """ "inside", "below" or "above" its band; empty without a band."""
        if self.low is None or self.high is None:
            return ""
        return "below" if self.value < self.low else "above" if self.value > self.high else "inside"


@dataclass(frozen=True)
class Outcome:
    """How far a lesson has come on this machine."""

    lesson: str
    label: str
    title: str
    results: list[Result]
    tries: dict[str, int]
    passed: set[str]
    ticked: int
    items: int
    written: bool

    @property
    def at_once(self) -> int:
        """Exercises passed at the first attempt."""
        return sum(self.tries[exercise] == 1 for exercise in self.passed)


def week(week_id: str) -> Path:
    """Make progress/<week>_report.md anew; what the learner wrote into <week>_notes.md stands at its end.

    Args:
        week_id: such as "week1".

    Returns:
        The report.

    Raises:
        LabError: when there is no such week, or a file cannot be read or written.
    """
    path, title = _path(week_id), f"{timetable.group(week_id)} report"
    return renew(path, title, _body(_week(week_id)), parts(week_id))


def show(week_id: str) -> None:
    """Make the report anew and display it as Markdown; print it outside a notebook.

    Args:
        week_id: such as "week1".

    Raises:
        LabError: as in `week`.
    """
    present(week(week_id))


def unwritten(week_id: str) -> list[str]:
    """List the parts of the report that still wait for the learner.

    Args:
        week_id: such as "week1".

    Returns:
        Their titles, in order.

    Raises:
        LabError: as in `week`.
    """
    return waiting(week(week_id), parts(week_id))


def notes(week_id: str) -> Path:
    """Tell where the learner's own words for the report are: progress/<week>_notes.md.

    Args:
        week_id: such as "week1".

    Returns:
        The file; `week` begins it, and the course never writes into it again.

    Raises:
        LabError: when there is no such week.
    """
    return notes_of(_path(week_id))


def standings(week_id: str) -> list[Outcome]:
    """Look up how far each lesson of a week has come on this machine; one that was not run here has no results."""
    ticked = checklists.read()
    return [_outcome(day, ticked) for day in _week(week_id)["days"]]


def parts(week_id: str) -> list[Part]:
    """List what a week's report asks the learner."""
    ids = [week["id"] for week in timetable.weeks()]
    following = ids[ids.index(week_id) + 1 :]
    ahead = f"Questions for {timetable.group(following[0])}" if following else "Questions that stay"
    return [
        Part("What I learned", "*Write here: three things you could explain to somebody else now.*"),
        Part("What surprised me", "*Write here: a number that was not what you expected, and why.*"),
        Part("What I would do differently", "*Write here: one thing, and when you will do it.*"),
        Part(ahead, "*Write here: three questions. A good one can be answered by a number.*"),
        Part("Your notes"),
    ]


def renew(page: Path, title: str, body: str, parts: Sequence[Part]) -> Path:
    """Make a report anew; begin the notes beside it if there are none.

    A page into which somebody wrote is kept aside, and as long as the notes are blank those words become the notes.
    """
    notes, blank = notes_of(page), _blank(title, parts)
    intro = (
        f"*Made by the course, and made anew each time. Write into [{notes.name}]({notes.name}): your words are "
        "shown at the end of this page.*"
    )
    with files.locked():
        own, typed = files.read_bytes(notes), _typed_into(page)
        if not own or (typed and own == blank.encode()):
            files.write(notes, typed or blank)
        kept = re.sub(r"\A\s*# [^\n]*\n", "", files.read_text(notes).replace("\r\n", "\n")).strip()
        text = "\n".join([f"# {title}", "", BEGIN, intro, "", body, END, "", kept, ""])
        aside = files.rewrite(page, text)
    if aside:
        print(
            f"{page.name} had words of yours. It is kept as {aside.name}; the place for them is {notes.name}."
        )
    return page


def notes_of(page: Path) -> Path:
    """Tell where the learner's words for a report are."""
    return page.with_name(f"{page.stem.removesuffix('_report')}_notes.md")


def waiting(page: Path, parts: Sequence[Part]) -> list[str]:
    """List the titles of the parts in whose notes nothing but the prompt stands."""
    text = files.read_text(notes_of(page)).replace("\r\n", "\n") or _typed_into(page) or _blank("", parts)
    titles = "|".join(re.escape(part.title) for part in parts)
    pieces = re.split(rf"^## ({titles})[ \t]*$", text, flags=re.MULTILINE)
    written = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    asked = [part for part in parts if part.prompt and part.title in written]
    return [part.title for part in asked if written[part.title].split() in ([], part.prompt.split())]


def present(page: Path) -> None:
    """Display a report as Markdown, without its marks; print it outside a notebook."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import Markdown, display

    text = MARK.sub("", files.read_text(page))
    display(Markdown(text)) if InteractiveShell.initialized() else print(text)


def _typed_into(page: Path) -> str:
    """Find what somebody wrote into a page of the course's; empty where nobody did, or where it is no UTF-8."""
    raw = files.read_bytes(page)
    if not raw or files.is_sealed(raw):
        return ""
    try:
        text = files.decoded(raw, page).lstrip("\ufeff").replace("\r\n", "\n")
    except LabError:
        return ""
    own = MARK.sub("", GENERATED.sub("", text)).strip()
    return f"{own}\n" if own else ""


def _blank(title: str, parts: Sequence[Part]) -> str:
    sections = [f"## {part.title}\n\n{part.prompt}".strip() for part in parts]
    return "\n\n".join([f"# {title}: your notes", *sections]) + "\n"


def _path(week_id: str) -> Path:
    return settings.current().progress / f"{_week(week_id)['id']}_report.md"


def _week(week_id: str) -> dict[str, Any]:
    weeks = {entry["id"]: entry for entry in timetable.weeks()}
    if week_id not in weeks:
        raise LabError(f"There is no week {week_id!r} to report on. Choose one of: {', '.join(weeks)}.")
    return weeks[week_id]


def _outcome(day: dict[str, Any], ticked: dict[str, bool]) -> Outcome:
    tries, passed = {}, set()
    for record in answers.exercises(day["id"]) if day["id"] in answers.built() else ():
        exercise = record["id"]
        tried = [attempt.passed is True for attempt in checklists.attempts(exercise)]
        tries[exercise] = tried.index(True) + 1 if True in tried else len(tried)
        passed |= {exercise} if True in tried else set()
    boxes = [ticked.get(item["id"], False) for item in timetable.items(day)]
    return Outcome(
        day["id"], timetable.label(day), day["title"], _results(day["id"]), tries, passed, sum(boxes),
        len(boxes), day["status"] == "ready",
    )  # fmt: skip


def _results(lesson: str) -> list[Result]:
    values = tracking.recorded(lesson)  # sets a damaged file aside
    path = settings.current().workspace / "results" / f"{lesson}.json"
    stored = json.loads(files.read_bytes(path)) if values else {}
    return [
        Result(
            name, value, *(stored[name].get(end) for end in ("low", "high")),
            str(stored[name].get("profile", "")), str(stored[name].get("time", "")),
        )
        for name, value in values.items()
    ]  # fmt: skip


def _body(entry: dict[str, Any]) -> str:
    """Write the generated part."""
    lessons = standings(entry["id"])
    lines = ["## The week", "", f"**{entry['title']}.** {entry['focus']}.", ""]
    lines += [f"Its milestone: {entry['milestone']}.", "", *_table(lessons)]
    lines += _verdict(entry, lessons) + _result_table(lessons) + _guess_table(entry, lessons)
    return "\n".join([*lines, *_checkpoints(entry)])


def _table(lessons: list[Outcome]) -> list[str]:
    rows = [
        "| when | lesson | results | exercises passed | at the first attempt | checklist |",
        "|---|---|---|---|---|---|",
    ]
    for day in lessons:
        exercises = f"{len(day.passed)} of {len(day.tries)} | {day.at_once}" if day.tries else " | "
        rows.append(
            f"| {day.label} | {day.title} | {_results_in_words(day)} | {exercises} | {day.ticked} of {day.items} |"
        )
    return rows


def _results_in_words(day: Outcome) -> str:
    if not day.results:
        return "not run here yet" if day.written else "not written yet"
    expected = [result for result in day.results if result.where]
    inside = sum(result.where == "inside" for result in expected)
    last = max(day.results, key=lambda result: result.time)
    count = f"{inside} of {len(expected)} as expected" if expected else f"{len(day.results)} recorded"
    return f"{count} ({last.time[:10]}, {last.profile})"


def _verdict(entry: dict[str, Any], lessons: list[Outcome]) -> list[str]:
    """Say in a sentence what fine-tuning gained; a week without that comparison has no such part."""
    wanted = ("test_accuracy", "margin_over_baseline", "margin_low")
    makers = [day for day in entry["days"] if {*wanted} <= {*(day.get("bands") or {})}]
    if not makers:
        return []
    heading = ["", "## Fine-tuned against the best baseline", ""]
    found = {r.name: r for day in lessons if day.lesson == makers[-1]["id"] for r in day.results}
    if not {*wanted} <= {*found}:
        return [*heading, f"Not known yet: {timetable.label(makers[-1])} has not tested a model here."]
    test, margin, low = (found[name].value for name in wanted)
    sentence = (
        f"The fine-tuned model was right on {test:.1%} of the test sentences and the best baseline on "
        f"{test - margin:.1%}, a difference of {100 * margin:+.1f} points; its 95 % interval begins at "
        f"{100 * low:+.1f} points, "
    )
    sentence += "above zero: luck is a poor explanation." if low > 0 else "so luck could explain it."
    if found["test_accuracy"].profile == "smoke":
        sentence += " (From the smoke profile, which only tries things out on few sentences.)"
    return [*heading, sentence]


def _result_table(lessons: list[Outcome]) -> list[str]:
    lines = ["", "## Results beside what was expected", ""]
    rows = [f"| {day.label} | {_row(result)} |" for day in lessons for result in day.results]
    if rows:
        lines += ["| | result | here | expected | |", "|---|---|---:|---|---|", *rows, ""]
    missing = [day.label for day in lessons if not day.results and day.written]
    return [*lines, f"Not run on this machine yet: {'; '.join(missing) or 'none'}."]


def _row(result: Result) -> str:
    expected = f"{_short(result.low)} to {_short(result.high)}" if result.where else "no band"
    return f"{result.name.replace('_', ' ')} | {_short(result.value)} | {expected} | {result.where}"


def _guess_table(entry: dict[str, Any], lessons: list[Outcome]) -> list[str]:
    """Set guesses beside results; the timetable says which result a guess was about."""
    found = {(day.lesson, result.name): result.value for day in lessons for result in day.results}
    rows = []
    for asked in (guess for day in entry["days"] for guess in day.get("guesses", [])):
        value, result = Guess(asked["id"], "", 0, 1, "").value, found.get((asked["lesson"], asked["result"]))
        if value is not None and result is not None:
            unit, result = asked.get("unit", ""), result * asked.get("scale", 1)
            rows.append(f"| {asked['about']} | {_short(value)} {unit} | {_short(result)} {unit} |")
    if not rows:
        return []
    return ["", "## What you guessed", "", "| about | your guess | the result |", "|---|---:|---:|", *rows]


def _checkpoints(entry: dict[str, Any]) -> list[str]:
    ticked = checklists.read()
    states = {True: "done", False: "open"}
    lines = ["", "## Checkpoints of the week", ""]
    return lines + [f"- {states[ticked[point['id']]]}: {point['text']}" for point in entry["checkpoints"]]


def _short(number: float | None) -> str:
    return "" if number is None else words.number(number)
