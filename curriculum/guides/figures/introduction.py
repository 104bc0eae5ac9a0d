"""Where the trained numbers sit in a LLaMA-7B, method by method."""

from matplotlib.patches import Rectangle

from labhelpers import models, planner, plots
from labhelpers.display.canvas import plain_axes


def figure():
    shape = models.config("llama-7b")
    everything = planner.parameters(shape)
    layers, d = shape.num_hidden_layers, shape.hidden_size
    lora, adapters = layers * 2 * 8 * (d + d), layers * 2 * (2 * d * 64 + 64 + d)
    counts = {"full": everything, "LoRA": lora, "QLoRA": lora, "prompt tuning": 20 * d, "adapters": adapters}
    title = f"LLaMA-7B: the trained part (blue) can be everything, or {20 * d:,} numbers"
    drawn, axes = plain_axes(title, "", "")
    for at, (name, count) in enumerate(counts.items()):
        x = 2.2 * at
        for y in (0, 1.1, 2.2, 3.3):
            draw_block(axes, x, y, name)
        for token in range(4 if name == "prompt tuning" else 0):
            box(axes, x + 0.31 * token, -0.75, 0.25, 0.45)
        axes.text(x + 0.6, 4.5, name, ha="center", weight="bold")
        axes.text(x + 0.6, -1.0, f"{count:,}\n{100 * count / everything:.3g} %", ha="center", va="top")
    axes.set(xlim=(-0.6, 10.6), ylim=(-1.9, 5))
    axes.axis("off")
    return drawn


def draw_block(axes, x, y, name):
    small = name == "QLoRA"  # the frozen base takes about a quarter of the room
    frozen = None if name == "full" else "#D9D6CF"
    box(axes, x + 0.9 * small, y, 0.3 if small else 1.2, 0.9, frozen)
    for left, bottom, width, height in {"LoRA": [(1.28, 0.1, 0.1, 0.7)], "QLoRA": [(1.28, 0.1, 0.1, 0.7)],
                                        "adapters": [(0.35, 0.2, 0.5, 0.12), (0.35, 0.6, 0.5, 0.12)]}.get(name, []):  # fmt: skip
        box(axes, x + left, y + bottom, width, height)


def box(axes, x, y, width, height, colour=None):
    axes.add_patch(Rectangle((x, y), width, height, fc=colour or plots.COLOURS[0], ec="#222222", lw=0.6))
