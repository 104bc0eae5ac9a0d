"""A short quiz that suggests a path, a pace, a focus and a background, and says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core import settings
from ...core.settings import LabError
from . import paths

HOURS = {"few": 5, "some": 10, "many": 20, "full": 30}
MOST_ON_WEEKENDS = 14  # hours: two days of seven
WANTED = {"try": "quick_start", "understand": "deep_dive", "deploy": "production_ready"}


@dataclass(frozen=True)
class Suggestion:
    """What the quiz suggests: options of `lab plan`, and one sentence per reason."""

    path: str
    pace: str
    focus: str | None
    background: str | None
    hours_per_week: int
    because: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that makes this plan."""
        options = {"path": self.path, "pace": self.pace, "focus": self.focus, "background": self.background}
        words = [f"--{name} {value}" for name, value in options.items() if value]
        return " ".join(["lab plan", *words, f"--hours-per-week {self.hours_per_week}"])

    def __str__(self) -> str:
        return "\n".join([self.command, "", "Because:", *(f"  - {sentence}" for sentence in self.because)])


def questions() -> dict[str, dict[str, Any]]:
    """List the questions.

    Returns:
        Name → `ask` and `choices` (answer → words).
    """
    return paths.load()["placement"]


def suggest(answers: Mapping[str, str]) -> Suggestion:
    """Weigh the answers.

    Args:
        answers: one of its choices for each of `questions()`.

    Returns:
        A Suggestion. The path goes as far as the goal asks and the experience carries; the pace follows the hours.

    Raises:
        LabError: when an answer is missing or is none of the choices.
    """
    _check(answers)
    path, why_path = _path(answers)
    background, why_background = _background(answers)
    pace, hours, why_pace = _pace(answers, background)
    focus = None if answers["focus"] == "none" else answers["focus"]
    minutes = paths.minutes(paths.select(path, pace, focus, background).lessons)
    because = [why_path, why_pace, why_background, _why_focus(focus)]
    because.append(
        f"These lessons add up to {minutes / 60:.1f} hours, {minutes / 60 / hours:.1f} weeks of {hours} hours."
    )
    if answers["python"] == "never":
        because.append(
            "The lessons use basic Python from the first cell on: do a short Python introduction first."
        )
    return Suggestion(
        path, pace, focus, background, hours, tuple(sentence for sentence in because if sentence)
    )


def ask() -> None:
    """Show the quiz with radio buttons in a notebook; elsewhere print the questions and how to answer them."""
    if settings.is_interactive():
        from IPython.display import display

        display(_form())
        return
    for name, question in questions().items():
        print(f"{name}: {question['ask']}")
        for choice, words in question["choices"].items():
            print(f"   {choice:12} {words}")
    example = {name: next(iter(question["choices"])) for name, question in questions().items()}
    print(f"\nTo answer without a browser: lab plan --quiz, or placement.suggest({example})")


def ask_in_terminal(read: Callable[[str], str] = input, say: Callable[[str], Any] = print) -> Suggestion:
    """Ask the questions one by one.

    Args:
        read: shows a prompt and returns what was typed.
        say: prints a line.

    Returns:
        The suggestion.

    Raises:
        LabError: when the input ends before the quiz does.
    """
    answers: dict[str, str] = {}
    for number, (name, question) in enumerate(questions().items(), 1):
        say(f"\n{number}. {question['ask']}")
        choices = list(question["choices"])
        for index, choice in enumerate(choices, 1):
            say(f"   {index}) {question['choices'][choice]}")
        answers[name] = choices[_chosen(read, say, len(choices)) - 1]
    return suggest(answers)


def _chosen(read: Callable[[str], str], say: Callable[[str], Any], count: int) -> int:
    while True:
        try:
            typed = read(f"Your answer (1 to {count}): ").strip()
        except EOFError as error:
            raise LabError(
                "The quiz needs an answer to each question, but the input ended. Run `lab plan --quiz` in a terminal."
            ) from error
        if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= count:
            return int(typed)
        say(f"Type a number from 1 to {count}.")


