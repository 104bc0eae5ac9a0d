"""The first thing a learner sees: the start page behind the address that `make lab` prints."""

import re
import subprocess
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from labhelpers.core import timetable
from labhelpers.core.settings import current

READY = [day for day in timetable.lessons() if day["status"] == "ready"]


@pytest.fixture
def page(watched):
    """The start page."""
    watched.page.goto(f"{watched.lab.address}&reset")  # without the tabs of earlier tests
    watched.wait_for_kernel()
    expect(watched.page.locator(".jp-RenderedMarkdown").first).to_be_visible()
    return watched.page


def test_make_lab_runs_what_these_tests_run():
    # Under `make test` an outer make would add its own "Leaving directory" to the answer.
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab", "ARGS=--no-browser"],
        cwd=current().root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/lab start --no-browser"


def test_it_greets_and_shows_the_whole_course(page, lab):
    expect(page.get_by_role("heading", level=1)).to_contain_text(timetable.load()["course"]["title"])
    expect(page.get_by_role("heading", name=re.compile("Next: Day 1"))).to_be_visible()
    for day in timetable.lessons():
        row = page.locator("tr", has=page.get_by_role("cell", name=timetable.label(day), exact=True))
        expect(row.filter(has_text=day["title"]).first).to_be_attached()
    links = page.locator(".jp-RenderedMarkdown a[href*='.ipynb']")
    targets = {
        unquote(re.search(r"lessons/[^?#]+", link.get_attribute("href")).group()) for link in links.all()
    }
    assert targets >= {f"lessons/{day['lesson']}.ipynb" for day in READY}
    assert [target for target in targets if not (lab.course / target).exists()] == []


def test_the_invitation_opens_the_next_lesson(page):
    page.get_by_role("link", name=re.compile("Begin Day 1")).click()
    expect(page.get_by_role("heading", level=1, name=re.compile("Day 1 · "))).to_be_visible()


def test_a_link_in_the_table_opens_its_lesson(page):
    page.get_by_role("link", name=timetable.lesson("day04")["title"], exact=True).first.click()
    expect(page.get_by_role("heading", level=1, name=re.compile("Day 4 · "))).to_be_visible()
