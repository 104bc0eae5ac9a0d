"""What a page looks like: themes, widths, texts that do not fit, and what axe says about it."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

from labhelpers.core.settings import current

# What the course wrote: rendered Markdown and the outputs of cells. Everything else on the page is JupyterLab's.
CONTENT = ".jp-OutputArea-output, .jp-MarkdownOutput"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
LAPTOP, TABLET = 1280, 820
GRAVE = ("serious", "critical")
PAGE_HEIGHT = 1800
# Three screens of outputs below one cell are more than anybody reads; the start page is a page, and may be long.
LONGEST_OUTPUT = 2400
# JupyterLab leaves cells undrawn that nobody has scrolled to; here they all count.
EVERYTHING_DRAWN = "* {content-visibility: visible !important;}"

TEXTS_THAT_DO_NOT_FIT = """([content, longest]) => {
    const found = [];
    const say = (what, element) => found.push(`${what}: ${element.tagName}.${element.className} `
        + (element.textContent || element.value || element.alt || '').trim().slice(0, 80));
    const wider = element => element.scrollWidth > element.clientWidth + 1;
    const pen = document.createElement('canvas').getContext('2d');
    for (const outputs of document.querySelectorAll('.jp-Cell-outputArea'))
        if (outputs.offsetHeight > longest && !outputs.querySelector('.jp-RenderedMarkdown')) say(`${outputs.offsetHeight} pixels high`, outputs);
    const choiceIsCut = select => {
        const style = getComputedStyle(select);
        pen.font = style.font;
        const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return pen.measureText(select.selectedOptions[0]?.text ?? '').width > room;
    };
    for (const area of document.querySelectorAll(content)) {
        const edge = area.getBoundingClientRect().right + 1;
        if (area.clientWidth && wider(area)) say('wider than the page', area);
        for (const element of area.querySelectorAll('*:not(mjx-container *)')) {
            if (!element.clientWidth) continue;
            const hides = ['hidden', 'clip'].includes(getComputedStyle(element).overflowX);
            const isControl = ['INPUT', 'SELECT', 'TEXTAREA', 'BUTTON', 'IMG'].includes(element.tagName);
            if (hides && wider(element) && element.textContent.trim()) say('cut off', element);
            const isLabel = element.tagName === 'LABEL';
            if (isLabel && element.scrollHeight > element.clientHeight + 3) say('over the next one', element);
            if (element.tagName === 'SELECT' && choiceIsCut(element)) say('choice cut off', element);
            if (isControl && element.getBoundingClientRect().right > edge) say('over the edge', element);
        }
    }
    return found;
}"""
IS_OURS = "([target, content]) => Boolean(document.querySelector(target)?.closest(content))"


@contextmanager
def seen_in(page, theme: str, width: int):
    """Look at a page in a theme and at a width, then put it back; on a tablet one closes the side bar."""
    _use_theme(page, theme)
    page.set_viewport_size({"width": width, "height": 800})
    _show_side_bar(page, width != TABLET)
    page.add_style_tag(content=EVERYTHING_DRAWN)
    try:
        yield
    finally:
        _show_side_bar(page, True)
        page.set_viewport_size({"width": LAPTOP, "height": 800})
        _use_theme(page, LIGHT)


def texts_that_do_not_fit(page) -> list[str]:
    """Find what is wider than its place, cut off, over the edge or endless in the course's own content."""
    return page.evaluate(TEXTS_THAT_DO_NOT_FIT, [CONTENT, LONGEST_OUTPUT])


def grave_issues(page, name: str) -> list[str]:
    """Let axe examine a page; the issues of JupyterLab's own interface go into a file beside the screenshots.

    Returns:
        The serious and critical issues inside the course's own content.
    """
    from axe_playwright_python.sync_playwright import Axe

    ours, theirs = [], []
    for issue in Axe().run(page).response["violations"]:
        for node in issue["nodes"]:
            line = f"{issue['impact']} {issue['id']}: {node['html'][:200]}"
            is_ours = page.evaluate(IS_OURS, [node["target"][0], CONTENT])
            (ours if is_ours else theirs).append(line)
    _kept(f"{name} axe about jupyterlab", ".txt").write_text("\n".join(sorted(theirs)), encoding="utf-8")
    return [line for line in ours if line.startswith(GRAVE)]


def photograph(page, name: str) -> None:
    """Keep pictures of a whole notebook, one screen of 1800 pixels after the other, for people to look at."""
    page.set_viewport_size({"width": page.viewport_size["width"], "height": PAGE_HEIGHT})
    notebook = page.locator(".jp-WindowedPanel-outer").first
    height, step = notebook.evaluate("outer => [outer.scrollHeight, outer.clientHeight - 40]")
    for number, top in enumerate(range(0, height, step)):
        notebook.evaluate("(outer, top) => { outer.scrollTop = top; }", top)
        page.screenshot(path=_kept(f"{name} {number:02d}", ".png"))


def _use_theme(page, theme: str) -> None:
    """Choose a theme in JupyterLab's menu, as a learner does."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item").get_by_text("Theme", exact=True).click()
    page.locator(".lm-Menu-item").get_by_text(theme, exact=True).click()
    is_light = "light => document.body.dataset.jpThemeLight === String(light)"
    page.wait_for_function(is_light, arg=theme == LIGHT)


def _show_side_bar(page, shown: bool) -> None:
    side_bar = page.locator("#jp-left-stack")
    if side_bar.is_visible() != shown:
        page.keyboard.press("Control+b")
        side_bar.wait_for(state="visible" if shown else "hidden")


def _kept(name: str, ending: str) -> Path:
    folder = Path(os.environ.get("LAB_SCREENSHOTS") or current().root / "workspace" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (re.sub(r"[^a-z0-9]+", "-", name.lower()) + ending)
