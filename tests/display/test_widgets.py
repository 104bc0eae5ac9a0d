"""Widgets work without a browser, remember guesses, and never show a learner's text as HTML."""

import json

import pytest

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.display import tokens as token_view
from labhelpers.display import widgets


@pytest.fixture(scope="module")
def word_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film", "##s", "<", "b", ">", "a"]
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="module")
def byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: id for id, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


class Browser:
    """Stands for the front end: collects what is displayed and finds controls in it."""

    def __init__(self):
        self.shown = []

    def all(self, kind):
        waiting, found = list(self.shown), []
        while waiting:
            widget = waiting.pop(0)
            found += [widget] if type(widget).__name__ == kind else []
            waiting += getattr(widget, "children", ())
        return found


@pytest.fixture
def browser(monkeypatch):
    import IPython.display

    browser = Browser()
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda shown, **_: browser.shown.append(shown))
    return browser


def guess_in(browser, value):
    browser.all("FloatSlider")[0].value = value
    browser.all("Button")[0].click()


def test_without_a_browser_the_question_is_printed(capsys):
    guess = widgets.predict("fresh", "Accuracy of a fresh head", 0, 100, "%")
    assert capsys.readouterr().out == "Accuracy of a fresh head (0 % to 100 %): no guess made\n"
    assert guess.value is None


def test_a_guess_is_seen_at_once_and_remembered(browser, monkeypatch, capsys):
    guess = widgets.predict("fresh", "Accuracy of a fresh head", 0, 100, "%")
    assert guess.value is None
    guess_in(browser, 62)
    assert guess.value == 62
    assert widgets.predict("fresh", "Accuracy of a fresh head", 0, 100, "%").value == 62
    assert browser.all("FloatSlider")[1].value == 62
    assert json.loads((settings.current().workspace / "guesses.json").read_text()) == {"fresh": 62}
    monkeypatch.setattr(settings, "is_interactive", lambda: False)
    widgets.predict("fresh", "Accuracy of a fresh head", 0, 100, "%")
    assert capsys.readouterr().out.endswith("your guess: 62 %\n")


def test_guesses_do_not_disturb_each_other(browser):
    first = widgets.predict("first", "How many?", 0, 10)
    guess_in(browser, 3)
    browser.shown.clear()
    second = widgets.predict("second", "How many?", 0, 10)
    guess_in(browser, 4)
    assert (first.value, second.value) == (3, 4)


@pytest.mark.parametrize(
    "broken", ["{not json", "[1]", '{"fresh": "many"}', '{"fresh": true}', '{"fresh": NaN}']
)
def test_a_damaged_file_of_guesses_is_no_guess(broken):
    path = settings.current().workspace / "guesses.json"
    path.parent.mkdir(parents=True)
    path.write_text(broken)
    assert widgets.predict("fresh", "How many?", 0, 10).value is None


@pytest.mark.parametrize(
    ("guess", "words"),
    [(None, "no guess"), (51, "spot on"), (54, "very close"), (40, "a little higher"), (90, "much lower")],
)
def test_the_comparison_is_one_honest_sentence(guess, words, browser, capsys):
    asked = widgets.predict("fresh", "Accuracy", 0, 100, "%")
    if guess is not None:
        guess_in(browser, guess)
    asked.compare(51)
    out = capsys.readouterr().out
    assert words in out and "51 %" in out and out.count("\n") == 1


def test_only_the_first_meeting_with_the_result_counts(browser, capsys):
    asked = widgets.predict("fresh", "Accuracy", 0, 100, "%")
    asked.compare(51)
    assert widgets.compared() == []
    guess_in(browser, 40)
    asked.compare(51)
    guess_in(browser, 51)  # after the result was shown
    asked.compare(51)
    assert widgets.compared() == [{"id": "fresh", "guess": 40.0, "actual": 51.0, "low": 0.0, "high": 100.0}]


def test_a_question_is_text_not_html(browser):
    widgets.predict("x", "Is 1 < 2 <script>?", 0, 1)
    assert "&lt;script&gt;" in browser.all("HTML")[0].value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "q", 0, 1), "id"),
        (("a", " ", 0, 1), "question"),
        (("a", "q", 1, 1), "low"),
        (("a", "q", "x", 1), "'x'"),
    ],
)
def test_predict_explains_mistakes(arguments, message):
    with pytest.raises(LabError, match=message):
        widgets.predict(*arguments)


def show_settings(rank, rate=0.5, method="LoRA", freeze=True, name="run"):
    print(f"{rank} {rate} {method} {freeze} {name}")


CONTROLS = {
    "rank": (1, 9),
    "rate": (0.0, 1.0, 0.1),
    "method": ["full", "LoRA"],
    "freeze": False,
    "name": "mine",
}


def test_without_a_browser_explore_calls_once_with_the_starting_values(capsys):
    exploration = widgets.explore(show_settings, **CONTROLS)
    assert capsys.readouterr().out == "5 0.5 LoRA False mine\n"
    exploration.set(rank=3, freeze=True)
    assert capsys.readouterr().out == "3 0.5 LoRA True mine\n"
    assert exploration.values == {"rank": 3, "rate": 0.5, "method": "LoRA", "freeze": True, "name": "mine"}


