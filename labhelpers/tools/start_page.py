"""The start page: where you are, what is next, how long it takes here, one link to begin."""

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core import files, timetable
from ..core.settings import current
from ..progress import standing, standing_view
from ..progress.standing import Standing, Step
from .authoring import notebooks

REFRESH = "# Run this cell to bring the page up to date.\nfrom labhelpers.tools import start_page\n\nstart_page.show()"
TIMER = (
    "# A focus timer: run this cell, then press Start.\nfrom labhelpers.display import timer\n\ntimer.show()"
)
HABITS = [
    "- Before: `lab start` shows what you wrote last time and what today is for. `lab mlflow` opens your runs.",
    "- After: `lab wrap-up` files a journal entry and looks at tomorrow.",
    "- Now and then: `lab update` brings the course up to date and keeps what you wrote in its notebooks beside them.",
    "- In between: `lab next` and `lab progress` say in the terminal what this page says.",
    "- This page is a picture of the moment it was made: click the grey line at its top, "
    "then press Shift+Enter to bring it up to date.",
    "",
    "Type these in a terminal in the course folder; where `lab` is not found, `.venv/bin/lab` is the same.",
]


def page(now: Standing | None = None) -> str:
    """Write the start page in Markdown, with links relative to `lessons/`; an untouched course's never changes."""
    now = now or standing.now()
    course = timetable.load()["course"]
    lines = [f"# {course['title']}", "", course["promise"], ""]
    lines += [f"> **Milestone reached: {each.text}.** {each.words}\n" for each in now.milestones if each.new]
    lines += [f"> Something needs your hand: {complaint}\n" for complaint in now.complaints]
    if now.next:
        lines += _invitation(now.next)
    else:
        lines += ["You have done every lesson that is written. Well done. More are coming."]
    for title, part in (
        ("Where you are", _facts(now)),
        ("This week", _week(now)),
        ("Milestones", _milestones(now)),
        ("Techniques", _techniques(now)),
        ("The whole course", notebooks.course_table(dict.fromkeys(now.ticked, True))),
        ("Every day", HABITS),
    ):
        lines += ["", f"## {title}", "", *part]
    return "\n".join(lines)


def write_notebook() -> str:
    """Write `lessons/start_here.ipynb` with the page already rendered; an edited older one is kept beside it."""
    import nbformat

    from ..display import timer

    now = standing.now()
    cells = [
        _cell("start-here", REFRESH, page(now), hidden=True),
        _cell("focus-timer", TIMER, timer.static_text(), hidden=False),
    ]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata=notebooks.metadata("start", "Start here", cells)
    )
    path = desk() / "lessons" / "start_here.ipynb"
    notebooks.keep_edited(path)
    files.write(path, nbformat.writes(notebook))
    standing.remember(now)
    return "lessons/start_here.ipynb"


def desk() -> Path:
    """Give the folder that JupyterLab opens: the course, or a desk of the learner's own where the course is read-only.

    The desk lies in the workspace: copies of the notebooks, links to the rest. A copy that the learner worked in stays
    beside the newer one.
    """
    lab = current()
    try:
        tempfile.TemporaryFile(dir=lab.root / "lessons").close()
        return lab.root
    except OSError:
        own = lab.workspace / "course"
    for source in sorted(lab.root.glob("lessons/*/*.ipynb")):
        path = own / source.relative_to(lab.root)
        if not path.exists() or notebooks.stamp(path) != notebooks.stamp(source):
            notebooks.keep_edited(path)
            files.write(path, source.read_bytes())
    for name, target in {"curriculum": lab.root / "curriculum", "progress": lab.progress}.items():
        with contextlib.suppress(OSError):  # there already; or Windows, where links are not for everybody
            (own / name).symlink_to(target, target_is_directory=True)
    return own


def show() -> None:
    """Display the start page in a notebook, or print it elsewhere."""
    from IPython.display import Markdown, display

    now = standing.now()
    display(Markdown(page(now)))
    standing.remember(now)


def _invitation(step: Step) -> list[str]:
    day, items = step.lesson, step.ticked + len(step.open_items)
    lines = [f"## Next: {standing_view.name(day)}", "", day["promise"], ""]
    lines += [f"- Plan {step.minutes} minutes for yourself: reading, thinking, doing."]
    if (computing := standing_view.machine(step)) is not None:
        lines += [f"- {computing}"]
    if step.sitting:
        lines += [f"- {standing_view.sitting(step)}"]
    if step.ticked:
        lines += [f"- {step.ticked} of {items} items of its checklist are ticked."]
    verb = "Continue" if step.ticked else "Begin"
    return [*lines, "", f"### [→ {verb} {timetable.label(day)}]({day['lesson']}.ipynb)"]


def _facts(now: Standing) -> list[str]:
    return _table(
        ("what", "how far"), [(f"**{what}**", how_far) for what, how_far in standing_view.facts(now)]
    )


def _week(now: Standing) -> list[str]:
    """Show the boxes of the week that the next lesson belongs to, and count those of the others."""
    week, others = standing_view.this_week(now)
    boxes = (*week.checkpoints, *week.questions)
    rows = [(box.text, f"`{box.id}`", "✔ ticked" if box.ticked else "○ open") for box in boxes]
    return [
        f"{standing_view.week_name(week)} · {week.title}. At its end, can you say this of yourself? Tick in "
        f"`progress/{week.id}.md`, or with `lab done` and the id.",
        "",
        *_table(("checkpoint or question", "id", "state"), rows),
        "",
        f"The other weeks: {others}.",
    ]


def _milestones(now: Standing) -> list[str]:
    rows = [(each.text, each.place, "✔ reached" if each.reached else "○ open") for each in now.milestones]
    return _table(("milestone", "where", "state"), rows)


def _techniques(now: Standing) -> list[str]:
    rows = [(f"**{row[0].technique}**", *map(_technique, row)) for row in now.techniques]
    absent = [cell.text for row in now.techniques for cell in row if cell.state == "does not exist"]
    return [*_table(("technique", *standing.LEVELS), rows), "", *(f"- {text}." for text in absent)]


def _technique(cell: standing.Cell) -> str:
    if cell.lesson is None:
        return standing_view.cell(cell)
    link = f"[{timetable.label(cell.lesson)}]({cell.lesson['lesson']}.ipynb)"
    return f"{standing.MARKS[cell.state]} {cell.state}: {link}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return [lines[0], "|---" * len(heads) + "|", *lines[1:]]


def _cell(id: str, source: str, text: str, hidden: bool) -> Any:
    """A code cell with its output already there."""
    import nbformat

    output = nbformat.v4.new_output("display_data", {"text/markdown": text, "text/plain": text})
    look = {"jupyter": {"source_hidden": True}} if hidden else {}
    # With a number, because nbval refuses outputs of a cell that was never run.
    cell = nbformat.v4.new_code_cell(source, outputs=[output], metadata=look, execution_count=1)
    cell["id"] = id
    return cell
