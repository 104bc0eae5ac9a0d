"""How many test items it takes to see a gain, with the same items for both models and with different ones."""

import numpy as np

from labhelpers.display import canvas

Z = 1.96 + 0.8416  # 5 % significance, 80 % power
RIGHT, DISAGREE = 0.85, 0.10


def paired(gain):
    """Items that both models answer; they disagree on `DISAGREE` of them (Connor 1987)."""
    return Z**2 * (DISAGREE - gain**2) / gain**2


def unpaired(gain):
    """Items for each model, when the two are judged on different ones."""
    better = RIGHT + gain
    return Z**2 * (RIGHT * (1 - RIGHT) + better * (1 - better)) / gain**2


def figure():
    gains = np.linspace(0.01, 0.06, 101)
    seen = 0.02
    drawn, axes = canvas.plain_axes(
        f"A {100 * seen:.0f}-point gain takes {round(paired(seen), -1):,.0f} shared items, or {round(unpaired(seen), -1):,.0f} per model",
        "true gain in accuracy, in points",
        "items needed",
    )
    axes.semilogy(100 * gains, unpaired(gains), color=canvas.COLOURS[1])
    axes.semilogy(100 * gains, paired(gains), color=canvas.COLOURS[0])
    axes.axvline(100 * seen, color="#777777", lw=1, ls="--")
    axes.set_yticks([100, 300, 1_000, 3_000, 10_000], ["100", "300", "1,000", "3,000", "10,000"])
    axes.minorticks_off()
    axes.set_xlim(0.9, 6.1)
    axes.annotate(
        "different items for each model",
        (4.0, unpaired(0.04)),
        (6, 6),
        textcoords="offset points",
        color=canvas.COLOURS[1],
    )
    axes.annotate(
        "the same items",
        (4.0, paired(0.04)),
        (-4, -22),
        textcoords="offset points",
        ha="right",
        color=canvas.COLOURS[0],
    )
    return drawn
