"""Empty charts in the course's style, and the way a finished one reaches the page."""

import base64
import functools
import html
import itertools
import struct
import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError
from . import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

INK = "#222222"
QUIET = "#5F5F5F"
CARD = "#FBFAF7"
LABEL_SIZE = 10
ROW = 14.0  # points: one line of text at LABEL_SIZE, with air


def numbers(
    function: str, argument: str, values: Any, length: int | None = None, gaps: bool = False, dimensions: int = 1
) -> Any:  # fmt: skip
    """Turn a list (1 dimension) or a grid (2) of numbers into a float array, or say what is wrong with it."""
    import numpy as np

    where = f"plots.{function}(): `{argument}`"
    wanted = "a flat list of numbers" if dimensions == 1 else "a grid: rows of equally many numbers"
    try:
        array = np.asarray(values if hasattr(values, "__array__") else list(values), dtype=float)
    except (TypeError, ValueError) as error:
        raise LabError(f"{where} should be {wanted}, but it is {_short(values)}.") from error
    if array.ndim != dimensions or not array.size:
        hint = f" Take one of them, for example `{argument}[0]`." if array.ndim > dimensions else ""
        raise LabError(f"{where} should be {wanted}, at least one; its shape is {array.shape}.{hint}")
    if length is not None and len(array) != length:
        raise LabError(f"{where} has {len(array)} numbers, but {length} are needed. Give one for each label.")
    bad = np.isinf(array) if gaps and not np.isnan(array).all() else ~np.isfinite(array)
    if bad.any():
        first = tuple(np.argwhere(bad)[0].tolist())
        at = first[0] if dimensions == 1 else first
        raise LabError(f"{where} holds {array[first]} at position {at}. Find out where it comes from first.")
    return array


def triple(at: int, interval: Any) -> tuple[float, float, float]:
    """Read `intervals[at]` as (estimate, low, high), whether it is a record or three numbers."""
    parts = [getattr(interval, name, None) for name in ("estimate", "low", "high")]
    estimate, low, high = numbers(
        "interval_bars", f"intervals[{at}]", parts if None not in parts else interval, 3
    )
    if not low <= estimate <= high:
        raise LabError(
            f"plots.interval_bars(): `intervals[{at}]` is ({estimate}, {low}, {high}), but it should be "
            "(estimate, low, high) with low ≤ estimate ≤ high. Put the three numbers in this order."
        )
    return estimate, low, high


def names(function: str, argument: str, labels: Sequence[Any], length: int | None = None) -> list[str]:
    """Turn labels into strings, wrapped to stand beside a row; LabError unless there are `length` of them."""
    if isinstance(labels, str) or not isinstance(labels, Sequence) or not len(labels):
        raise LabError(f"plots.{function}(): `{argument}` should be a list of labels, not {_short(labels)}.")
    if length is not None and len(labels) != length:
        raise LabError(
            f"plots.{function}(): `{argument}` has {len(labels)} labels for {length} values. Give one per value."
        )
    return [textwrap.fill(str(label), 28) for label in labels]


def figure_text(number: float) -> str:
    """Write a number on a figure, with a true minus sign."""
    return words.number(number).replace("-", "−")


