"""Minutes of the days of week 1, cut into blocks of 25 minutes."""

import math

from matplotlib.figure import Figure

from labhelpers import timetable
from labhelpers.display.canvas import COLOURS, row_axes, row_texts

BLOCK = 25  # minutes


def figure() -> Figure:
    """One row per lesson, one bar segment per block of work."""
    days = timetable.load()["weeks"][0]["days"]
    minutes = [timetable.minutes(day) for day in days]
    blocks = [math.ceil(total / BLOCK) for total in minutes]
    figure, axes = row_axes(
        [timetable.label(day) for day in days],
        f"A day of week 1 is {min(blocks)} to {max(blocks)} blocks of {BLOCK} minutes",
        "minutes",
        "",
    )
    for row, total in enumerate(minutes):
        for start in range(0, total, BLOCK):
            axes.barh(row, min(BLOCK, total - start) - 2, left=start, height=0.6, color=COLOURS[0])
    axes.set_xlim(0, max(minutes) * 1.05)
    row_texts(axes, [f"{total} min" for total in minutes])
    return figure
