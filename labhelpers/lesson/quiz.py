"""Short quizzes on misconceptions: every choice, right or wrong, gets its own explanation."""

from typing import Any

from .. import progress
from ..core import answers
from ..core.settings import LabError, is_interactive
from ..display import page as widget_page


def ask(lesson_id: str) -> None:
    """Show the quiz of a lesson: radio buttons in a notebook, plain text elsewhere.

    Args:
        lesson_id: such as "day04".

    Raises:
        LabError: when the lesson has no quiz.
    """
    questions = answers.questions(lesson_id)
    if is_interactive():
        for number, question in enumerate(questions, 1):
            widget_page.show(_form(number, question))
        return
    for number, question in enumerate(questions, 1):
        print(f"{number}. {question['question']}")
        for index, choice in enumerate(question["choices"]):
            print(f"   {chr(97 + index)}) {choice['text']}")
    print(f'To answer without a browser: quiz.answer("{questions[0]["id"]}", "a")')


def answer(question_id: str, letter: str) -> str:
    """Answer one question and read why the choice is right or wrong."""
    question = _find(question_id)
    letters = [chr(97 + index) for index in range(len(question["choices"]))]
    if letter not in letters:
        raise LabError(f"{question_id} has no choice {letter!r}. Choose one of {', '.join(letters)}.")
    return _explain(question, letters.index(letter))


def _find(question_id: str) -> dict[str, Any]:
    lesson_id = str(question_id).split("/")[0]
    known = {question["id"]: question for question in answers.questions(lesson_id)}
    if question_id not in known:
        raise LabError(f"There is no question {question_id!r}. This lesson has: {', '.join(known)}.")
    return known[question_id]


def _explain(question: dict[str, Any], index: int) -> str:
    choice = question["choices"][index]
    text = f"{'✔ Yes.' if choice['right'] else '✘ Not quite.'} {choice['explanation']}"
    try:
        progress.record_attempt(question["id"], passed=choice["right"], feedback=choice["text"])
    except LabError as error:
        text += f" (This answer is not kept: {error})"
    return text


def _form(number: int, question: dict[str, Any]) -> Any:
    import html

    import ipywidgets

    title = ipywidgets.HTML(f"<b>{number}. {html.escape(question['question'])}</b>")
    choices = ipywidgets.RadioButtons(
        options=[(choice["text"], index) for index, choice in enumerate(question["choices"])],
        index=None,
        layout=ipywidgets.Layout(width="100%"),
    )
    reply = ipywidgets.HTML()

    def show(change: dict[str, Any]) -> None:
        if change["new"] is not None:
            reply.value = f"<div role='status'>{html.escape(_explain(question, change['new']))}</div>"

    choices.observe(show, names="value")
    return ipywidgets.VBox([title, choices, reply], layout=ipywidgets.Layout(margin="0 0 1em 0"))
