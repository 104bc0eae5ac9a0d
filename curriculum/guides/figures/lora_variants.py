"""Eight of PEFT's published runs minus LoRA r32, with 95 % intervals; the figures stand on the page itself."""

import ast
import re

from labhelpers.display import canvas
from labhelpers.tools.authoring import guides

QUESTIONS, BESIDE = 1319, "LoRA r32"


def runs():
    page = (guides.folder() / "lora_variants.md").read_text(encoding="utf-8")
    return ast.literal_eval(re.search(r"runs = (\{.*?\})", page, re.S)[1].replace("\n...", "\n"))


def figure():
    table = runs()
    error = {name: (share * (100 - share) / QUESTIONS) ** 0.5 for name, share in table.items()}
    rows = sorted((name for name in table if name != BESIDE), key=table.get)
    gaps = [table[name] - table[BESIDE] for name in rows]
    halves = [1.96 * (error[name] ** 2 + error[BESIDE] ** 2) ** 0.5 for name in rows]
    within = sum(abs(gap) <= half for gap, half in zip(gaps, halves, strict=True))
    drawn, axes = canvas.plain_axes(
        f"One seed each: {within} of {len(rows)} cannot be told from {BESIDE}",
        f"test accuracy minus that of {BESIDE}, in points (95 % intervals, {QUESTIONS:,} questions)",
        "",
    )
    colours = [canvas.COLOURS[6 if abs(gap) <= half else 0] for gap, half in zip(gaps, halves, strict=True)]
    for at, (gap, half, colour) in enumerate(zip(gaps, halves, colours, strict=True)):
        axes.errorbar(gap, at, xerr=half, fmt="o", color=colour, capsize=3)
    axes.axvline(0, color="#777777", lw=1, ls="--")
    axes.set_yticks(range(len(rows)), rows)
    return drawn
