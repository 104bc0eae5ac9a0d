"""Bytes of full fine-tuning for seven billion weights, by recipe."""

from labhelpers import memory, plots
from labhelpers.display.canvas import row_axes, row_texts

RECIPES = {
    "AdamW, float32": (4, "adamw"),
    "AdamW with 8-bit\nstate, float32": (4, "adamw_8bit"),
    "plain SGD, float32": (4, "sgd"),
    "AdamW, all bfloat16": (2, "adamw"),
}
PARTS = ("weights", "gradients", "optimizer")


def figure():
    plans = {
        name: memory.predict(7e9, weight_bytes=size, optimizer=kind) for name, (size, kind) in RECIPES.items()
    }
    drawn, axes = row_axes(
        list(plans),
        "“Four times the model” is one recipe of several (7 billion weights, activations excluded)",
        "gigabytes", "",
    )  # fmt: skip
    for row, plan in enumerate(plans.values()):
        left = 0
        for part, colour in zip(PARTS, plots.COLOURS, strict=False):
            width = getattr(plan, part) / 1e9
            axes.barh(row, width, left=left, height=0.62, color=colour, edgecolor="#FBFAF7")
            if row == 0:
                axes.text(left + width / 2, row, part, ha="center", va="center", color="white", weight="bold")
            left += width
    row_texts(axes, [f"{plan.total / 1e9:.0f} GB" for plan in plans.values()])
    return drawn