def _check(answers: Mapping[str, str]) -> None:
    for name, question in questions().items():
        if answers.get(name) not in question["choices"]:
            given = f"{answers[name]!r} is none of its answers" if name in answers else "has no answer"
            raise LabError(
                f"placement: “{question['ask']}” ({name}): {given}. Use one of: {', '.join(question['choices'])}."
            )


def _path(answers: Mapping[str, str]) -> tuple[str, str]:
    wanted = WANTED[answers["goal"]]
    order = list(WANTED.values())
    reach = order[_reach(answers)]
    names = {name: paths.get("path", name)["title"] for name in order}
    if order.index(wanted) <= order.index(reach):
        return wanted, f"{names[wanted]} ends where you want to be: {_goal(answers)}."
    return reach, (
        f"Your goal ({_goal(answers)}) is that of {names[wanted]}. Begin with {names[reach]}: it fits what you have "
        "done so far, and all of its lessons count when you go on."
    )


def _reach(answers: Mapping[str, str]) -> int:
    """How far the experience carries: 0 Quick Start, 1 Deep Dive, 2 Production Ready."""
    if answers["python"] == "never" or (answers["ml"] == "none" and answers["language_models"] == "used"):
        return 0
    ships = answers["engineering"] == "strong" or answers["language_models"] == "several"
    return 2 if ships and answers["python"] == "fluent" else 1


def _goal(answers: Mapping[str, str]) -> str:
    words = questions()["goal"]["choices"][answers["goal"]]
    return words[0].lower() + words[1:]


def _background(answers: Mapping[str, str]) -> tuple[str | None, str]:
    if answers["ml"] == "strong":
        name = "strong_ml"
    elif answers["engineering"] == "strong":
        name = "strong_engineering"
    elif answers["ml"] == "none" and answers["engineering"] == "none":
        name = "new_to_both"
    else:
        return None, ""
    entry = paths.get("background", name)
    return name, f"{entry['title']}: {entry['text'][0].lower()}{entry['text'][1:]}."


def _pace(answers: Mapping[str, str], background: str | None) -> tuple[str, int, str]:
    hours = HOURS[answers["hours"]]
    if answers["when"] == "weekend":
        most = min(hours, MOST_ON_WEEKENDS)
        return "weekend", most, f"You have Saturdays and Sundays, so {most} hours on two days."
    if answers["hours"] == "few":
        return "relaxed", hours, f"With {hours} hours a week, short sittings on many days keep the thread."
    if answers["hours"] == "full" and background != "new_to_both":
        return (
            "accelerated",
            hours,
            f"With {hours} hours a week you can take the fast way, without the extras.",
        )
    if answers["hours"] == "full":
        return (
            "standard",
            HOURS["many"],
            (
                f"You have {hours} hours a week, but everything is new: {HOURS['many']} of lessons, and the rest for trying things."
            ),
        )
    return "standard", hours, f"With {hours} hours a week on most days, the standard pace fits."


def _why_focus(focus: str | None) -> str:
    return (
        f"{paths.get('focus', focus)['title']}: {paths.get('focus', focus)['text'].lower()}." if focus else ""
    )


def _form() -> Any:
    import html

    import ipywidgets

    buttons = {
        name: ipywidgets.RadioButtons(
            options=[(words, choice) for choice, words in question["choices"].items()],
            index=None,
            layout=ipywidgets.Layout(width="100%"),
        )
        for name, question in questions().items()
    }
    reply = ipywidgets.HTML("<div role='status'>Answer all questions to see a suggestion.</div>")

    def show(_: Any) -> None:
        answers = {name: button.value for name, button in buttons.items()}
        if None not in answers.values():
            reply.value = f"<div role='status'><pre>{html.escape(str(suggest(answers)))}</pre></div>"

    rows: list[Any] = []
    for button, question in zip(buttons.values(), questions().values(), strict=True):
        button.observe(show, names="value")
        rows += [ipywidgets.HTML(f"<b>{html.escape(question['ask'])}</b>"), button]
    return ipywidgets.VBox([*rows, reply])
