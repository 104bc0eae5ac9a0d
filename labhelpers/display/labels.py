"""Text on charts: checks of what goes in, and places where no label covers another one."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.settings import LabError
from . import words

INK = "#222222"
QUIET = "#5F5F5F"
CARD = "#FBFAF7"
LABEL_SIZE = 10
ROW = 14.0  # points: one line of text at LABEL_SIZE, with air


def numbers(
    function: str, argument: str, values: Any, length: int | None = None, gaps: bool = False, dimensions: int = 1
) -> Any:  # fmt: skip
    """Turn a list (1 dimension) or a grid (2) of numbers into a float array, or say what is wrong with it.

    Args:
        function, argument: names of the chart and of its argument, for the message.
        values: any sequence of n numbers, or of rows of equally many.
        length: the n that is needed; None for any n ≥ 1.
        gaps: whether NaN may stand for a missing number, as long as there is another one.
        dimensions: 1 or 2.
    """
    import numpy as np

    where = f"plots.{function}(): `{argument}`"
    wanted = "a flat list of numbers" if dimensions == 1 else "a grid: rows of equally many numbers"
    try:
        array = np.asarray(list(values), dtype=float)
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