def test_in_a_browser_each_control_has_its_kind_and_redraws_once(browser):
    calls = []

    def note(**values):
        calls.append(values)

    exploration = widgets.explore(note, **CONTROLS)
    kinds = [type(widget).__name__ for widget in exploration.sliders.values()]
    assert kinds == ["IntSlider", "FloatSlider", "Dropdown", "Checkbox", "Text"]
    assert all(
        getattr(widget, "continuous_update", False) is False for widget in exploration.sliders.values()
    )
    browser.all("IntSlider")[0].value = 2
    assert len(calls) == 2 and calls[-1]["rank"] == 2
    exploration.set(rank=7, method="LoRA")
    assert len(calls) == 3 and calls[-1] == exploration.values
    assert browser.all("IntSlider")[0].value == 7 and browser.all("Dropdown")[0].value == "LoRA"


def test_an_error_inside_is_shown_with_the_values_that_caused_it(browser, monkeypatch, capsys):
    widgets.explore(lambda n: 1 / (n - 3), n=(1, 9))
    browser.all("IntSlider")[0].value = 3
    assert "(n=3) stopped with ZeroDivisionError" in capsys.readouterr().out
    monkeypatch.setattr(settings, "is_interactive", lambda: False)
    with pytest.raises(LabError, match=r"\(n=5\) stopped with ZeroDivisionError"):
        widgets.explore(lambda n: 1 / (n - 5), n=(1, 9))


def test_a_figure_without_a_description_is_refused():
    from labhelpers.display import plots

    with pytest.raises(LabError, match="alt"):
        widgets.explore(lambda n: plots.dots([n]), n=(1, 3))


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"n": (3, 1)}, r"n=\(3, 1\)"),
        ({"n": (1, 3, 0)}, "should be"),
        ({"n": []}, "list of choices"),
        ({"n": None}, "n=None"),
        ({"m": (1, 3)}, "parameter"),
        ({}, "parameter"),
    ],
)
def test_explore_explains_wrong_controls(controls, message):
    with pytest.raises(LabError, match=message):
        widgets.explore(lambda n: None, **controls)


@pytest.mark.parametrize("values", [{"n": 9}, {"n": "1"}, {"m": 1}, {"kind": "c"}])
def test_set_refuses_what_no_control_could_do(values):
    exploration = widgets.explore(lambda n, kind: None, n=(1, 3), kind=["a", "b"])
    with pytest.raises(LabError):
        exploration.set(**values)
    assert exploration.values == {"n": 2, "kind": "a"}


def test_tokens_carry_ids_and_marks(word_tokenizer):
    tokens = token_view.cut(word_tokenizer, "good films zebra")
    assert [(token.text, token.id, token.kind) for token in tokens] == [
        ("[CLS]", 2, "special"), ("good", 4, ""), ("film", 5, ""), ("##s", 6, ""), ("[UNK]", 1, "unknown"),
        ("[SEP]", 3, "special"),
    ]  # fmt: skip
    assert token_view.characters_per_token(tokens, "good films zebra") == 4


def test_spaces_and_parts_of_characters_can_be_seen(byte_tokenizer):
    assert [token.text for token in token_view.cut(byte_tokenizer, "a é\n")] == [
        "a", "␣", "‹part of a character›", "‹part of a character›", "↵",
    ]  # fmt: skip


def test_an_end_marker_that_doubles_as_unknown_is_special(byte_tokenizer):
    import copy

    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.add_special_tokens({"unk_token": "<|end|>"})
    assert [token.kind for token in token_view.cut(tokenizer, "a<|end|>")] == ["", "special"]


def test_padding_is_the_share_of_tokens_nobody_wrote(word_tokenizer):
    # Lines of 2 + 1 and 2 + 4 tokens: 9 real ones of 12 when padded to the longest, of 20 when padded to 10.
    shares = token_view.padding_shares(word_tokenizer, "good\n\ngood film good film\n", 10)
    assert shares == pytest.approx((3 / 12, 11 / 20))
    assert token_view.padding_shares(word_tokenizer, "good film", 10) is None


def test_a_learners_text_is_escaped_and_marks_do_not_depend_on_colour(word_tokenizer):
    page = token_view.page({"<i>mine": word_tokenizer}, "<b> good", 10)
    assert "<b>mine" not in page and "<i>" not in page and "&lt;i&gt;mine" in page
    assert 'aria-label="&lt;, id 7"' in page
    assert 'aria-label="[CLS], id 2, special"' in page and ">2 special<" in page


def test_without_a_browser_the_explorer_prints_a_short_table(word_tokenizer, byte_tokenizer, capsys):
    tokenizers = {f"tokenizer {k}": word_tokenizer for k in range(5)} | {"bytes": byte_tokenizer}
    widgets.tokenizer_explorer(tokenizers, "good films\ngood good good\n" * 40, max_length=16)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 120
    assert lines[1].split()[:3] == ["tokenizer", "0", "242"]


def test_in_a_browser_the_explorer_follows_the_text(word_tokenizer, browser):
    widgets.tokenizer_explorer({"words": word_tokenizer}, "good")
    browser.all("Textarea")[0].value = "good film\ngood"
    page = browser.all("HTML")[-1].value
    assert "5 tokens" in page and "padding" in page


@pytest.mark.parametrize("arguments", [({}, "a"), ({"a": "model"}, "a"), ([1], "a")])
def test_the_explorer_explains_what_it_needs(arguments):
    with pytest.raises(LabError, match="okenizer"):
        widgets.tokenizer_explorer(*arguments)


def test_a_text_must_be_a_text(word_tokenizer):
    with pytest.raises(LabError, match="list"):
        widgets.tokenizer_explorer({"words": word_tokenizer}, ["a"])
    with pytest.raises(LabError, match="max_length"):
        widgets.tokenizer_explorer({"words": word_tokenizer}, "a", max_length=0)
