"""Builds lessons from manuscripts: learner and solved notebooks, answers, headers, navigation."""

import ast
import builtins
import dis
import hashlib
import json
import os
from pathlib import Path
from types import CodeType
from typing import Any

from ...core import answers, files, timetable
from ...core.settings import LabError, current
from .. import colab
from . import manuscripts

VARIANTS = ("learner", "solved", "misconceptions", "mutants")
STAMP = "labhelpers"


def build(lesson_ids: list[str] | None = None) -> list[Path]:
    """Build the notebooks and the sealed answers of ready lessons; an edited notebook is kept beside the new one."""
    files.write(current().root / "README.md", readme_text())
    written = []
    for day in _ready(lesson_ids):
        manuscript = manuscripts.read(day)
        files.write(answers.FOLDER / f"{day['id']}.json", answers_text(manuscript))
        path = current().root / "lessons" / f"{day['lesson']}.ipynb"
        keep_edited(path)
        files.write(path, notebook_text(day, manuscript, "learner"))
        written.append(path)
    return written


def notebook_text(day: dict[str, Any], manuscript: manuscripts.Manuscript, variant: str = "learner") -> str:
    """Render one lesson as JSON: "learner" has stubs, "solved" our solutions, "misconceptions" proves the exercises too."""
    import nbformat

    if variant not in VARIANTS:
        raise LabError(f"There is no variant {variant!r}. Choose one of {', '.join(VARIANTS)}.")
    cells = [_markdown(header(day)), *map(_code, colab.bootstrap())]
    hidden = folded(manuscript.cells)
    for position, cell in enumerate(manuscript.cells):
        rendered = _render(cell, manuscript, variant)
        if position in hidden:
            rendered[0].metadata.update(METADATA)
        cells.extend(rendered)
    cells.append(_markdown(_footer(day)))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata(day["id"], day["title"], cells))
    for position, cell in enumerate(notebook.cells):
        cell["id"] = f"{day['id']}-{position:03d}"
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def answers_text(manuscript: manuscripts.Manuscript) -> str:
    """Render the sealed answers of a lesson."""
    bundle = {
        "lesson": manuscript.lesson,
        "exercises": answers.seal(list(manuscript.exercises.values())),
        "quiz": answers.seal(manuscript.questions),
    }
    return json.dumps(bundle, indent=1) + "\n"


def readme_text() -> str:
    """Refresh the map of the course in the README."""
    text = (current().root / "README.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- timetable: begin -->\n")
    after = rest[rest.index("<!-- timetable: end -->") :]
    table = "\n".join(course_table({}, "lessons/"))
    return f"{before}<!-- timetable: begin -->\n{table}\n{after}"


def course_table(ticked: dict[str, bool], folder: str = "") -> list[str]:
    """Draw the map of the course as a Markdown table, one row per lesson; `ticked` comes from `progress.read()`."""
    rows = ["| when | lesson | minutes | of these, computing | state |", "|---|---|---:|---:|---|"]
    measured = timetable.measurements()
    for day in timetable.lessons():
        ready = day["status"] == "ready"
        title = f"[{day['title']}]({folder}{day['lesson']}.ipynb)" if ready else day["title"]
        state = _state(day, ticked) if ready else "not written yet"
        computing = f"{measured[day['id']]['seconds'] / 60:.1f}" if day["id"] in measured else ""
        rows.append(
            f"| {timetable.label(day)} | {title} | {timetable.minutes(day)} | {computing} | {state} |"
        )
    return rows


def _state(day: dict[str, Any], ticked: dict[str, bool]) -> str:
    done = sum(ticked.get(item["id"], False) for item in day["checklist"])
    if done == len(day["checklist"]):
        return "✔ done"
    return f"◐ {done} of {len(day['checklist'])}" if done else ""


def header(day: dict[str, Any]) -> str:
    """Write the head of a lesson from the timetable."""
    lines = [f"# {timetable.label(day)} · {day['title']}", "", f"*{day['promise']}*", "", *colab.badge(day)]
    lines += ["| section | minutes |", "|---|---:|"]
    lines += [f"| {section['title']} | {section['minutes']} |" for section in day["sections"]]
    lines += [f"| **together** | **{timetable.minutes(day)}** |", "", _measured(day), "", _prerequisites(day)]
    lines += ["", *_reading(day), _navigation(day)]
    return "\n".join(lines)


