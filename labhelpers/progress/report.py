"""The report of a week: what this machine recorded, set beside what was expected, and room for the learner's own words."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import answers, files, settings, timetable
from ..core.files import locked, read_bytes
from ..core.settings import LabError
from ..display.guesses import Guess
from ..training import tracking
from . import checklists, markdown, report_file
from .report_file import NOTES, Part

INTRODUCTION = "*This part is made again each time. Write in the parts below it: what you type there stays as you typed it.*"


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
class Standing:
    """How far a lesson has come on this machine.

    Attributes:
        lesson: lesson id.
        label: such as "Day 4".
        title: the lesson's title.
        results: what it recorded; empty when it was not run here.
        tries: exercise id → attempts up to and including the first that passed.
        passed: ids of the exercises that were passed.
        ticked, items: boxes of its checklist, ticked and in all.
    """

    lesson: str
    label: str
    title: str
    results: list[Result]
    tries: dict[str, int]
    passed: set[str]
    ticked: int
    items: int
    written: bool = field(default=True)

    @property
    def at_once(self) -> int:
        """Exercises passed at the first attempt."""
        return sum(self.tries[exercise] == 1 for exercise in self.passed)


def week(week_id: str) -> Path:
    """Make or refresh progress/<week>_report.md; what the learner wrote in it stays.

    Args:
        week_id: such as "week1".

    Returns:
        The report.

    Raises:
        LabError: when there is no such week, or the file cannot be read or written.
    """
    entry = _week(week_id)
    path = settings.current().progress / f"{week_id}_report.md"
    return renew(path, week_id, f"{_name(week_id)} report", _body(entry), _parts(entry))


def renew(path: Path, name: str, title: str, body: str, parts: list[Part]) -> Path:
    """Make a report, or only its generated part again.

    Args:
        path: the report.
        name: of the workspace's copy of the generated part, which tells next time what the learner typed into it.
        title, body, parts: as in `report_file.refresh`.

    Returns:
        The report.

    Raises:
        LabError: when the file cannot be read or written.
    """
    last = settings.current().workspace / "reports" / f"{name}.md"
    with locked():
        document, earlier = (
            markdown.decode(read_bytes(path)),
            read_bytes(last).decode("utf-8", "replace"),
        )
        document, moved = report_file.refresh(document, title, body, parts, earlier)
        files.write(path, document.to_bytes())
        files.write(last, body.encode())
    if moved:
        print(f'{moved} of your lines stood in the part that is made again. They are now in "Your notes".')
    return path


def show(week_id: str) -> None:
    """Refresh the report and display it as Markdown; print it outside a notebook.

    Args:
        week_id: such as "week1".

    Raises:
        LabError: as in `week`.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import Markdown, display

    text = report_file.readable(markdown.decode(read_bytes(week(week_id))))
    display(Markdown(text)) if InteractiveShell.initialized() else print(text)


def unwritten(week_id: str) -> list[str]:
    """List the parts of the report that still wait for the learner.

    Args:
        week_id: such as "week1".

    Returns:
        Their titles, in order.

    Raises:
        LabError: as in `week`.
    """
    return report_file.unwritten(markdown.decode(read_bytes(week(week_id))), _parts(_week(week_id)))


def standings(week_id: str) -> list[Standing]:
    """Look up how far each lesson of a week has come on this machine.

    Args:
        week_id: such as "week1".

    Returns:
        One Standing per lesson, in order. A lesson that was not run here has no results.

    Raises:
        LabError: when there is no such week, or a file of the learner's cannot be read.
    """
    ticked = checklists.read()
    return [_standing(day, ticked) for day in _week(week_id)["days"]]


def _week(week_id: str) -> dict[str, Any]:
    weeks = {entry["id"]: entry for entry in timetable.weeks()}
    if week_id not in weeks:
        raise LabError(f"There is no week {week_id!r} to report on. Choose one of: {', '.join(weeks)}.")
    return weeks[week_id]


