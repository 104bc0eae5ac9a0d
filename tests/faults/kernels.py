"""Day 4 in kernels of its own, worked on by a learner, and with a hand on the kernel's switch."""

import os
import re
import signal
import threading
from pathlib import Path

import nbclient
import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from labhelpers.core import timetable
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring

ITEMS = [item["id"] for item in timetable.lesson("day04")["checklist"]]
# A third of the smoke profile's sentences: the same lesson, and a training of seconds.
QUICK = "from labhelpers.core import settings\nsettings.SMOKE_EXAMPLES = 210\n"
# The cell in which a learner writes two sentences for the journal.
ENTRY = re.compile(r'^(what_\w+) = "…"$', re.MULTILINE)


def day04(prelude: str = "") -> nbformat.NotebookNode:
    """Day 4 solved by somebody who ticks boxes and writes in the journal on the way.

    Args:
        prelude: code of a first cell; a fault is planted there.
    """
    day = timetable.lesson("day04")
    notebook = nbformat.reads(authoring.notebook_text(day, manuscripts.read(day), "solved"), as_version=4)
    cells = [nbformat.v4.new_code_cell(prelude)] if prelude else []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.source = ENTRY.sub(r'\1 = "Zoë: \1 …"', cell.source)
            cells.append(cell)
            if number > 4 and number % 6 == 0:
                cells.append(nbformat.v4.new_code_cell(_diary(number)))
    notebook.cells = cells
    return notebook


def _diary(number: int) -> str:
    item = ITEMS[number // 6 % len(ITEMS)]
    return (
        f'progress.tick("{item}")\n'
        f'quiz.answer("day04/q1", "{"ab"[number // 6 % 2]}")\n'
        f'progress.write_journal("day04", "Thought number {number}: naïve, “quoted”.")'
    )


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    """A notebook with these code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def client_for(notebook: nbformat.NotebookNode, folder: Path) -> nbclient.NotebookClient:
    """A client that runs the notebook in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, timeout=400
    )


def run(
    notebook: nbformat.NotebookNode, folder: Path, seconds: float | None = None, **environment: str
) -> str:
    """Run all cells.

    Args:
        notebook: is filled with its outputs.
        folder: working directory of the kernel.
        seconds: kill the kernel this long after its first cell began.
        environment: variables for the kernel.

    Returns:
        "finished", "killed", or the error of the first failing cell.
    """
    client = client_for(notebook, folder)
    timers: list[threading.Timer] = []

    def start_the_clock(**_: object) -> None:
        if seconds is not None and not timers:
            timers.append(threading.Timer(seconds, os.kill, (client.km.provisioner.pid, signal.SIGKILL)))
            timers[0].start()

    client.on_cell_start = start_the_clock
    try:
        client.execute(env={**os.environ, **environment})
    except DeadKernelError:
        return "killed"
    except CellExecutionError as error:
        return str(error)
    finally:
        for timer in timers:
            timer.cancel()
    return "finished"


def printed(notebook: nbformat.NotebookNode) -> str:
    """Everything the cells printed or showed as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