def metadata(lesson_id: str, title: str, cells: list[Any]) -> dict[str, Any]:
    """Write the metadata of a notebook, with the stamp that tells later whether somebody edited it."""
    return {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "title": title,
        STAMP: {"lesson": lesson_id, "built": _digest([cell.source for cell in cells])},
    }


def keep_edited(path: Path) -> Path | None:
    """Move a notebook out of the way if its cells differ from what was built."""
    if not path.exists() or not is_edited(path):
        return None
    kept = move_aside(path)
    print(f"You have worked in {path.name}. Your copy is now {kept.name}; nothing of it was changed.")
    return kept


def move_aside(path: Path) -> Path:
    """Rename a file that is the learner's to the next free NAME.mine1.ipynb, NAME.mine2.ipynb …"""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.stem}.mine{number}{path.suffix}")):
        number += 1
    return path.rename(kept)


def stamp(path: Path) -> str | None:
    """Read which state of the course a notebook was built from; None where it cannot tell."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"][STAMP]["built"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_edited(path: Path) -> bool:
    """Tell whether the cells of a notebook are not those it was built with; outputs and metadata do not count."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        sources = ["".join(cell["source"]) for cell in notebook["cells"]]
        return notebook["metadata"].get(STAMP, {}).get("built") != _digest(sources)
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _ready(lesson_ids: list[str] | None) -> list[dict[str, Any]]:
    if lesson_ids is None:
        return [day for day in timetable.lessons() if day["status"] == "ready"]
    days = [timetable.lesson(lesson_id) for lesson_id in lesson_ids]
    for day in days:
        if day["status"] != "ready":
            raise LabError(
                f"{day['id']} is still {day['status']} in the timetable: it has no manuscript to build."
            )
    return days


def _render(cell: Any, manuscript: manuscripts.Manuscript, variant: str) -> list[Any]:
    """Turn one manuscript cell into the cells a reader gets."""
    tags = manuscripts.tags(cell)
    if "check" in tags:
        return []
    if "quiz" in tags:
        return [_code(f'quiz.ask("{manuscript.lesson}")')]
    if "checklist" in tags:
        intro = "## Checklist\n\nTick what you have done. The ticks live in the `progress/` folder, in plain Markdown."
        return [_markdown(intro), _code(f'progress.checklist("{manuscript.lesson}")')]
    if "exercise" in tags:
        return _render_exercise(cell, manuscript.exercises[cell.metadata["exercise"]], variant)
    return [_markdown(cell.source) if cell.cell_type == "markdown" else _code(cell.source)]


def _render_exercise(cell: Any, record: dict[str, Any], variant: str) -> list[Any]:
    exercise_id, answer = record["id"], record["answer"]
    stars = "★" * record["difficulty"] + "☆" * (3 - record["difficulty"])
    name = exercise_id.split("/")[1].replace("-", " ")
    title = f'### Exercise: {name}\n\n{record["minutes"]} minutes · difficulty {stars} · hints: `exercise.hint("{exercise_id}")`'
    stub = manuscripts.SOLUTION.sub("", cell.source + "\n").strip()
    rendered = [_markdown(title), _code(stub if variant == "learner" else record["solution"])]
    if variant == "misconceptions":
        rendered.append(_code(f'exercise.prove("{exercise_id}")'))
    if variant == "mutants":
        trying = f'mutants.try_out("{exercise_id}", globals())'
        rendered.append(_code(f"from labhelpers.tools.authoring import mutants\n\n{trying}"))
    return [*rendered, _code(f'{answer} = exercise.check("{exercise_id}", {answer})')]


def _markdown(source: str) -> Any:
    import nbformat

    return nbformat.v4.new_markdown_cell(source)


def _code(source: str) -> Any:
    import nbformat

    return nbformat.v4.new_code_cell(source)


def _digest(sources: list[str]) -> str:
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def _measured(day: dict[str, Any]) -> str:
    measured = timetable.measurements().get(day["id"])
    if not measured:
        return "The machine's share of this time has not been measured yet."
    without = measured.get("seconds_without_bf16")
    other = f"; {without / 60:.1f} on one without bf16 units" if without else ""
    return (
        f"The machine works for {measured['seconds'] / 60:.1f} of these minutes{other}, and needs "
        f"{measured['peak_gib']:.1f} GiB of memory at most (2-core CPU, measured {measured['date']})."
    )


def _prerequisites(day: dict[str, Any]) -> str:
    needed = day.get("prerequisites") or []
    if not needed:
        return "You need some Python. Nothing else comes before this."
    titles = [timetable.label(timetable.lesson(lesson_id)) for lesson_id in needed]
    return f"Builds on {', '.join(titles)}. Skipped them? What this lesson needs, it makes for you."