def _name(week_id: str) -> str:
    return timetable.group(week_id)


def _parts(entry: dict[str, Any]) -> list[Part]:
    ids = [other["id"] for other in timetable.weeks()]
    following = ids[ids.index(entry["id"]) + 1 :]
    ahead = f"Questions for {_name(following[0])}" if following else "Questions that stay"
    return [
        Part("learned", "What I learned", "*Write here: three things you could explain to somebody else now.*"),
        Part("surprised", "What surprised me", "*Write here: a number that was not what you expected, and why.*"),
        Part("differently", "What I would do differently", "*Write here: one thing, and when you will do it.*"),
        Part("questions", ahead, "*Write here: three questions. A good one can be answered by a number.*"),
        Part(NOTES, "Your notes", "*Anything else.*"),
    ]  # fmt: skip


def _standing(day: dict[str, Any], ticked: dict[str, bool]) -> Standing:
    tries, passed = {}, set()
    for exercise in _exercises(day["id"]):
        outcomes = [attempt.passed is True for attempt in checklists.attempts(exercise)]
        tries[exercise] = outcomes.index(True) + 1 if True in outcomes else len(outcomes)
        passed |= {exercise} if True in outcomes else set()
    boxes = [ticked.get(item["id"], False) for item in timetable.items(day)]
    return Standing(
        day["id"], timetable.label(day), day["title"], _results(day["id"]), tries, passed, sum(boxes),
        len(boxes), day["status"] == "ready",
    )  # fmt: skip


def _exercises(lesson: str) -> list[str]:
    path = answers.FOLDER / f"{lesson}.json"
    sealed = json.loads(read_bytes(path) or "{}")
    return [record["id"] for record in answers.unseal(sealed["exercises"])] if sealed else []


def _results(lesson: str) -> list[Result]:
    values = tracking.recorded(lesson)  # sets a damaged file aside
    path = settings.current().workspace / "results" / f"{lesson}.json"
    stored = json.loads(read_bytes(path)) if values else {}
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
    lines = [INTRODUCTION, "", "## The week", "", f"**{entry['title']}.** {entry['focus']}.", ""]
    lines += [f"Its milestone: {entry['milestone']}.", "", *_table(lessons)]
    lines += _verdict(entry, lessons) + _result_table(lessons) + _guess_table(entry, lessons)
    return "\n".join([*lines, *_checkpoints(entry)])


def _table(lessons: list[Standing]) -> list[str]:
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


def _results_in_words(day: Standing) -> str:
    if not day.results:
        return "not run here yet" if day.written else "not written yet"
    expected = [result for result in day.results if result.where]
    inside = sum(result.where == "inside" for result in expected)
    last = max(day.results, key=lambda result: result.time)
    count = f"{inside} of {len(expected)} as expected" if expected else f"{len(day.results)} recorded"
    return f"{count} ({last.time[:10]}, {last.profile})"


def _verdict(entry: dict[str, Any], lessons: list[Standing]) -> list[str]:
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


def _result_table(lessons: list[Standing]) -> list[str]:
    lines = ["", "## Results beside what was expected", ""]
    rows = [f"| {day.label} | {_row(result)} |" for day in lessons for result in day.results]
    if rows:
        lines += ["| | result | here | expected | |", "|---|---|---:|---|---|", *rows, ""]
    missing = [day.label for day in lessons if not day.results and day.written]
    return [*lines, f"Not run on this machine yet: {'; '.join(missing) or 'none'}."]


def _row(result: Result) -> str:
    expected = f"{_short(result.low)} to {_short(result.high)}" if result.where else "no band"
    return f"{result.name.replace('_', ' ')} | {_short(result.value)} | {expected} | {result.where}"


def _guess_table(entry: dict[str, Any], lessons: list[Standing]) -> list[str]:
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
    return "" if number is None else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
