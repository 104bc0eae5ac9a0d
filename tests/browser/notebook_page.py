"""A notebook in JupyterLab, handled as a learner does: menus, keys, clicks."""

import json
import time
from pathlib import Path

import nbformat

from labhelpers.core import timetable

LONGEST_RUN = 600_000  # milliseconds for one lesson on a busy machine
PATIENCE = 30_000  # milliseconds for anything else
# A cell that runs or waits shows [*]; a cell that failed leaves those after it without a number.
ENDED = """() => {
    const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')];
    return prompts.some(prompt => /\\[\\d+\\]/.test(prompt.textContent))
        && !prompts.some(prompt => prompt.textContent.includes('*'));
}"""


class Watched:
    """A browser page that remembers everything that went wrong on it.

    Attributes:
        page: the Playwright page.
        trouble: console errors, uncaught exceptions and requests to other machines.
        kernel_answered: whether a kernel has introduced itself since the page was loaded; before that JupyterLab
            shows "idle" already and loses what is run.
    """

    def __init__(self, lab, browser) -> None:
        self.lab, self.trouble, self.kernel_answered = lab, [], False
        self.page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.trouble.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)
        self.page.on("websocket", self._listen)
        self.page.on("dialog", lambda dialog: dialog.accept())  # "Leave this page?" Yes.

    def open(self, path: str) -> None:
        """Open a file of the course in JupyterLab, with a fresh arrangement of tabs."""
        self.page.goto(f"{self.lab.base}/lab/tree/{path}?token={self.lab.token}&reset")

    def wait_for_kernel(self) -> None:
        """Wait until a kernel has introduced itself; from then on the page does what it is asked."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.kernel_answered:
            assert time.monotonic() < deadline, f"no kernel for {self.page.url}"
            self.page.wait_for_timeout(50)

    def _listen(self, channel) -> None:
        def hear(message) -> None:
            self.kernel_answered |= "kernel_info_reply" in str(message)

        if channel.url.split("?")[0].endswith("/channels"):
            channel.on("framereceived", hear)

    def _heard(self, message) -> None:
        if message.type == "error":
            self.trouble.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request) -> None:
        if not request.url.startswith((self.lab.base, "data:", "blob:")):
            self.trouble.append(f"asked another machine: {request.url}")


class Notebook:
    """A notebook in its own page.

    Args:
        watched: the page.
        name: a lesson such as "day04", or the path of another notebook of the course.
    """

    def __init__(self, watched: Watched, name: str) -> None:
        self.watched, self.page = watched, watched.page
        self.path = name if name.endswith(".ipynb") else f"lessons/{timetable.lesson(name)['lesson']}.ipynb"
        cells = json.loads((watched.lab.course / self.path).read_text(encoding="utf-8"))["cells"]
        self.sources = ["".join(cell["source"]) for cell in cells]
        watched.open(self.path)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until the notebook is drawn, and its kernel is connected and has nothing to do."""
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.watched.wait_for_kernel()
        self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()

    def reload(self) -> None:
        """Load the page again, as F5 does."""
        self.watched.kernel_answered = False
        self.page.reload()
        self.wait_until_idle()

    def run_all(self) -> None:
        """Choose "Run All Cells" in the menu and wait until every cell has its number."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.page.wait_for_function(ENDED, timeout=LONGEST_RUN)
        self.wait_until_idle()
        errors = self.page.locator('.jp-OutputArea-output[data-mime-type*="error"]').all_text_contents()
        assert errors == [], f"{self.path} stopped at an error: {errors[0][-2000:]}"

    def cell(self, fragment: str):
        """Scroll to the cell whose source, as we built it, holds a fragment: elsewhere JupyterLab draws nothing."""
        at = next(number for number, source in enumerate(self.sources) if fragment in source)
        found = self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{at}"]')
        found.scroll_into_view_if_needed()
        return found

    def write(self, cell, text: str) -> None:
        """Replace the text of a cell, and stay in its editor."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def run(self, cell) -> None:
        """Press Shift+Enter in a cell and wait until it has run."""
        cell.locator(".cm-content").click()
        before = cell.locator(".jp-InputPrompt").inner_text()
        self.page.keyboard.press("Shift+Enter")
        wait = "([prompt, before]) => /\\[\\d+\\]/.test(prompt.textContent) && prompt.textContent !== before"
        self.page.wait_for_function(wait, arg=[cell.locator(".jp-InputPrompt").element_handle(), before])

    def add_cell_below(self, fragment: str, text: str):
        """Add a cell below another with the keys of JupyterLab (Esc, b, Enter)."""
        at = next(number for number, source in enumerate(self.sources) if fragment in source)
        self.cell(fragment).locator(".cm-content").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(text)
        self.sources.insert(at + 1, text)
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{at + 1}"]')

    def save(self) -> None:
        """Press Ctrl+S and wait until the file is written."""
        file = self.watched.lab.course / self.path
        with self.page.expect_response(
            lambda answer: answer.request.method == "PUT" and file.name in answer.url
        ):
            self.page.keyboard.press("Control+s")


def write_notebook(file: Path, sources: list[str]) -> None:
    """Write a notebook of code cells, as the lessons are: with the kernel they want."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)
