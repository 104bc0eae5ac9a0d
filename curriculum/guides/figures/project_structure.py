"""The chain from code to results: what each kind of file is made from."""

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from labhelpers.display.canvas import COLOURS, plain_axes

STEPS = (
    ("you write", ("src/", "params.yaml", "dvc.yaml"), "Git"),
    ("it reads", ("data/raw/",), "DVC"),
    ("it makes", ("data/finetuning/",), "DVC"),
    ("it trains", ("models/adapter/",), "DVC"),
    ("it measures", ("metrics.json", "report.md", "plots/"), "Git"),
)


def figure() -> Figure:
    """Five boxes from left to right, each with its files and the tool that keeps them."""
    figure, axes = plain_axes("Everything to the right of the raw data can be made again", "", "", height=2.6)
    for at, (verb, files, keeper) in enumerate(STEPS):
        colour = COLOURS[0] if keeper == "Git" else COLOURS[1]
        axes.add_patch(
            FancyBboxPatch((at + 0.06, 0.2), 0.8, 0.6, boxstyle="round,pad=0.03", fc="none", ec=colour, lw=2)
        )
        axes.text(at + 0.46, 0.93, verb, ha="center", fontsize=10)
        axes.text(at + 0.46, 0.5, "\n".join(files), ha="center", va="center", fontsize=8, family="monospace")
        axes.text(at + 0.46, 0.06, f"kept by {keeper}", ha="center", fontsize=9, color=colour)
        if at:
            axes.annotate("", (at + 0.03, 0.5), (at - 0.11, 0.5), arrowprops={"arrowstyle": "->", "lw": 1.6})
    axes.set(xlim=(-0.05, len(STEPS)), ylim=(0, 1.02))
    axes.axis("off")
    return figure
