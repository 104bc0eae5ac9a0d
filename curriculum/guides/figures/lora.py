"""One matrix of a 7B model and its LoRA pair, drawn to scale."""

from matplotlib.patches import Rectangle

from labhelpers import models, plots
from labhelpers.display.canvas import plain_axes


def figure():
    wide, r = models.config("llama-7b").hidden_size, 8
    frozen, trained = wide * wide, r * (wide + wide)
    drawn, axes = plain_axes(
        f"To scale: LoRA trains the two lines ({trained:,} numbers), not the square",
        "",
        "",
        height=3.6,
    )
    for x, y, width, height, colour in (
        (0, 0, wide, wide, "#D9D6CF"),
        (1.45 * wide, 0, r, wide, plots.COLOURS[1]),
        (1.6 * wide, wide - r, wide, r, plots.COLOURS[0]),
    ):
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=colour, linewidth=0.5))
    note = {"ha": "center", "va": "center"}
    axes.text(wide / 2, wide / 2, f"W, frozen\n{wide:,} × {wide:,}\n{frozen:,} numbers", **note)
    axes.text(1.22 * wide, wide / 2, "+", fontsize=20, **note)
    axes.text(1.52 * wide, 0.97 * wide, "×", fontsize=16, **note)
    axes.text(1.5 * wide, wide / 2, f"B\n{wide:,} × {r}", ha="left", va="center")
    axes.text(2.1 * wide, 0.9 * wide, f"A\n{r} × {wide:,}", ha="center", va="top")
    axes.set(xlim=(-0.05 * wide, 2.7 * wide), ylim=(-0.05 * wide, 1.05 * wide), aspect="equal")
    axes.axis("off")
    return drawn