def figure_texts(numbers: Sequence[float]) -> list[str]:
    """Write numbers that stand in one column: as many decimals for each as the largest needs."""
    largest = max((abs(number) for number in numbers), default=0)
    smallest = min((abs(number) for number in numbers if number), default=0)
    if not 1e-2 <= smallest <= largest < 999.5 or all(float(number).is_integer() for number in numbers):
        return [figure_text(number) for number in numbers]
    decimals = 3 if largest < 1 else 2 if largest < 10 else 1
    return [f"{number:.{decimals}f}".replace("-", "−") for number in numbers]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart as little as possible (least squares) until they are `gap` from each other.

    Nothing goes below `low`, and nothing above `high` as long as all fit.

    Source: pooling of adjacent violators, the standard solution of isotonic regression.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    blocks: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, count = positions[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        blocks.append((mean, count))
    flat = [mean for mean, count in blocks for _ in range(count)]
    top = max(low, high - (len(flat) - 1) * gap)
    moved = {
        index: min(max(at, low), top) + rank * gap
        for rank, (index, at) in enumerate(zip(order, flat, strict=True))
    }
    return [moved[index] for index in range(len(positions))]


def stacked(values: Any) -> list[int]:
    """Give each dot a level 0, 1, -1, 2, … so that dots of nearly the same value do not cover each other."""
    width = 0.03 * (values.max() - values.min() or 1)
    taken: dict[int, list[float]] = {}
    levels = []
    for value in values:
        free = (at for step in range(len(values) + 1) for at in (step, -step))
        level = next(at for at in free if all(abs(value - other) >= width for other in taken.get(at, [])))
        taken.setdefault(level, []).append(value)
        levels.append(level)
    return levels


def line_ends(axes: Any, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Write each line's name to the right of the axes, level with its end, with a leader to it.

    Args:
        axes: the Axes, with its limits final.
        ends: name → (x, y, colour) of the last point, in data units.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    points = 72 / figure.dpi
    box = axes.get_window_extent()
    wished = [axes.transData.transform((x, y))[1] * points for x, y, _ in ends.values()]
    placed = spread(wished, ROW, box.y0 * points + ROW / 2, box.y1 * points - ROW / 2)
    for (name, (x, y, colour)), height in zip(ends.items(), placed, strict=True):
        share = (height / points - box.y0) / box.height
        leader = {"arrowstyle": "-", "color": colour, "lw": 1.2, "shrinkA": 0, "shrinkB": 3}
        axes.annotate("", (x, y), (1.04, share), "data", "axes fraction", leader, annotation_clip=False)
        axes.annotate(
            name, (1.05, share), xycoords="axes fraction", va="center", fontsize=LABEL_SIZE,
            annotation_clip=False,
        )  # fmt: skip


def vertical_lines(axes: Any, lines: Mapping[str, tuple[float, str, str]]) -> None:
    """Draw name → (x, colour, line style), the names above the axes in as many rows as keep them apart."""
    if not lines:
        return
    for x, colour, style in lines.values():
        axes.axvline(x, color=colour, linestyle=style, lw=1.6, zorder=1.5)
    figure = axes.figure
    figure.draw_without_rendering()
    points = 72 / figure.dpi
    middle = axes.get_window_extent().x0 + axes.get_window_extent().width / 2
    rows: list[float] = []  # right end of the last label in each row, in points
    for name, (x, _, _) in sorted(lines.items(), key=lambda item: item[1][0]):
        pixel = axes.transData.transform((x, 0))[0]
        text = axes.annotate(
            name, (x, 1), (0, 4), ("data", "axes fraction"), "offset points", fontsize=LABEL_SIZE,
            ha="left" if pixel < middle else "right", annotation_clip=False,
        )  # fmt: skip
        extent = text.get_window_extent()
        # A label may move a little when the layout settles, hence a generous margin.
        row = next((r for r, end in enumerate(rows) if end + 14 < extent.x0 * points), len(rows))
        rows[row : row + 1] = [extent.x1 * points]
        text.set_position((0, 4 + row * ROW))


def column_ticks(axes: Any, labels: Sequence[str], cell_points: float) -> None:
    """Name the columns of a grid: flat where that fits, else upright, and thinned where even that does not."""
    step = max(1, -int(-ROW // cell_points))
    shown = range(0, len(labels), step)
    ticks = [textwrap.fill(labels[at], 14, break_long_words=False) for at in shown]
    axes.set_xticks(list(shown), ticks)
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.get_xticklabels()]
    if any(left.x1 + 4 > right.x0 for left, right in itertools.pairwise(boxes)):
        axes.set_xticks(list(shown), [labels[at] for at in shown], rotation=90)


def readable_on(colour: Sequence[float]) -> str:
    """Choose black or white text, whichever has the higher contrast (WCAG 2.2, at least 4.5) on an RGB colour."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '…'}"


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
