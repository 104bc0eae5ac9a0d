"""Validation loss of the five recorded runs: what "the curve is odd" means."""

from matplotlib.figure import Figure

from labhelpers import recorded_runs
from labhelpers.display.canvas import COLOURS, line_ends, plain_axes


def figure() -> Figure:
    """One line per recorded run, over its own share of the training."""
    figure, axes = plain_axes(
        "A sick run leaves the healthy curve in its own way", "share of the training (%)", "validation loss"
    )
    ends = {}
    for name, colour in zip(recorded_runs.names(), COLOURS, strict=False):
        run = recorded_runs.load(name)
        points = [(entry["step"], entry["eval_loss"]) for entry in run.history if "eval_loss" in entry]
        steps, losses = zip(*points, strict=True)
        share = [100 * step / steps[-1] for step in steps]
        axes.plot(share, losses, color=colour)
        ends[name.replace("_", " ")] = (share[-1], losses[-1], colour)
    axes.grid(axis="y")
    line_ends(axes, ends)
    return figure
