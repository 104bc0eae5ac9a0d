"""Draws how many of the sentences on each myths page need correcting, counted in the pages."""

import re

from labhelpers import plots
from labhelpers.tools.authoring import guides

PAGES = {
    "myths_counts": "parameter counts",
    "myths_memory": "memory",
    "myths_quality": "quality and speed",
    "myths_training": "training",
    "myths_statistics": "metrics and data",
    "myths_tools": "tools and time",
    "myths_sources": "set-up and sources",
}


def figure():
    rows, corrected, sentences = [], [], 0
    for page, name in PAGES.items():
        text = (guides.folder() / f"{page}.md").read_text(encoding="utf-8")
        wrong = len(re.findall(r"^\*\*One reads\*\*", text, re.M))
        examined = wrong + len(re.findall(r"^(?:\| |- )`C-\w+`", text, re.M))
        rows.append(f"{name}, of {examined}")
        corrected.append(wrong)
        sentences += examined
    return plots.bars(
        rows,
        corrected,
        title=f"Of {sentences} sentences one reads, {sum(corrected)} are wrong or misleading",
        xlabel="sentences that need correcting",
    )
