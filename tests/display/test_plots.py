"""Figures are readable, described, and shown once."""

import base64
import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from labhelpers.core.settings import LabError
from labhelpers.display import plots
from labhelpers.display.canvas import figure_text, figure_texts, readable_on, spread

ALT = "Seven lines fall from one to almost nothing."
TOKENS = [
    "[CLS]",
    "the",
    "film",
    "is",
    "n",
    "##'t",
    "bad",
    "but",
    "it",
    "drags",
    "on",
    "for",
    "hours",
    "[SEP]",
]
CHARTS = {
    "dots": lambda: plots.dots([0.48, 0.5, 0.5, 0.501, 0.56], reference=0.5, guess=0.51, title="A", xlabel="accuracy"),
    "dots with names": lambda: plots.dots(
        [0.5, 0.7, 0.83], ["fresh head", "frozen features and logistic regression", "LoRA"], reference=0.5, guess=0.52
    ),
    "bars": lambda: plots.bars(
        ["weights", "gradients", "optimizer states of AdamW, two each", "activations"], [90, 90, 180, 12345],
        errors=[1, 2, 3, 400], reference=90, title="A finding of many words " * 6, xlabel="memory (MiB)",
    ),
    "bars below zero": lambda: plots.bars(["a", "b"], [-3, 2], xlabel="change (points)"),
    "seven lines": lambda: plots.lines(
        range(1, 11), {f"learning rate {k}e-5": [1 / (x + k / 10) for x in range(1, 11)] for k in range(7)},
        title="Close", xlabel="epoch", ylabel="loss",
    ),
    "seven equal lines": lambda: plots.lines([1, 2], {f"seed {k}": [0, 1] for k in range(7)}),
    "lines on log axes": lambda: plots.lines(
        [10, 100, 1000], {"a": [1, 2, 3], "b": [1, 2, np.nan]}, log_x=True, log_y=True
    ),
    "histogram": lambda: plots.histogram(
        np.arange(100) ** 1.5, 20, {"median": 350, "95 % are shorter than": 900, "your guess": 910, "cut-off": 930},
        title="Long tail", xlabel="tokens",
    ),
    "confusion": lambda: plots.confusion([[412, 88], [61, 439]], ["negative", "positive"], title="A"),
    "confusion of five": lambda: plots.confusion(
        np.eye(5, dtype=int) * 1000, ["business", "entertainment", "politics", "sport", "technology"]
    ),
    "confusion of twelve": lambda: plots.confusion(np.eye(12), [f"a long class name {k}" for k in range(12)]),
    "intervals": lambda: plots.interval_bars(
        ["TF-IDF", "frozen MiniLM", "LoRA"], [(0.74, 0.71, 0.77), (0.79, 0.76, 0.81), (0.83, 0.81, 0.86)],
        reference=0.79, reference_label="frozen MiniLM", guess=0.8, title="A", xlabel="accuracy",
    ),
    "heatmap": lambda: plots.heatmap(np.arange(30).reshape(6, 5) / 7, unit="mean"),
    "attention": lambda: plots.heatmap(
        np.random.default_rng(0).random((len(TOKENS), len(TOKENS))), TOKENS, TOKENS, unit="weight",
        title="Attention", xlabel="looked at", ylabel="looking",
    ),
    "many columns": lambda: plots.heatmap(np.ones((3, 80)), column_labels=[f"token{k}" for k in range(80)]),
}  # fmt: skip


def texts_of(figure):
    from matplotlib.text import Text

    figure.draw_without_rendering()
    unseen = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in beyond(axis)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text not in unseen]


