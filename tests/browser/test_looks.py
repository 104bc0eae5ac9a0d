"""Every page in both themes, on a laptop and on a tablet: nothing cut off, nothing axe calls serious, pictures kept."""

import re

import pytest
from playwright.sync_api import expect

from labhelpers.core import timetable

from .appearance import DARK, LAPTOP, LIGHT, TABLET, grave_issues, photograph, seen_in, texts_that_do_not_fit
from .notebook_page import Notebook

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK])
WIDTHS = pytest.mark.parametrize("width", [LAPTOP, TABLET])
OTHERS = [day["id"] for day in timetable.lessons() if day["status"] == "ready" and day["id"] != "day04"]


@THEMES
def test_start_page(watched, theme):
    watched.page.goto(f"{watched.lab.address}&reset")  # without the tabs of earlier tests
    watched.wait_for_kernel()
    expect(watched.page.locator(".jp-RenderedMarkdown").first).to_be_visible()
    for width in (LAPTOP, TABLET):
        with seen_in(watched.page, theme, width):
            assert texts_that_do_not_fit(watched.page) == []
            assert grave_issues(watched.page, f"start {theme}") == []
            photograph(watched.page, f"start {theme} {width}")


@WIDTHS
@THEMES
def test_day04(day04, theme, width):
    with seen_in(day04.page, theme, width):
        assert texts_that_do_not_fit(day04.page) == []
        photograph(day04.page, f"day04 {theme} {width}")


@THEMES
def test_axe_finds_nothing_serious_in_day04(day04, theme):
    with seen_in(day04.page, theme, LAPTOP):
        assert grave_issues(day04.page, f"day04 {theme}") == []


@pytest.mark.heavy  # a minute or more each; Day 4 stands for them in every `make test`
@pytest.mark.parametrize("lesson", OTHERS)
def test_other_lessons(watched, lesson):
    notebook = Notebook(watched, lesson)
    notebook.run_all()
    shown = "\n".join(notebook.page.locator(".jp-OutputArea-output").all_text_contents())
    assert not re.search(r"Traceback|Error displaying widget", shown)
    assert notebook.page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]').all_text_contents() == []
    for theme, width in ((LIGHT, LAPTOP), (DARK, TABLET)):
        with seen_in(notebook.page, theme, width):
            assert texts_that_do_not_fit(notebook.page) == []
            assert grave_issues(notebook.page, f"{lesson} {theme}") == []
            photograph(notebook.page, f"{lesson} {theme} {width}")
    watched.lab.end_kernel(notebook.path)
