"""Puts widgets and HTML on a page, and repairs what ipywidgets 8.1 and JupyterLab 4.6 leave out."""

from functools import cache
from pathlib import Path
from typing import Any

CLASS = "course-widget"
REPAIRS = Path(__file__).with_name("repairs.html")


def show(widget: Any) -> None:
    """Display a box of ipywidgets with texts that wrap, and sliders that a screen reader can name.

    A slider is called by its tooltip, else by its description. WCAG 2.2, 1.4.10 (reflow) and 4.1.2 (names).
    """
    from IPython.display import display

    widget.add_class(CLASS)
    display(widget)
    display({"text/html": REPAIRS.read_text(encoding="utf-8"), "text/plain": ""}, raw=True)


def render(folder: Path, template: str, **values: Any) -> str:
    """Fill a Jinja2 template of a folder; whatever is put into it is escaped."""
    return _environment(folder).get_template(template).render(values)


@cache
def _environment(folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
