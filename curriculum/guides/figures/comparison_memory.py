"""What a training step keeps in memory, by technique and by kind, from the published runs."""

from labhelpers.tools.comparison import page as comparison_page


def figure():
    return comparison_page.memory_figure(comparison_page.published()["rows"])
