"""A short quiz that suggests a path, a pace, a focus and a background, and says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.settings import LabError
from . import paths

HOURS = {"few": 5, "some": 10, "many": 20, "full": 30}
MOST_ON_WEEKENDS = 14  # hours: two days of seven


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
    """List the questions: name → `ask` and `choices` (answer → words)."""
    return paths.load()["placement"]


def ask() -> Suggestion:
    """Ask the questions one by one in the terminal."""
    import typer

    answers: dict[str, str] = {}
    for number, (name, question) in enumerate(questions().items(), 1):
        typer.echo(f"\n{number}. {question['ask']}")
        for index, words in enumerate(question["choices"].values(), 1):
            typer.echo(f"   {index}) {words}")
        answers[name] = _chosen(list(question["choices"]))
    return suggest(answers)


def _chosen(choices: Sequence[str]) -> str:
    import typer

    def choice(typed: str) -> str:
        numbers = {str(number): name for number, name in enumerate(choices, 1)}
        if typed.strip() not in numbers:
            raise typer.BadParameter(f"Type a number from 1 to {len(choices)}.")
        return numbers[typed.strip()]

    try:
        return typer.prompt(f"Your answer (1 to {len(choices)})", value_proc=choice)
    except typer.Abort as error:
        raise LabError(
            "The quiz needs an answer to each question, but the input ended. Run `lab plan --quiz` in a terminal."
        ) from error


def suggest(answers: Mapping[str, str]) -> Suggestion:
    """Weigh the answers: the path goes as far as the goal asks and the experience carries; the pace follows the hours."""
    _check(answers)
    path, why_path = _path(answers)
    background, why_background = _background(answers)
    pace, hours, why_pace = _pace(answers, background)
    focus = None if answers["focus"] == "none" else answers["focus"]
    minutes = paths.minutes(paths.select(path, pace, focus, background).lessons)
    aim = paths.get("focus", focus) if focus else {}
    because = [why_path, why_pace, why_background, f"{aim['title']}: {aim['text'].lower()}." if aim else ""]
    because.append(
        f"These lessons add up to {minutes / 60:.1f} hours, {minutes / 60 / hours:.1f} weeks of {hours} hours."
    )
    if answers["python"] == "never":
        because.append(
            "The lessons use basic Python from the first cell on: do a short Python introduction first."
        )
    return Suggestion(path, pace, focus, background, hours, tuple(filter(None, because)))


def _check(answers: Mapping[str, str]) -> None:
    for name, question in questions().items():
        if answers.get(name) not in question["choices"]:
            given = f"{answers[name]!r} is none of its answers" if name in answers else "has no answer"
            raise LabError(
                f"placement: “{question['ask']}” ({name}): {given}. Use one of: {', '.join(question['choices'])}."
            )


def _path(answers: Mapping[str, str]) -> tuple[str, str]:
    known = {name: path for name, path in paths.load()["paths"].items() if "goal" in path}
    wanted = next(name for name, path in known.items() if path["goal"] == answers["goal"])
    reach = _reach(answers)
    if known[wanted]["level"] <= reach:
        return wanted, f"{known[wanted]['title']} ends where you want to be: {_goal(answers)}."
    nearest = max(
        (name for name, path in known.items() if path["level"] <= reach),
        key=lambda name: known[name]["level"],
    )
    return nearest, (
        f"Your goal ({_goal(answers)}) is that of {known[wanted]['title']}. Begin with {known[nearest]['title']}: it fits "
        "what you have done so far, and all of its lessons count when you go on."
    )


def _reach(answers: Mapping[str, str]) -> int:
    """Up to which level of a path the experience carries."""
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
        fewer = HOURS["many"]
        why = f"You have {hours} hours a week, but everything is new: {fewer} of lessons, and the rest for trying things."
        return "standard", fewer, why
    return "standard", hours, f"With {hours} hours a week on most days, the standard pace fits."
