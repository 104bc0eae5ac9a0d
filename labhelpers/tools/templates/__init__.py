"""HTML pages that need no other file, from Jinja2 templates: whatever is put into one is escaped."""

from functools import cache
from pathlib import Path
from typing import Any


def render(template: str, **values: Any) -> str:
    """Fill a template; its name is its path from `labhelpers/tools`."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    tools = FileSystemLoader(Path(__file__).parents[1])
    return Environment(
        loader=tools, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
