"""Exercises that never block: judge an answer, say what is wrong, and let the lesson go on."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .. import progress
from ..core import answers, timetable
from ..core.settings import LabError, log_event
from ..progress import Attempt

# The 15-minute rule: when a check keeps failing, first a hint, then something simpler, then the way on. Each once.
TRIES = 3  # failed attempts after which help is offered
PATIENCE = timedelta(minutes=15)
SITTING = timedelta(hours=3)  # older attempts belong to another day's try

_hints_shown: dict[str, int] = {}


def check(exercise_id: str, answer: Any) -> Any:
    """Judge an answer by what it does.

    Args:
        exercise_id: such as "day04/lora-config".
        answer: what the learner made; `...` where nothing has been written yet.

    Returns:
        The learner's answer if it is right, otherwise the reference answer, so that the rest of the lesson works.

    Raises:
        LabError: when there is no such exercise.
    """
    record = answers.exercise(exercise_id)
    namespace = _caller_namespace()
    if is_untouched(answer):
        _report(exercise_id, "untouched", _untouched_message(exercise_id, record))
        return _reference(record, namespace, answer)
    problem = judge(record, answer, namespace)
    if problem is None:
        _report(exercise_id, "right", "Right.")
        return answer
    _report(exercise_id, "wrong", problem)
    return _reference(record, namespace, answer)


def hint(exercise_id: str) -> None:
    """Show the next hint; each call goes one step further.

    Args:
        exercise_id: such as "day04/lora-config".

    Raises:
        LabError: when there is no such exercise.
    """
    hints = answers.exercise(exercise_id)["hints"]
    step = min(_hints_shown.get(exercise_id, 0), len(hints) - 1)
    _hints_shown[exercise_id] = step + 1
    print(f"Hint {step + 1} of {len(hints)}: {hints[step]}")
    if step + 1 == len(hints):
        print(
            f'That was the last hint. After an attempt, exercise.solution("{exercise_id}") shows our answer.'
        )


def solution(exercise_id: str) -> None:
    """Show the worked solution, once the learner has passed or honestly tried.

    Args:
        exercise_id: such as "day04/lora-config".

    Raises:
        LabError: when there is no such exercise.
    """
    record = answers.exercise(exercise_id)
    if not progress.attempts(exercise_id):
        print("Try it once first: any honest attempt opens the solution. A wrong answer costs nothing.")
        print(f'If you do not know where to begin: exercise.hint("{exercise_id}")')
        return
    print(f"One way to solve {exercise_id} (yours may differ and be as good):\n")
    print(record["solution"])


def is_untouched(answer: Any) -> bool:
    """Tell whether an answer is still the empty stub: `...`, or a function or methods that do nothing but `...`."""
    if answer is ...:
        return True
    if inspect.isclass(answer):
        functions = [member for member in vars(answer).values() if inspect.isfunction(member)]
        return bool(functions) and all(map(is_untouched, functions))
    return inspect.isfunction(answer) and _body_is_empty(answer)


def judge(record: dict[str, Any], answer: Any, namespace: dict[str, Any]) -> str | None:
    """Run the author's check on an answer, with a copy of the lesson's variables: None, or what is wrong first."""
    scope = {**namespace, record["answer"]: answer}
    exec(compile(record["check"], f"<check of {record['id']}>", "exec"), scope)
    judgement = scope["check"]
    arguments = [answer]
    if len(inspect.signature(judgement).parameters) == 2:
        arguments.append(_solve(record, namespace))
    try:
        return judgement(*arguments)
    except NameError as error:
        return f"Your answer uses the name `{error.name}`, but nothing has that name. Where should its value come from?"
    except Exception as error:
        return (
            f"Trying your answer out raised {type(error).__name__}: {_first_line(error)}. "
            "Does it have the type and the shape that the exercise asks for?"
        )


def prove(exercise_id: str) -> None:
    """Check the exercise itself: the reference passes, every listed misconception gets its own reply."""
    record = answers.exercise(exercise_id)
    namespace = _caller_namespace()
    for code, expected in record["misconceptions"]:
        scope = dict(namespace)
        exec(compile(code, f"<misconception of {exercise_id}>", "exec"), scope)
        reply = judge(record, scope[record["answer"]], scope)
        assert reply is not None, f"{exercise_id}: this wrong answer passed:\n{code}"
        assert expected in reply, (
            f"{exercise_id}: expected {expected!r} in the reply to\n{code}\nbut got: {reply}"
        )
        log_event("misconception", exercise=exercise_id, reply=reply)
    reply = judge(record, _solve(record, namespace), namespace)
    assert reply is None, f"{exercise_id}: the reference answer was refused: {reply}"
    print(f"{exercise_id}: {len(record['misconceptions'])} misconceptions refused, the reference accepted.")


def _report(exercise_id: str, outcome: str, message: str) -> None:
    log_event("check", exercise=exercise_id, outcome=outcome, feedback=message)
    mark = {"right": "✔", "wrong": "✘", "untouched": "○"}[outcome]
    print(
        textwrap.fill(f"{mark} {exercise_id}: {message}", 100, subsequent_indent="  ", break_long_words=False)
    )
    if outcome != "untouched":
        _remember(exercise_id, outcome == "right", message)
    if outcome == "right":
        return
    if not (outcome == "wrong" and _offer_help(exercise_id)):
        print(f'  Stuck? exercise.hint("{exercise_id}")')
    print("  The lesson goes on with our answer. To use yours, change the cell above and run both again.")


def _offer_help(exercise_id: str) -> bool:
    """Say whether it was time for help, and give it."""
    due = help_due(progress.attempts(exercise_id))
    if due == 1:
        print("  This has taken a while. That is what help is for:")
        hint(exercise_id)
    elif due:
        text = _way_on(exercise_id) if due == 3 else _simpler(answers.exercise(exercise_id))
        print(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="  ", break_long_words=False))
    return due > 0


def help_due(attempts: Sequence[Attempt], now: datetime | None = None) -> int:
    """Say which help is due after a failed attempt, the last of `attempts`."""
    failed = _failed_in_this_sitting(attempts, now or datetime.now().astimezone())
    times = [time for attempt in failed if (time := _time(attempt))]
    for number, attempt in enumerate(failed, 1):
        time = _time(attempt)
        if number >= TRIES or (time and time - times[0] >= PATIENCE):
            due = len(failed) - number + 1
            return due if due <= 3 else 0
    return 0


def _failed_in_this_sitting(attempts: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """Failed attempts since the last pass; one with a time in the future (a clock that moved) counts as recent."""
    passes = [place for place, attempt in enumerate(attempts) if attempt.passed is True]
    since = attempts[passes[-1] + 1 :] if passes else attempts
    return [attempt for attempt in since if (time := _time(attempt)) is None or now - time < SITTING]


def _time(attempt: Attempt) -> datetime | None:
    try:
        return datetime.fromisoformat(str(attempt.time)).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _simpler(record: dict[str, Any]) -> str:
    """The author's example; without one, a first small step and the place where the idea is explained."""
    if record.get("example"):
        return f"A simpler example: {record['example']}"
    try:
        pages = timetable.lesson(record["id"].split("/")[0]).get("guides") or []
    except LabError:
        pages = []
    names = [f"curriculum/guides/{page}.md" for page in pages[:2]]
    return (
        "Something simpler: take the smallest case that you can work out on paper, and print what your answer gives "
        f"for it. The idea is explained in the cells above{', ' if len(names) == 2 else ' and ' if names else ''}"
        f"{' and '.join(names)}."
    )


