"""Exercises that never block: judge an answer, say what is wrong, and let the lesson go on."""

import ast
import contextlib
import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .. import progress
from ..core import answers, timetable
from ..core.settings import LabError, log_event
from ..progress import Attempt
from . import judging

# The 15-minute rule: when a check keeps failing, first a hint, then something simpler, then the way on. Each once.
TRIES = 3  # failed attempts after which help is offered
PATIENCE = timedelta(minutes=15)
SITTING = timedelta(hours=3)  # older attempts belong to another day's try

_MISSING = object()
_hints_shown: dict[str, int] = {}
# Per exercise: the reference that a check handed out, and how many cells had run by then.
_handed_out: dict[str, tuple[Any, int]] = {}


def check(exercise_id: str, answer: Any = _MISSING, *more: Any) -> Any:
    """Judge an answer by what it does.

    Args:
        exercise_id: such as "day04/lora-config".
        answer: what the learner made; `...` where nothing has been written yet.

    Returns:
        The learner's answer if it is right, in the form that the next cells need (a plain number for an array of
        one, a list for a tuple); otherwise the reference answer, so that the rest of the lesson works.

    Raises:
        LabError: when there is no such exercise, or the arguments are not an id and one answer.
    """
    _require_id_and_answer(exercise_id, answer, more)
    record = answers.exercise(exercise_id)
    namespace = _caller_namespace()
    if is_untouched(answer):
        _report(exercise_id, "untouched", _untouched_message(exercise_id, record))
        return _hand_out(record, namespace, answer)
    if _is_ours(record, namespace, answer):
        _report(exercise_id, "ours", _ours_message(record))
        return answer
    problem, fitted = judging.judge(record, answer, namespace)
    if problem is None:
        _report(exercise_id, "right", "Right.")
        return fitted
    _report(exercise_id, "wrong", problem)
    return _hand_out(record, namespace, answer)


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


def prove(exercise_id: str) -> None:
    """Check the exercise itself: the reference passes, every listed misconception gets its own reply."""
    record = answers.exercise(exercise_id)
    namespace = _caller_namespace()
    for code, expected in record["misconceptions"]:
        scope = dict(namespace)
        exec(compile(code, f"<misconception of {exercise_id}>", "exec"), scope)
        reply, _ = judging.judge(record, scope[record["answer"]], scope)
        assert reply is not None, f"{exercise_id}: this wrong answer passed:\n{code}"
        assert expected in reply, (
            f"{exercise_id}: expected {expected!r} in the reply to\n{code}\nbut got: {reply}"
        )
        log_event("misconception", exercise=exercise_id, reply=reply)
    reply, _ = judging.judge(record, judging.solve(record, namespace), namespace)
    assert reply is None, f"{exercise_id}: the reference answer was refused: {reply}"
    print(f"{exercise_id}: {len(record['misconceptions'])} misconceptions refused, the reference accepted.")


def _report(exercise_id: str, outcome: str, message: str) -> None:
    log_event("check", exercise=exercise_id, outcome=outcome, feedback=message)
    mark = {"right": "✔", "wrong": "✘"}.get(outcome, "○")
    print(
        textwrap.fill(f"{mark} {exercise_id}: {message}", 100, subsequent_indent="  ", break_long_words=False)
    )
    if outcome in ("right", "wrong"):
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


def _ours_message(record: dict[str, Any]) -> str:
    return (
        f"`{record['answer']}` still holds our answer, which the last check gave you so that the lesson could go on. Run "
        "the cell with yours, then this one."
    )


def _hand_out(record: dict[str, Any], namespace: dict[str, Any], answer: Any) -> Any:
    """Compute our answer from the learner's variables and note that it is ours; if it cannot be made, say so."""
    try:
        ours = judging.solve(record, namespace)
    except Exception as error:
        print(
            f"  Our answer needs variables from the cells above, and one is not usable "
            f"({type(error).__name__}: {judging.first_line(error)}). Run the lesson from the top, then try again."
        )
        return answer
    _handed_out[record["id"]] = (ours, len(namespace.get("In", ())))
    return ours


def _is_ours(record: dict[str, Any], namespace: dict[str, Any], answer: Any) -> bool:
    """Tell whether an answer is the one that an earlier check handed out, with nothing written in its place since."""
    ours, cells = _handed_out.get(record["id"], (_MISSING, 0))
    since = namespace.get("In", ())[cells:]
    return answer is ours and not any(_sets(cell, record["answer"]) for cell in since)


def _sets(cell: str, name: str) -> bool:
    """Tell whether a cell gives a name a value other than by a check."""
    try:
        tree = ast.parse(cell)
    except SyntaxError:  # a magic, or a cell that did not run
        return False
    checks = [
        node.targets
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "exercise.check(" in ast.unparse(node.value)
    ]
    handed = {id(part) for targets in checks for target in targets for part in ast.walk(target)}
    for node in ast.walk(tree):
        defined = (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        )
        stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
        if defined or (stored and id(node) not in handed):
            return True
    return False


def _require_id_and_answer(exercise_id: Any, answer: Any, more: tuple[Any, ...]) -> None:
    call = 'exercise.check("day01/first-steps", accuracy)'
    if isinstance(answer, str) and "/" in answer and not isinstance(exercise_id, str):
        raise LabError(f"check() wants the exercise first and your answer second, as in `{call}`.")
    if answer is _MISSING or more:
        raise LabError(f"check() wants two things, the exercise and your answer, as in `{call}`.")


def explain_missing_answers() -> None:
    """Let a check whose answer was never made say which cell to mend, instead of a NameError that blames nobody."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    if shell := get_ipython():
        shell.set_custom_exc((NameError,), _on_name_error)


def _on_name_error(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: int | None = None) -> None:
    cell = (shell.user_ns.get("In") or [""])[-1]
    found = re.search(r"""(\w+)\s*=\s*exercise\.check\(\s*["']([\w/-]+)["'],\s*\1\s*\)""", cell)
    if not found or found[1] != error.name:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        return
    print(
        f"○ {found[2]}: there is no `{found[1]}` yet. The cell with your answer has not run, or it stopped with an error "
        f'before it made one: mend that cell first, then run both.\n  Stuck? exercise.hint("{found[2]}")'
    )
    with contextlib.suppress(LabError):
        ours = _hand_out(answers.exercise(found[2]), shell.user_ns, _MISSING)
        if ours is not _MISSING:
            shell.user_ns[found[1]] = ours
            print("  The lesson goes on with our answer: run the cells below.")


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
    text = isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", None), str)  # a docstring
    return isinstance(value, ast.Constant) and (value.value is ... or text)
