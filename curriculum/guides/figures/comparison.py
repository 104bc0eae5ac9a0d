"""Each technique's accuracy minus LoRA's, with its interval, from the published runs."""

from labhelpers.tools.comparison import page as comparison_page


def figure():
    return comparison_page.figure(comparison_page.published()["rows"])
