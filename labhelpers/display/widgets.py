"""Things to move with the mouse or the keyboard; without a browser they print what they would show."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core import settings
from ..core.settings import LabError
from . import page as widget_page
from . import tokens
from .guesses import Guess, compared, predict, round_step

__all__ = ["Exploration", "Guess", "compared", "explore", "predict", "tokenizer_explorer"]
CONTROL_KINDS = "(low, high), (low, high, step), a list of choices, True or False, or a text"


@dataclass(repr=False)
class Exploration:
    """A function with movable inputs: what `explore` returns."""

    function: Callable[..., Any]
    controls: dict[str, Any]
    values: dict[str, Any]
    draw: Callable[[], None]
    sliders: dict[str, Any] = field(default_factory=dict)

    def set(self, **values: Any) -> None:
        """Move controls by name and run the function again, once.

        Args:
            values: new value per control.

        Raises:
            LabError: when a control does not exist or cannot take the value.
        """
        for name, value in values.items():
            if name not in self.controls:
                raise LabError(f"There is no control {name!r}. Choose one of: {', '.join(self.controls)}.")
            _check_value(name, self.controls[name], value)
        self.values.update(values)
        for name in set(values) & set(self.sliders):
            self.sliders[name].value = values[name]
        self.draw()

    def _ipython_display_(self) -> None:
        """Show nothing: the controls are on the page already."""


def explore(function: Callable[..., Any], **controls: Any) -> Exploration:
    """Run a function again whenever one of its inputs is moved.

    Args:
        function: draws, prints or returns something; its parameters are named like the controls. A default
            value in its signature is where the control starts.
        controls: per parameter a tuple (low, high[, step]) for a slider, a list for a drop-down, True or False
            for a checkbox, or a text.

    Returns:
        An Exploration with `.values` and `.set(name=value)`.

    Raises:
        LabError: when a control is none of these or the function does not take it; without a browser also when
            the function fails, so that a check notices.
    """
    controls = {name: _checked(name, control) for name, control in controls.items()}
    starts = {name: _start(function, name, control) for name, control in controls.items()}
    try:
        inspect.signature(function).bind(**starts)
    except TypeError as error:
        raise LabError(
            f"explore({_name(function)}): {error}. Name one control after each parameter of the function."
        ) from error
    exploration = Exploration(function, controls, starts, lambda: _run(exploration))
    if settings.is_interactive():
        _show_controls(exploration)
    exploration.draw()
    return exploration


def tokenizer_explorer(tokenizers: Mapping[str, Any], text: str, max_length: int = 128) -> None:
    """Show how tokenizers cut a text, with ids, counts and what padding its lines would cost.

    Args:
        tokenizers: name → tokenizer, as `AutoTokenizer.from_pretrained` returns it; at most 6.
        text: where the text box starts; several lines count as several examples of one batch.
        max_length: length in tokens for the "padded to a fixed length" column.

    Raises:
        LabError: when there is no tokenizer, more than 6, or `text` is not a text.
    """
    tokens.check(tokenizers, text, max_length)
    if not settings.is_interactive():
        print(tokens.table(tokenizers, text, max_length))
        return
    import ipywidgets

    layout = {"width": "100%", "height": "5em"}
    box = ipywidgets.Textarea(text, description="Your text", continuous_update=False, layout=layout)
    page = ipywidgets.HTML()

    def cut(_: Any = None) -> None:
        page.value = tokens.page(tokenizers, box.value, max_length)

    box.observe(cut, "value")
    cut()
    hint = ipywidgets.HTML("Change the text, then press Tab (or click elsewhere) to cut it again.")
    widget_page.show(ipywidgets.VBox([box, hint, page]))


def _checked(name: str, control: Any) -> Any:
    """Complain about a control that cannot be built; give a slider its step."""
    if isinstance(control, bool | str) or (isinstance(control, list) and control):
        return control
    numeric = isinstance(control, tuple) and all(
        type(part) in (int, float) and math.isfinite(part) for part in control
    )
    if (
        not numeric
        or len(control) not in (2, 3)
        or control[0] >= control[1]
        or min(control[2:], default=1) <= 0
    ):
        wanted = f"{CONTROL_KINDS}, with low below high"
        raise LabError(f"explore(): the control {name}={control!r} should be {wanted}.")
    whole = all(isinstance(part, int) for part in control)
    return control if len(control) == 3 else (*control, 1 if whole else round_step(*control))


def _start(function: Callable[..., Any], name: str, control: Any) -> Any:
    """Where a control begins: as it is, else at the function's own default, at the first choice, or in the middle."""
    if isinstance(control, bool | str):
        return control
    parameter = inspect.signature(function).parameters.get(name)
    if parameter is not None and parameter.default is not parameter.empty:
        _check_value(name, control, parameter.default)
        return parameter.default
    if isinstance(control, list):
        return control[0]
    low, high, step = control
    return low + round((high - low) / 2 / step) * step


def _check_value(name: str, control: Any, value: Any) -> None:
    if isinstance(control, list):
        fits, wanted = value in control, f"one of {control}"
    elif isinstance(control, tuple):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number and control[0] <= value <= control[1]
        wanted = f"between {control[0]} and {control[1]}"
    else:
        fits, wanted = isinstance(value, type(control)), f"of type {type(control).__name__}"
    if not fits:
        raise LabError(f"explore(): {name}={value!r} does not fit its control; it should be {wanted}.")


def _show_controls(exploration: Exploration) -> None:
    import ipywidgets

    output = ipywidgets.Output()
    exploration.sliders = {n: _control(n, c, exploration.values[n]) for n, c in exploration.controls.items()}

    def draw() -> None:
        with output:
            output.clear_output(wait=True)
            try:
                _run(exploration)
            except LabError as error:
                print(error)

    def moved(name: str, value: Any) -> None:
        if exploration.values[name] != value:  # set() has already put its own values here
            exploration.values[name] = value
            draw()

    for name, slider in exploration.sliders.items():
        slider.observe(lambda change, name=name: moved(name, change["new"]), "value")
    exploration.draw = draw
    widget_page.show(ipywidgets.VBox([*exploration.sliders.values(), output]))


def _control(name: str, control: Any, value: Any) -> Any:
    """Let ipywidgets choose the kind of control; give it a name and room, and let it act when it is let go."""
    from ipywidgets import interactive

    made = interactive.widget_from_abbrev(control, value)
    made.description, made.style.description_width = name.replace("_", " "), "initial"
    if made.has_trait("continuous_update"):
        made.continuous_update = False
        made.layout.width = "min(100%, 36em)" if isinstance(control, tuple) else "100%"
    if made.has_trait("indent"):
        made.indent = False
    if made.has_trait("readout_format") and isinstance(made.step, float):
        made.readout_format = f".{max(0, -math.floor(math.log10(made.step)))}f"
    return made


def _run(exploration: Exploration) -> None:
    """Call the function with the current values and show what it returns."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    try:
        result = exploration.function(**exploration.values)
    except Exception as error:
        at = ", ".join(f"{name}={value!r}" for name, value in exploration.values.items())
        raise LabError(
            f"{_name(exploration.function)}({at}) stopped with {type(error).__name__}: {error}"
        ) from error
    if type(result).__module__.startswith("matplotlib."):
        raise LabError(
            f"{_name(exploration.function)}() returned a figure, which would appear without a description. "
            "End the function with plots.show(figure, alt=…) instead of return."
        )
    if result is not None:
        display(result) if InteractiveShell.initialized() else print(result)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
