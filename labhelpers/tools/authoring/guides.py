"""Reads the guides in curriculum/guides: their code blocks, their sections, their figures. For authors and tests."""

import re
import runpy
from dataclasses import dataclass
from pathlib import Path

from ...core import settings
from ...core.settings import LabError

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```\s*$", re.M | re.S)
HEADING = re.compile(r"^(?P<level>#{1,6}) (?P<title>.+)$", re.M)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str  # the first word after the fence, such as "python"
    file: str  # given as `file=NAME` after the language; "" for a block that is no file
    code: str
    line: int  # of the page, on which the code begins, from 1


def folder() -> Path:
    """Tell where the guides are."""
    return settings.current().root / "curriculum" / "guides"


def pages() -> list[Path]:
    """List the Markdown files of the guides, sorted by name."""
    return sorted(folder().glob("*.md"))


def blocks(text: str) -> list[Block]:
    """Find the fenced blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(text):
        words = match["info"].split()
        file = next((word.removeprefix("file=") for word in words if word.startswith("file=")), "")
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(words[0] if words else "", file, match["code"], line))
    return found


def prose(text: str) -> str:
    """Leave out the fenced blocks of a page; every other line keeps its number."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def slug(title: str) -> str:
    """Write a heading as GitHub and JupyterLab link to it, such as "what-lora-saves"."""
    kept = re.sub(r"[^\w\- ]", "", title.strip().lower())
    return kept.replace(" ", "-")


def sections(text: str) -> dict[str, str]:
    """Cut a page at its headings: slug → the text below, up to the next heading of the same or a higher level."""
    headings = {match[0] for match in HEADING.finditer(prose(text))}
    starts = [match for match in HEADING.finditer(text) if match[0] in headings]
    found = {}
    for at, match in enumerate(starts):
        later = (other.start() for other in starts[at + 1 :] if len(other["level"]) <= len(match["level"]))
        found[slug(match["title"])] = text[match.start() : next(later, len(text))]
    return found


def figure_scripts() -> list[Path]:
    """List the scripts that draw the guides' figures; each defines `figure()`, which returns a Matplotlib Figure."""
    return sorted((folder() / "figures").glob("*.py"))


def draw(script: Path) -> bytes:
    """Draw the figure of one script as a PNG."""
    from ...display import plots
    from ...display.canvas import png_of, write_thousands

    plots.use_style()
    names = runpy.run_path(str(script))
    if "figure" not in names:
        raise LabError(f"{script} defines no figure(). Add a function of that name that returns the Figure.")
    drawn = names["figure"]()
    write_thousands(drawn)
    return png_of(drawn)


def draw_all() -> list[Path]:
    """Draw every figure of the guides, and list the PNG files whose picture has changed."""
    written = []
    for script in figure_scripts():
        picture, target = draw(script), script.with_suffix(".png")
        if not target.exists() or not same_picture(picture, target.read_bytes()):
            target.write_bytes(picture)
            written.append(target)
    return written


def same_picture(one: bytes, other: bytes) -> bool:
    """Whether two PNGs have the same size and differ clearly in less than one pixel of a thousand: a title is more."""
    from io import BytesIO

    import numpy as np
    from matplotlib import image

    first, second = (image.imread(BytesIO(png)) for png in (one, other))
    return first.shape == second.shape and float((np.abs(first - second) > 0.3).mean()) < 0.001
