"""Planned memory of one 7B training, one trick after another: what each step takes away."""

from labhelpers import planner
from labhelpers.display import canvas

STEPS = {
    "full, 32 bits": {},
    "+ mixed precision": {"precision": "mixed"},
    "+ checkpointing": {"precision": "mixed", "gradient_checkpointing": True},
    "+ 8-bit optimiser": {"precision": "mixed", "gradient_checkpointing": True, "optimizer": "adamw_8bit"},
    "LoRA, 16-bit base": {"method": "lora", "precision": "bfloat16", "which": "all_linear", "r": 16, "gradient_checkpointing": True},
    "QLoRA": {"method": "qlora", "which": "all_linear", "r": 16, "gradient_checkpointing": True},
}  # fmt: skip
PARTS = ("weights", "gradients", "optimizer", "activations")


def plans():
    return {
        name: planner.memory_plan("llama-7b", batch_size=4, sequence_length=1024, **step)
        for name, step in STEPS.items()
    }


def figure():
    found = plans()
    rows = list(found)[::-1]
    first, full, last = (found[name].total / 1e9 for name in ("full, 32 bits", "+ 8-bit optimiser", "QLoRA"))
    drawn, axes = canvas.plain_axes(
        f"7B: {first:.0f} GB become {last:.0f}, but training every weight keeps {full:.0f}",
        "GB planned, for 4 texts of 1,024 tokens",
        "",
    )
    for name_at, name in enumerate(rows):
        left = 0.0
        for part, colour in zip(PARTS, canvas.COLOURS, strict=False):
            wide = getattr(found[name], part) / 1e9
            axes.barh(name_at, wide, left=left, color=colour, height=0.65)
            left += wide
        axes.annotate(f"{left:.0f}", (left, name_at), (5, -4), textcoords="offset points")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlim(0, 1.12 * first)
    handles = [axes.barh(0, 0, color=colour) for colour in canvas.COLOURS[: len(PARTS)]]
    axes.legend(handles, PARTS, loc="lower right", frameon=False)
    return drawn