def beyond(axis):
    """Tick labels outside an axis' limits exist as objects, but nobody sees them."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [label for t in ticks if not low <= t.get_loc() <= high for label in (t.label1, t.label2)]


@pytest.mark.parametrize("kind", CHARTS)
def test_no_text_covers_another(kind):
    for (one, first), (other, second) in itertools.combinations(texts_of(CHARTS[kind]()), 2):
        apart = (
            min(first.x1, second.x1) - max(first.x0, second.x0),
            min(first.y1, second.y1) - max(first.y0, second.y0),
        )
        assert min(apart) < 1, f"{one!r} and {other!r} overlap by {apart} pixels"


@pytest.mark.parametrize("kind", CHARTS)
def test_a_figure_fits_beside_the_sidebar_and_stays_on_its_card(kind):
    from io import BytesIO

    from matplotlib.image import imread

    from labhelpers.display.canvas import png_of

    picture = imread(BytesIO(png_of(CHARTS[kind]())))
    assert 300 < picture.shape[1] < 2 * 900
    edge = np.concatenate(
        [picture[:8].reshape(-1, 4), picture[-8:].reshape(-1, 4), picture[:, -8:].reshape(-1, 4)]
    )
    assert np.ptp(edge, axis=0).max() == 0, "something is cut off at the edge"
    assert edge[0].min() > 0.9 and edge[0][3] == 1, "the card is light and opaque"


def test_the_values_are_the_ones_given():
    figure = plots.bars(["a", "b"], [1, 1234567])
    assert [patch.get_width() for patch in figure.axes[0].patches] == [1, 1234567]
    assert {"1", "1,234,567"} <= {text for text, _ in texts_of(figure)}


def test_a_confusion_matrix_shows_counts_and_shares_of_the_true_class():
    texts = {text for text, _ in texts_of(plots.confusion([[3, 1], [0, 0]], ["no", "yes"]))}
    assert {"3\n75%", "1\n25%", "0\n0%"} <= texts


def test_a_missing_guess_draws_nothing():
    assert not [text for text, _ in texts_of(plots.dots([1, 2], guess=None)) if "guess" in text]
    assert [text for text, _ in texts_of(plots.dots([1, 2], guess=1.5)) if "guess" in text] == [
        "your guess 1.5"
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.dots([]), "values"),
        (lambda: plots.dots([1, float("nan")]), "nan at position 1"),
        (lambda: plots.dots(["a"]), "list of numbers"),
        (lambda: plots.dots([1, 2], ["only one"]), "1 labels for 2 values"),
        (lambda: plots.dots([1], reference="half"), "reference"),
        (lambda: plots.bars("ab", [1, 2]), "labels"),
        (lambda: plots.bars(["a"], [1], errors=[1, 2]), "errors"),
        (lambda: plots.lines([1, 2], {"a": [1]}), "series"),
        (lambda: plots.lines([1], {str(k): [1] for k in range(8)}), "1 to 7"),
        (lambda: plots.lines([1], [[1]]), "dictionary"),
        (lambda: plots.histogram([1], markers={"m": None}), "markers"),
        (lambda: plots.confusion([[1, 2]], ["a"]), "square"),
        (lambda: plots.confusion([[1, 2], [3]], ["a", "b"]), "matrix"),
        (lambda: plots.interval_bars(["a"], [(1, 2, 3)]), "low ≤ estimate ≤ high"),
        (lambda: plots.interval_bars(["a"], [(1, 2)]), "3 are needed"),
        (lambda: plots.heatmap(np.ones((2, 2, 2))), r"\(2, 2, 2\)"),
        (lambda: plots.show("a picture", alt=ALT), "Figure"),
        (lambda: plots.show(plots.dots([1]), alt="a plot"), "20 characters"),
        (lambda: plots.show(plots.dots([1]), alt=None), "20 characters"),
    ],
)
def test_mistakes_are_explained(call, message):
    with pytest.raises(LabError, match=message):
        call()


def test_outside_a_notebook_show_says_the_alt_text(capsys):
    plots.show(plots.dots([1, 2]), alt=ALT)
    assert capsys.readouterr().out == f"[figure] {ALT}\n"


def test_a_notebook_gets_one_picture_with_its_alt_text():
    import nbformat
    from nbclient import NotebookClient

    source = (
        "from labhelpers import plots\nplots.use_style()\nimport matplotlib.pyplot as plt\n"
        "figure, axes = plt.subplots()\naxes.plot([1, 2])\nplots.show(figure, alt='Up \"and\" <away>, in one line.')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.metadata["image/png"]["alt"] == 'Up "and" <away>, in one line.'
    assert 'alt="Up &quot;and&quot; &lt;away&gt;, in one line."' in output.data["text/html"]
    assert output.data["text/plain"] == 'Up "and" <away>, in one line.'
    png = base64.b64decode(output.data["image/png"])
    shown_width, pixels = output.metadata["image/png"]["width"], int.from_bytes(png[16:20], "big")
    assert png[:4] == b"\x89PNG" and pixels in (2 * shown_width, 2 * shown_width + 1)


def test_labels_move_as_little_as_needed():
    assert spread([0, 50, 100], 10, 0, 100) == [0, 50, 100]
    assert spread([52, 50], 10, 0, 100) == [56, 46]
    assert spread([99, 100, 98], 10, 0, 100) == [90, 100, 80]
    assert spread([0, 0], 10, 0, 100) == [0, 10]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.12345, "0.123"), (-2, "−2"), (999.7, "1,000"), (1234567, "1,234,567"), (1e-6, "1e−06")],
)
def test_numbers_are_written_as_people_write_them(number, text):
    assert figure_text(number) == text


def test_text_on_a_colour_takes_the_better_contrast():
    assert readable_on((0, 0.2, 0.4, 1)) == "white" and readable_on((0.9, 0.9, 1, 1)) == "black"


def test_importing_plots_and_widgets_is_cheap():
    heavy = ["matplotlib", "numpy", "torch", "ipywidgets", "IPython", "pandas"]
    code = f"import sys; from labhelpers import plots, widgets, progress; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_numbers_in_one_column_share_their_decimals():
    assert figure_texts([94.7, 79.0, 2.62]) == ["94.7", "79.0", "2.6"]
    assert figure_texts([0.84, 0.545]) == ["0.840", "0.545"]
    assert figure_texts([134, 94]) == ["134", "94"]
    assert figure_texts([16777216, 65536]) == ["16,777,216", "65,536"]
    assert figure_texts([0.0001, 5.0]) == ["0.0001", "5"], "a small number must not be rounded away"


def test_large_counts_on_an_axis_are_written_out(capsys):
    figure = plots.bars(["all", "few"], [16_777_216, 65_536], title="t", xlabel="numbers")
    plots.show(figure, "Two bars, one long and one short, for the numbers to train.")
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert any("," in tick for tick in ticks), ticks


def test_a_table_of_pandas_is_a_grid_of_its_numbers():
    table = pd.DataFrame([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], index=[4, 8], columns=[0.1, 0.2, 0.3])
    drawn = plots.heatmap(table, ["r = 4", "r = 8"], ["0.1", "0.2", "0.3"])
    assert drawn.axes[0].images[0].get_array().tolist() == table.to_numpy().tolist()
