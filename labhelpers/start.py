"""The start page: where you are, what is next, how long it takes here, one link to begin."""

from typing import Any

from . import doctor, progress, timetable
from .settings import current, write_atomically


def next_lesson() -> dict[str, Any] | None:
    """Find the first written lesson with an item still open.

    Returns:
        The lesson, or None when everything written so far is done.
    """
    ticked = progress.read()
    for day in timetable.lessons():
        if day["status"] == "ready" and not all(ticked.get(item["id"], False) for item in day["checklist"]):
            return day
    return None


def page() -> str:
    """Write the start page for this learner on this machine.

    Returns:
        Markdown with links relative to `lessons/`.
    """
    day = next_lesson()
    lines = [f"# {timetable.load()['course']['title']}", "", timetable.load()["course"]["promise"], ""]
    lines += (
        _invitation(day)
        if day
        else ["You have done every lesson that is written. Well done. More are coming."]
    )
    lines += ["", "## The whole course", "", *course_table(progress.read())]
    return "\n".join(lines)


def write_notebook() -> str:
    """Write `lessons/start_here.ipynb` with the page already rendered, so that it greets without being run.

    Returns:
        Its path relative to the course folder. An edited older page is kept beside it.
    """
    import nbformat

    from . import authoring

    text = page()
    output = nbformat.v4.new_output("display_data", {"text/markdown": text, "text/plain": text})
    cells = [
        nbformat.v4.new_code_cell(
            "# Run this cell to refresh the page.\nfrom labhelpers import start\n\nstart.show()",
            outputs=[output],
            metadata={"jupyter": {"source_hidden": True}},
        )
    ]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata=authoring.metadata("start", "Start here", cells)
    )
    notebook.cells[0]["id"] = "start-here"
    path = current().root / "lessons" / "start_here.ipynb"
    authoring.keep_edited(path)
    write_atomically(path, nbformat.writes(notebook))
    return "lessons/start_here.ipynb"


def show() -> None:
    """Display the start page in a notebook, or print it elsewhere."""
    from IPython.display import Markdown, display

    display(Markdown(page()))


def course_table(ticked: dict[str, bool], folder: str = "") -> list[str]:
    """Draw the map of the course.

    Args:
        ticked: checklist item → done, from `progress.read()`; empty for the README.
        folder: prefix of the links, such as "lessons/".

    Returns:
        Lines of a Markdown table, one row per lesson.
    """
    rows = ["| when | lesson | minutes | of these, computing | |", "|---|---|---:|---:|---|"]
    measured = doctor.measurements()
    for day in timetable.lessons():
        done = all(ticked.get(item["id"], False) for item in day["checklist"])
        ready = day["status"] == "ready"
        title = f"[{day['title']}]({folder}{day['lesson']}.ipynb)" if ready else day["title"]
        state = ("done" if done else "") if ready else "not written yet"
        computing = f"{measured[day['id']]['seconds'] / 60:.1f}" if day["id"] in measured else ""
        rows.append(
            f"| {timetable.label(day)} | {title} | {timetable.minutes(day)} | {computing} | {state} |"
        )
    return rows


def _invitation(day: dict[str, Any]) -> list[str]:
    ticked = progress.read()
    items = day["checklist"]
    done = sum(ticked.get(item["id"], False) for item in items)
    machine = doctor.predicted_minutes(day["id"])
    lines = [f"## Next: {timetable.label(day)} · {day['title']}", "", day["promise"], ""]
    lines += [f"- Plan {timetable.minutes(day)} minutes for yourself."]
    if machine is not None:
        lines += [f"- This machine will be computing for about {max(1, round(machine))} of them."]
    if done:
        lines += [f"- {done} of {len(items)} items of its checklist are ticked."]
    verb = "Continue" if done else "Begin"
    return [*lines, "", f"### [→ {verb} {timetable.label(day)}]({day['lesson']}.ipynb)"]
