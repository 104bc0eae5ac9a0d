"""How long requests wait for one worker, against how busy it is: a simulated queue, random arrivals, equal work."""

import numpy as np

from labhelpers.display import canvas

REQUESTS = 200_000


def waits(load, seed=0):
    """Waiting times in units of one answer; requests arrive at random, each takes exactly one unit of work."""
    gaps = np.random.default_rng(seed).exponential(1 / load, REQUESTS)
    slack = np.cumsum(1 - gaps)  # Lindley: the wait is how far this walk stands above its lowest point
    lowest = np.minimum.accumulate(np.minimum(slack, 0))
    return slack - lowest


def figure():
    loads = np.linspace(0.1, 0.95, 35)
    late = [np.quantile(waits(load), 0.95) for load in loads]
    typical = [np.median(waits(load)) for load in loads]
    half, busy = (np.quantile(waits(load), 0.95) for load in (0.5, 0.9))
    drawn, axes = canvas.plain_axes(
        f"One in twenty waits at least {half:.0f} answers long at half load, {busy:.0f} at 90 %",
        "share of the time the worker is busy",
        "wait, in lengths of one answer",
    )
    axes.plot(loads, late, color=canvas.COLOURS[1])
    axes.plot(loads, typical, color=canvas.COLOURS[0])
    axes.set_xticks([0.2, 0.4, 0.6, 0.8, 0.95], ["20 %", "40 %", "60 %", "80 %", "95 %"])
    axes.annotate(
        "the slowest of twenty (p95)",
        (loads[-7], late[-7]),
        (-8, 8),
        textcoords="offset points",
        ha="right",
        color=canvas.COLOURS[1],
    )
    axes.annotate("half of them (p50)", (0.7, -0.5), ha="right", va="top", color=canvas.COLOURS[0])
    axes.set_yticks([0, 10, 20, 30])
    axes.set_ylim(-4, 31)
    return drawn
