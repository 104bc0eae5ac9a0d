"""When the papers of the guide appeared, read from the guide itself."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from labhelpers.display.canvas import COLOURS, row_axes, row_texts
from labhelpers.tools.authoring import guides

PAGE = Path(__file__).parents[1] / "resources.md"


def figure() -> Figure:
    """One row per paper, its dot at the year in which it appeared."""
    listed = guides.sections(PAGE.read_text(encoding="utf-8"))["papers-in-a-good-order"]
    found = re.findall(r"\*{1,2}([^*]{3,90})\*{1,2}[^*]*?\([^()]*?(20\d\d)", listed)
    papers = sorted({(int(year), " ".join(title.split())) for title, year in found})
    names = [title if len(title) < 34 else f"{title[:32].rsplit(' ', 1)[0]} …" for _, title in papers]
    figure, axes = row_axes(names, "The papers of this course, oldest first", "year", "")
    axes.scatter([year for year, _ in papers], range(len(papers)), color=COLOURS[0], s=60, zorder=3)
    axes.set(xlim=(papers[0][0] - 0.5, papers[-1][0] + 0.5))
    row_texts(axes, [str(year) for year, _ in papers])
    return figure
