"""JupyterLab and a real browser for the tests of this folder."""

import shutil

import pytest

from .jupyterlab import running_lab
from .notebook_page import PATIENCE, Notebook, Watched

# Debian's chromium; a container's root has no sandbox, and nothing may be fetched in the background.
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
)  # fmt: skip
NO_BROWSER = (
    "There is no `chromium` on this machine, so nobody can look at the course. Install it with "
    "`apt-get install chromium` (as root), then run the tests again."
)


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """JupyterLab on a copy of the course."""
    with running_lab(tmp_path_factory.mktemp("learner")) as lab:
        yield lab


@pytest.fixture(scope="package")
def browser():
    """Debian's Chromium, for this folder only: other tests cannot run beside Playwright's event loop."""
    from playwright.sync_api import expect, sync_playwright

    path = shutil.which("chromium")
    assert path, NO_BROWSER
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture
def watched(lab, browser):
    """An empty page of 1280 × 800; afterwards nothing may have gone wrong on it."""
    watched = Watched(lab, browser)
    yield watched
    watched.page.context.close()
    assert watched.trouble == []


@pytest.fixture(scope="package")
def day04_run(lab, browser):
    """Day 4, opened and run from top to bottom once."""
    notebook = Notebook(Watched(lab, browser), "day04")
    notebook.run_all()
    yield notebook
    notebook.page.context.close()


@pytest.fixture
def day04(day04_run):
    """Day 4 after "Run All Cells"; nothing may have gone wrong on it up to the end of the test."""
    yield day04_run
    assert day04_run.watched.trouble == []
