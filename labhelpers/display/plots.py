"""One look for every figure of the course: made for laptops, colour-blind safe, described for people who cannot see it.

Colours: Okabe and Ito (2008), Color Universal Design. Yellow is left out; it vanishes on a light card.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..core.settings import LabError
from .canvas import (
    CARD,
    COLOURS,
    INK,
    QUIET,
    apply_style,
    cell_axes,
    display_png,
    figure_text,
    figure_texts,
    line_ends,
    names,
    numbers,
    plain_axes,
    png_of,
    references,
    row_axes,
    row_texts,
    stacked,
    style_once,
    triple,
    vertical_lines,
    write_thousands,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE = COLOURS[0]
SHORTEST_ALT = 20
MOST_CELLS_WITH_TEXT = 225


def use_style() -> None:
    """Set the course's Matplotlib style, for our charts and for the reader's own."""
    style_once()
    apply_style()
    if settings.is_interactive():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def show(figure: "Figure", alt: str) -> None:
    """Display a figure once, with a description for people who cannot see it.

    JupyterLab 4.6 ignores alt texts of PNG outputs, so one output holds the picture twice: as HTML with `alt`, which
    notebooks prefer, and as a PNG with the alt text in its metadata.

    Args:
        figure: a Matplotlib Figure. It is closed, so that it does not appear a second time.
        alt: one sentence that says what the figure shows, at least 20 characters.

    Raises:
        LabError: when `figure` is not a Figure or `alt` says too little.
    """
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise LabError(
            f"plots.show() needs a Matplotlib Figure, not {type(figure).__name__}. "
            "Pass what the chart function returned, or `axes.figure`."
        )
    alt = " ".join(str(alt or "").split())
    if len(alt) < SHORTEST_ALT:
        raise LabError(
            f"plots.show() got alt={alt!r}. Say in one sentence what the figure shows, for a reader who cannot "
            f"see it: at least {SHORTEST_ALT} characters."
        )
    write_thousands(figure)
    png = png_of(figure)
    pyplot.close(figure)
    settings.log_event("figure", alt=alt)
    display_png(png, alt)


def dots(
    values: Sequence[float], labels: Sequence[str] | None = None, reference: float | None = None,
    guess: Any = None, *, reference_label: str = "reference",
    title: str = "", xlabel: str = "", ylabel: str = "",
) -> "Figure":  # fmt: skip
    """Draw one dot per value along a scale; good for repeated runs and for comparing few things.

    Args:
        values: n numbers.
        labels: n names, one row each. Without names the dots share one row.
        reference: where a line goes that the values are compared with, in the unit of `values`.
        guess: a number in the unit of `values`, or what `widgets.predict` returned; None leaves it out.
        reference_label: name of that line.
        title, xlabel, ylabel: the finding, and what the axes measure, with units.

    Raises:
        LabError: when a value is not a finite number or labels and values differ in length.
    """
    heights = numbers("dots", "values", values)
    rows = names("dots", "labels", labels, len(heights)) if labels is not None else None
    if rows:
        figure, axes = row_axes(rows, title, xlabel, ylabel)
        axes.scatter(heights, range(len(rows)), s=70, color=BLUE, zorder=3)
        row_texts(axes, figure_texts(heights))
    else:
        figure, axes = plain_axes(title, xlabel, ylabel, height=2.4)
        axes.scatter(heights, stacked(heights), s=70, color=BLUE, edgecolor=CARD, zorder=3)
        axes.set(ylim=(-4, 4), yticks=[])
        axes.spines["left"].set_visible(False)
    references(axes, reference, reference_label, guess, "dots")
    return figure


def bars(
    labels: Sequence[str], values: Sequence[float], errors: Sequence[float] | None = None, *,
    reference: float | None = None, reference_label: str = "reference",
    title: str = "", xlabel: str = "", ylabel: str = "",
) -> "Figure":  # fmt: skip
    """Draw horizontal bars with their values; good for amounts that start at zero.

    Args:
        labels: n names, first at the top.
        values: n numbers.
        errors: n half-widths of error bars, in the unit of `values`.
        reference, reference_label: a line to compare with, and its name.
        title, xlabel, ylabel: the finding, and what the axes measure: `xlabel` is the unit of `values`.

    Raises:
        LabError: when a value is not a finite number or the lengths differ.
    """
    rows = names("bars", "labels", labels)
    lengths = numbers("bars", "values", values, len(rows))
    half = None if errors is None else abs(numbers("bars", "errors", errors, len(rows)))
    figure, axes = row_axes(rows, title, xlabel, ylabel)
    axes.barh(range(len(rows)), lengths, xerr=half, height=0.62, color=BLUE, ecolor=INK, capsize=3)
    if lengths.min() < 0 < lengths.max():
        axes.axvline(0, color=QUIET, lw=1)
    error_texts = [""] * len(rows) if half is None else [f" ± {figure_text(width)}" for width in half]
    row_texts(axes, [v + e for v, e in zip(figure_texts(lengths), error_texts, strict=True)])
    references(axes, reference, reference_label, None, "bars")
    return figure


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, log_x: bool = False, log_y: bool = False,
    title: str = "", xlabel: str = "", ylabel: str = "",
) -> "Figure":  # fmt: skip
    """Draw lines that carry their names at their right ends.

    Args:
        x: n positions.
        series: name → n numbers (NaN leaves a gap), at most 7 series.
        log_x, log_y: logarithmic axes.
        title, xlabel, ylabel: the finding, and what the axes measure, with units.

    Raises:
        LabError: when a series is not as long as `x`, or there are none or more than 7.
    """
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    across = numbers("lines", "x", x)
    if not isinstance(series, Mapping) or not 1 <= len(series) <= len(COLOURS):
        raise LabError(
            f"plots.lines(): `series` should be a dictionary with 1 to {len(COLOURS)} entries, name → values; it is "
            f"{type(series).__name__} with {len(series)}. More lines than that cannot be told apart: choose some."
        )
    figure, axes = plain_axes(title, xlabel, ylabel)
    axes.set(xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
    ends = {}
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        up = numbers("lines", f"series[{name!r}]", values, len(across), gaps=True)
        axes.plot(across, up, color=colour, marker="o" if len(across) <= 12 else None, ms=4)
        last = int(np.flatnonzero(np.isfinite(up))[-1])
        ends[textwrap.fill(str(name), 28)] = (across[last], up[last], colour)
    if not log_x and np.all(across == np.round(across)):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(axis="y")
    line_ends(axes, ends)
    return figure


def histogram(
    values: Sequence[float], bins: int | Sequence[float] = 30, markers: Mapping[str, float] | None = None, *,
    title: str = "", xlabel: str = "", ylabel: str = "count",
) -> "Figure":  # fmt: skip
    """Show how values are distributed, with named vertical lines.

    Args:
        values: n numbers.
        bins: number of bins, or their edges.
        markers: name → position of a vertical line, for example a cut-off or a guess.
        title, xlabel, ylabel: the finding, and what the axes measure, with units.

    Raises:
        LabError: when a value or a marker is not a finite number.
    """
    figure, axes = plain_axes(title, xlabel, ylabel)
    axes.hist(numbers("histogram", "values", values), bins=bins, color=BLUE, edgecolor=CARD, lw=0.6)
    axes.grid(axis="y")
    named = {}
    for at, (name, position) in enumerate((markers or {}).items()):
        (where,) = numbers("histogram", f"markers[{name!r}]", [position])
        named[f"{name} {figure_text(where)}"] = (where, COLOURS[1:][at % 6], ("--", "-", ":", "-.")[at % 4])
    vertical_lines(axes, named)
    return figure


def confusion(
    matrix: Sequence[Sequence[float]], labels: Sequence[str], *,
    title: str = "", xlabel: str = "predicted", ylabel: str = "true",
) -> "Figure":  # fmt: skip
    """Draw a confusion matrix: counts, and the share of each true class.

    Args:
        matrix: shape (n, n): row = true class, column = predicted class, as scikit-learn returns it.
        labels: n class names.
        title, xlabel, ylabel: the finding, and what columns and rows are.

    Raises:
        LabError: when the matrix is not square, holds negative counts, or labels do not match.
    """
    import numpy as np

    counts = numbers("confusion", "matrix", matrix, dimensions=2)
    rows = names("confusion", "labels", labels, len(counts))
    if counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise LabError(
            f"plots.confusion(): `matrix` should be square, with counts ≥ 0; its shape is {counts.shape}."
        )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = [[f"{int(count):,}\n{share:.0%}" for count, share in zip(*row)] for row in zip(counts, shares)]  # noqa: B905
    return cell_axes(shares, texts, rows, rows, (0, 1), title, xlabel, ylabel).axes.figure


def interval_bars(
    labels: Sequence[str], intervals: Sequence[Any], reference: float | None = None, guess: Any = None, *,
    reference_label: str = "reference", title: str = "", xlabel: str = "", ylabel: str = "",
) -> "Figure":  # fmt: skip
    """Draw an estimate and its interval per row, against a reference.

    Args:
        labels: n names, first at the top.
        intervals: n triples (estimate, low, high), such as `metrics.Interval`.
        reference: where a line goes that the intervals are compared with.
        guess: a number in the same unit, or what `widgets.predict` returned; None leaves it out.
        reference_label: name of that line.
        title, xlabel, ylabel: the finding, and what the axes measure, with units.

    Raises:
        LabError: when an interval is not (estimate, low, high) with low ≤ estimate ≤ high, or lengths differ.
    """
    rows = names("interval_bars", "labels", labels, len(intervals))
    triples = [triple(at, interval) for at, interval in enumerate(intervals)]
    figure, axes = row_axes(rows, title, xlabel, ylabel)
    for row, (estimate, low, high) in enumerate(triples):
        axes.plot([low, high], [row, row], color=BLUE, lw=3.5, alpha=0.55, solid_capstyle="butt")
        axes.scatter([estimate], [row], s=70, color=BLUE, zorder=3)
    written = iter(figure_texts([number for interval in triples for number in interval]))
    row_texts(
        axes, [f"{e}  ({low} to {high})" for e, low, high in zip(written, written, written, strict=True)]
    )
    references(axes, reference, reference_label, guess, "interval_bars")
    return figure


def heatmap(
    matrix: Sequence[Sequence[float]], row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None, *, unit: str = "",
    title: str = "", xlabel: str = "", ylabel: str = "",
) -> "Figure":  # fmt: skip
    """Draw a grid of numbers as colours, with the numbers in the cells where they fit.

    Args:
        matrix: shape (rows, columns).
        row_labels, column_labels: one name each; positions 0, 1, 2, … if left out.
        unit: what the colours measure, written beside the colour scale.
        title, xlabel, ylabel: the finding, and what columns and rows are.

    Raises:
        LabError: when the matrix is not a grid of finite numbers or labels do not match.
    """
    cells = numbers("heatmap", "matrix", matrix, dimensions=2)
    height, width = cells.shape
    rows = names("heatmap", "row_labels", row_labels or [str(at) for at in range(height)], height)
    columns = names("heatmap", "column_labels", column_labels or [str(at) for at in range(width)], width)
    texts = None
    if cells.size <= MOST_CELLS_WITH_TEXT and width <= 12:
        texts = [[figure_text(value) for value in row] for row in cells]
    limits = (cells.min(), cells.max() if cells.max() > cells.min() else cells.min() + 1)
    image = cell_axes(cells, texts, rows, columns, limits, title, xlabel, ylabel)
    scale = image.axes.figure.colorbar(image, ax=image.axes, label=unit, shrink=0.8, pad=0.02)
    scale.outline.set_visible(False)
    return image.axes.figure
