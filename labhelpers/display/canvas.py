"""Empty charts in the course's style, and the way a finished one reaches the page."""

import base64
import functools
import html
import struct
import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .labels import (
    CARD,
    INK,
    LABEL_SIZE,
    QUIET,
    ROW,
    column_ticks,
    figure_text,
    numbers,
    readable_on,
    vertical_lines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
WIDTH = 7.2  # inches; 792 pixels at DPI, which fits beside JupyterLab's sidebar on a small laptop
DPI = 110
SHARPNESS = 2  # pixels of the PNG per pixel on the page, for retina screens


def apply_style() -> None:
    """Put the course's style into Matplotlib's rcParams."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.8), "figure.dpi": DPI, "savefig.dpi": SHARPNESS * DPI,
            "figure.facecolor": CARD, "savefig.facecolor": CARD, "axes.facecolor": CARD,
            "savefig.bbox": "tight", "savefig.pad_inches": 0.2, "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=COLOURS), "axes.edgecolor": QUIET, "axes.labelcolor": INK,
            "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
            "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlesize": 12,
            "figure.titleweight": "bold", "figure.titlesize": 12, "axes.titlepad": 12,
            "text.color": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": "#DDDAD3",
            "font.size": LABEL_SIZE, "axes.labelsize": LABEL_SIZE, "lines.linewidth": 2.2,
            "font.family": "sans-serif", "legend.frameon": False, "image.cmap": "cividis",
        }
    )  # fmt: skip


# Charts are drawn in our style even when nobody called use_style(); a reader's later changes stay.
style_once = functools.cache(apply_style)


def plain_axes(title: str, xlabel: str, ylabel: str, height: float = 3.8) -> "tuple[Figure, Axes]":
    """Make a figure with one empty chart and the title at its left edge; `height` in inches."""
    from matplotlib.figure import Figure

    style_once()
    # Not pyplot.figure: pyplot would keep the figure and the notebook would show it a second time.
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        figure.suptitle(textwrap.fill(title, 74), x=0.01, ha="left")
    return figure, axes


def row_axes(rows: Sequence[str], title: str, xlabel: str, ylabel: str) -> "tuple[Figure, Axes]":
    """Make a chart with one named row per entry, the first at the top."""
    lines = max(row.count("\n") + 1 for row in rows)
    row_height = (ROW * lines + 10) / 72
    figure, axes = plain_axes(title, xlabel, ylabel, height=1.2 + row_height * len(rows))
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.margins(x=0.06)
    return figure, axes


def row_texts(axes: "Axes", texts: Sequence[str]) -> None:
    """Write one text per row in a column at the right, where no mark can cover it."""
    for row, text in enumerate(texts):
        axes.annotate(
            text, (1.02, row), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )


def references(axes: "Axes", reference: float | None, label: str, guess: Any, function: str) -> None:
    """Draw the line that values are compared with and the reader's guess, each with its name and number."""
    drawn = {}
    if reference is not None:
        (at,) = numbers(function, "reference", [reference])
        drawn[f"{label} {figure_text(at)}"] = (at, QUIET, "-")
    guess = getattr(guess, "value", guess)
    if guess is not None:
        (at,) = numbers(function, "guess", [guess])
        drawn[f"your guess {figure_text(at)}"] = (at, COLOURS[1], "--")
    vertical_lines(axes, drawn)


def cell_axes(
    cells: Any, texts: Sequence[Sequence[str]] | None, rows: Sequence[str], columns: Sequence[str],
    limits: tuple[float, float], title: str, xlabel: str, ylabel: str,
) -> "AxesImage":  # fmt: skip
    """Draw an array as shades of blue between two limits, with a text in each cell or none."""
    from matplotlib.colors import LinearSegmentedColormap

    lines = 1 if not texts else max(text.count("\n") + 1 for row in texts for text in row)
    cell_width = min(88.0, 420 / len(columns))
    row_height = max(15.0, 300 / len(rows))
    if texts:
        row_height = max(ROW * lines + 12, min(cell_width * 0.55, 300 / len(rows)))
    figure, axes = plain_axes(title, xlabel, ylabel, height=1.3 + row_height * len(rows) / 72)
    figure.set_figwidth(min(WIDTH, 3.2 + cell_width * len(columns) / 72))
    shades = LinearSegmentedColormap.from_list("course", ["#EEF3F7", "#7FB3D5", "#0072B2", "#08304F"])
    image = axes.imshow(cells, cmap=shades, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_yticks(range(len(rows)), rows)
    column_ticks(axes, columns, cell_width)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in ((r, c) for r in range(len(rows)) for c in range(len(columns)) if texts):
        colour = readable_on(image.cmap(image.norm(cells[row, column])))
        axes.text(column, row, texts[row][column], ha="center", va="center", color=colour)
    return image


def png_of(figure: "Figure") -> bytes:
    """Draw a figure as a PNG, with twice as many pixels as it takes on the page."""
    style_once()
    stream = BytesIO()
    figure.savefig(
        stream, format="png", dpi=SHARPNESS * DPI, bbox_inches="tight", pad_inches=0.2, facecolor=CARD
    )
    return stream.getvalue()


def display_png(png: bytes, alt: str) -> None:
    """Put a PNG on the page at 1/SHARPNESS of its size, or print its alt text where there is no page."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if not InteractiveShell.initialized():
        print(f"[figure] {alt}")
        return
    width, height = (side // SHARPNESS for side in struct.unpack(">II", png[16:24]))
    data = base64.b64encode(png).decode("ascii")
    image = (
        f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" '
        f'style="max-width:100%;height:auto;border-radius:6px" src="data:image/png;base64,{data}">'
    )
    display(
        {"text/html": image, "image/png": data, "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width, "height": height}},
        raw=True,
    )


def write_thousands(figure: "Figure") -> None:
    """Write large numbers on straight axes as 200,000 instead of 2 with a power of ten in a corner."""
    from matplotlib.ticker import ScalarFormatter, StrMethodFormatter

    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            automatic = isinstance(axis.get_major_formatter(), ScalarFormatter)
            if automatic and axis.get_scale() == "linear" and max(map(abs, limits)) >= 10_000:
                axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