def _way_on(exercise_id: str) -> str:
    return (
        f'That is enough for today, and going on is fine: exercise.solution("{exercise_id}") is open, and the lesson '
        "continues with our answer. Read it, close it, write it from memory; try again tomorrow."
    )


def _remember(exercise_id: str, passed: bool, message: str) -> None:
    """Record an attempt; where that fails, say so and let the lesson go on."""
    try:
        if not (passed and progress.passed(exercise_id)):
            progress.record_attempt(exercise_id, passed=passed, feedback=message)
    except LabError as error:
        print(f"  This attempt is not kept: {error}")


def _untouched_message(exercise_id: str, record: dict[str, Any]) -> str:
    return f"not answered yet. In the cell above, write `{record['answer']}` in place of the dots."


def _reference(record: dict[str, Any], namespace: dict[str, Any], answer: Any) -> Any:
    """Compute our answer from the learner's variables; if those are unusable, say so and go on."""
    try:
        return _solve(record, namespace)
    except Exception as error:
        print(
            f"  Our answer needs variables from the cells above, and one is not usable "
            f"({type(error).__name__}: {_first_line(error)}). Run the lesson from the top, then try again."
        )
        return answer


def _solve(record: dict[str, Any], namespace: dict[str, Any]) -> Any:
    scope = dict(namespace)
    exec(compile(record["solution"], f"<solution of {record['id']}>", "exec"), scope)
    return scope[record["answer"]]


def _caller_namespace() -> dict[str, Any]:
    """The variables of the notebook cell that called `check` or `prove`."""
    return sys._getframe(2).f_globals


def _body_is_empty(function: Any) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return False
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return all(_is_placeholder(statement) for statement in definition.body)


def _is_placeholder(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    value = statement.value if isinstance(statement, ast.Expr | ast.Return) else None
    if isinstance(statement, ast.Return) and value is None:
        return True
    return isinstance(value, ast.Constant) and (value.value is ... or isinstance(value.value, str))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
