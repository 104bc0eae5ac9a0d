"""Guesses made before a result is shown, kept in the workspace so that a second run remembers them."""

import html
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import files, settings
from ..core.settings import LabError
from . import page, words


@dataclass(frozen=True, repr=False)
class Guess:
    """What the reader guessed; `value` follows the widget, so later cells see a later guess."""

    id: str
    question: str
    low: float
    high: float
    unit: str

    @property
    def value(self) -> float | None:
        """The saved guess, or None while there is none."""
        saved = _guesses().get(self.id)
        is_number = isinstance(saved, int | float) and not isinstance(saved, bool)
        return float(saved) if is_number and math.isfinite(saved) else None

    def __repr__(self) -> str:
        return "no guess yet" if self.value is None else f"your guess: {_amount(self.value, self.unit)}"

    def compare(self, actual: float, unit: str | None = None) -> None:
        """Print one sentence that sets the guess beside the result.

        Args:
            actual: the result, in the unit the question asked for.
            unit: how to write it; the unit of the question if left out.

        Raises:
            LabError: when `actual` is not a finite number.
        """
        result = _finite("Guess.compare", "actual", actual)
        if self.value is not None:
            _note(self, result)
        print(_verdict(self.value, result, self.high - self.low, self.unit if unit is None else unit))


def predict(id: str, question: str, low: float, high: float, unit: str = "") -> Guess:
    """Ask for a guess before the result is shown; an earlier guess is remembered.

    Args:
        id: a name for the guess, the same in every run.
        question: what to guess, unit included.
        low, high: the ends of the slider.
        unit: written behind the number, such as "%" or "MiB".

    Returns:
        The Guess; it costs nothing to ask for `guess.value` before anything was guessed.

    Raises:
        LabError: when `id` or `question` is empty, or `low` is not below `high`.
    """
    low, high = _finite("predict", "low", low), _finite("predict", "high", high)
    if not (isinstance(id, str) and id.strip() and isinstance(question, str) and question.strip()):
        raise LabError(f"predict() needs an id and a question; it got id={id!r}, question={question!r}.")
    if low >= high:
        raise LabError(f"predict({id!r}): low is {low} and high is {high}. Make low the smaller number.")
    guess = Guess(id, question, low, high, unit)
    if settings.is_interactive():
        _show_slider(guess)
    else:
        earlier = "no guess made" if guess.value is None else repr(guess)
        print(f"{question} ({_amount(low, unit)} to {_amount(high, unit)}): {earlier}")
    return guess


def _show_slider(guess: Guess) -> None:
    import ipywidgets

    earlier = guess.value
    start = (guess.low + guess.high) / 2 if earlier is None else min(max(earlier, guess.low), guess.high)
    slider = ipywidgets.FloatSlider(
        start, min=guess.low, max=guess.high, step=round_step(guess.low, guess.high), description=guess.unit,
        tooltip=guess.question, continuous_update=False, layout={"width": "min(100%, 32em)"},
    )  # fmt: skip
    button = ipywidgets.Button(description="This is my guess", button_style="primary")
    status = ipywidgets.HTML()

    def say(text: str) -> None:
        status.value = f'<span role="status">{html.escape(text)}</span>'

    def press(_: Any) -> None:
        try:
            save(guess.id, slider.value)
            say(f"Saved. {repr(guess).capitalize()}.")
        except LabError as error:
            say(str(error))

    say("Move the slider, then press the button." if earlier is None else repr(guess))
    button.on_click(press)
    question = ipywidgets.HTML(f"<b>{html.escape(guess.question)}</b>")
    page.show(ipywidgets.VBox([question, slider, ipywidgets.HBox([button, status])]))


def _verdict(guess: float | None, result: float, span: float, unit: str) -> str:
    shown = _amount(result, unit)
    if guess is None:
        return f"The result is {shown}. You made no guess this time; the next one is more fun with one."
    guessed, distance = _amount(guess, unit), abs(guess - result)
    both = f"You guessed {guessed} and the result is {shown}"
    if guessed == shown:
        return f"{both}: spot on."
    if distance <= 0.05 * span:
        return f"{both}: very close."
    side = "lower" if result < guess else "higher"
    if distance <= 0.2 * span:
        return f"{both}: a little {side} than you thought, and a good guess."
    return f"{both}: much {side} than you thought. Remember this one; surprises are where we learn most."


def _path() -> Path:
    return settings.current().workspace / "guesses.json"


def _guesses() -> dict[str, Any]:
    try:
        saved = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def save(id: str, value: float) -> None:
    """Keep a guess; a file of guesses that cannot be read is set aside as it is."""
    with files.locked():
        if _path().exists() and not _guesses():
            files.keep_aside(_path())
        files.write(_path(), json.dumps({**_guesses(), id: value}, indent=1) + "\n")


def compared() -> list[dict[str, Any]]:
    """List the guesses that met their result, as they stood at the first meeting.

    Returns:
        One dictionary for each, oldest first: id, guess, actual, low and high (the ends of its slider).
    """
    try:
        rows = json.loads(_compared_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return rows if isinstance(rows, list) else []


def _compared_path() -> Path:
    return settings.current().workspace / "guesses_compared.json"


def _note(guess: Guess, actual: float) -> None:
    """Keep the first meeting of a guess with its result; whoever runs a lesson again knows the result already."""
    with files.locked():
        rows = compared()
        if all(row.get("id") != guess.id for row in rows):
            row = {
                "id": guess.id,
                "guess": guess.value,
                "actual": actual,
                "low": guess.low,
                "high": guess.high,
            }
            files.write(_compared_path(), json.dumps([*rows, row], indent=1) + "\n")


def round_step(low: float, high: float) -> float:
    """A round step that gives 100 to 1,000 positions."""
    return 10.0 ** math.floor(math.log10(high - low) - 2)


def _amount(value: float, unit: str) -> str:
    return f"{words.number(value)} {unit}".strip()


def _finite(function: str, argument: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise LabError(f"{function}(): `{argument}` is {value!r}, but it should be a finite number.")
    return number
