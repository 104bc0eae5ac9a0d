"""Two recorded runs: one that stops in time, one that goes on too long."""

from labhelpers import plots, recorded_runs
from labhelpers.display.canvas import COLOURS


def curve(run, key):
    rows = [row for row in run.history if key in row]
    last = rows[-1]["step"]
    return [100 * row["step"] / last for row in rows], [row[key] for row in rows]


def figure():
    runs = [recorded_runs.load(name) for name in ("healthy", "too_long")]
    lowest = min(curve(runs[1], "eval_loss")[1])
    worst = curve(runs[1], "eval_loss")[1][-1]
    drawn = plots.plain_axes(
        f"Too long: validation loss climbs from {lowest:.2f} to {worst:.2f}, training loss falls",
        "training done (%)", "loss", height=4.2,
    )  # fmt: skip
    axes, ends = drawn[1], {}
    for run, colour in zip(runs, COLOURS, strict=False):
        for key, word, style in (("loss", "training", ":"), ("eval_loss", "validation", "-")):
            across, up = curve(run, key)
            axes.plot(across, up, style, color=colour)
            ends[f"{word}, {run.title.lower()}"] = (across[-1], up[-1], colour)
    axes.grid(axis="y")
    plots.line_ends(axes, ends)
    return drawn[0]