def _reading(day: dict[str, Any]) -> list[str]:
    """Link the guides of a lesson under their own titles."""
    if not day.get("guides"):
        return []
    folder = current().root / "curriculum" / "guides"
    titles = {
        name: (folder / f"{name}.md").read_text(encoding="utf-8").split("\n")[0] for name in day["guides"]
    }
    links = [f"[{title.lstrip('# ')}](../../curriculum/guides/{name}.md)" for name, title in titles.items()]
    return [f"Reading for today, ten minutes each at most: {', '.join(links)}.", ""]


def _navigation(day: dict[str, Any]) -> str:
    beside = day["week"] == "techniques"
    lessons = [other for other in timetable.lessons() if (other["week"] == "techniques") == beside]
    position = [other["id"] for other in lessons].index(day["id"])
    links = ["[Start page](../start_here.ipynb)"]
    if position:
        links.insert(0, _link("← ", lessons[position - 1]))
    if position + 1 < len(lessons):
        links.append(_link("→ ", lessons[position + 1]))
    return " · ".join(links)


def _link(arrow: str, day: dict[str, Any]) -> str:
    if day["status"] != "ready":
        return f"{arrow}{timetable.label(day)} (not written yet)"
    return f"[{arrow}{timetable.label(day)}](../{day['lesson']}.ipynb)"


def _footer(day: dict[str, Any]) -> str:
    lines = ["---", ""]
    if day.get("sources"):
        lines += ["## Sources", ""]
        lines += [f"- {source['title']}, {source['year']}. {source['section']}." for source in day["sources"]]
        lines += [""]
    if day.get("milestone"):
        lines += [f"**Milestone: {day['milestone']}**", ""]
    return "\n".join([*lines, _navigation(day)])


LONG = 6  # lines; a shorter cell is read as quickly as it is opened
METADATA = {"cellView": "form", "jupyter": {"source_hidden": True}}  # Colab's name for it, and JupyterLab's
HANDS = ("plots", "plt", "np", "math")  # what a cell may call by name, beside Python's own functions
TEACHES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.With)


def folded(cells: list[Any]) -> set[int]:
    """Find the code cells to fold: tagged `fold` by their author, or drawing a figure and doing nothing else.

    Such a cell has more than 6 lines, ends in `plots.show`, calls nothing but plots, plt, np, math, Python's own
    functions and methods of values, and no later cell needs a name from it. The tag `open` keeps one open.
    """
    code = [at for at, cell in enumerate(cells) if cell.cell_type == "code"]
    compiled = {at: compile(cells[at].source, f"<cell {at}>", "exec") for at in code}
    imported = set().union(*(_imports(cells[at].source) for at in code))
    chosen = set()
    for order, at in enumerate(code):
        tags = cells[at].metadata.get("tags", [])
        if "fold" in tags or (
            not tags
            and _only_draws(cells[at].source, imported)
            and not _needed(compiled[at], [compiled[later] for later in code[order + 1 :]])
        ):
            chosen.add(at)
    return chosen


def _only_draws(source: str, imported: set[str]) -> bool:
    if len(source.splitlines()) <= LONG or "plots.show(" not in source:
        return False
    nodes = list(ast.walk(ast.parse(source)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    functions = {part.id for part in called if isinstance(part, ast.Name)}
    modules = {
        part.value.id
        for part in called
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    }
    return (
        not any(isinstance(node, TEACHES) for node in nodes)
        and all(hasattr(builtins, name) for name in functions)
        and not (modules & imported).difference(HANDS)
    )


def _imports(source: str) -> set[str]:
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom))
    return {(name.asname or name.name).split(".")[0] for node in found for name in node.names}


def _needed(cell: CodeType, later: list[CodeType]) -> bool:
    """Whether a later cell reads a name of this one before it gives the name a value of its own."""
    names = _binds(cell)
    for other in later:
        if names & _takes(other):
            return True
        names -= _binds(other)
    return False


def _binds(code: CodeType) -> set[str]:
    return {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}


def _takes(code: CodeType) -> set[str]:
    """Names that a cell has from the cells before it: read, inside its functions too, before they are bound here."""
    taken: set[str] = set()
    bound: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in bound:
            taken.add(step.argval)
        elif step.opname == "STORE_NAME":
            bound.add(step.argval)
        elif isinstance(step.argval, CodeType):
            taken |= _takes(step.argval) - bound
    return taken
