"""Proves checks: our answer, changed by rule, is refused where it behaves differently and accepted where it does not."""

import ast
import copy
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from ...core import answers, settings
from ...core.settings import log_event
from ...lesson import judging

MOST, SECONDS = 60, 40  # mutants of one exercise, and how long they may take together
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
OPERATORS = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,), ast.Pow: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
NAMES = {
    "max": "min", "min": "max", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax", "mean": "median",
    "median": "mean", "std": "var", "var": "std", "ceil": "floor", "floor": "ceil", "sum": "max", "sorted": "list",
    "nlargest": "nsmallest", "cumsum": "cumprod", "lower": "upper", "detach": "clone", "softmax": "log_softmax",
}  # fmt: skip


def try_out(exercise_id: str, namespace: dict[str, Any]) -> None:
    """Try every mutant of an exercise's solution in a lesson's variables, and log what its check made of them."""
    if os.environ.get("LAB_MUTATE_ONLY") not in ("", None, exercise_id):
        return
    record = answers.exercise(exercise_id)
    began, found = time.monotonic(), {"killed": 0, "equal": 0, "survivors": [], "refused": []}
    candidates = [*spread(list(mutants(record["solution"])), MOST), *forms(record, namespace)]
    for name, make in candidates:
        if time.monotonic() - began > SECONDS:
            break
        outcome = _outcome(record, make, namespace)
        if isinstance(found.get(outcome), list):
            found[outcome].append(name)
        elif outcome:
            found[outcome] += 1
    log_event("mutants", exercise=exercise_id, generator="def inputs(" in record["check"], **found)


def spread(items: list[Any], most: int) -> list[Any]:
    """Take at most so many items, evenly from first to last."""
    step = max(1.0, len(items) / most)
    return [items[int(at * step)] for at in range(min(most, len(items)))]


def _outcome(record: dict[str, Any], make: Callable[..., Any], namespace: dict[str, Any]) -> str:
    """Say "killed", "equal", "survivors" (wrong, accepted) or "refused" (right, refused); "" where nothing can be told."""
    try:
        with judging.limited(judging.LIMIT):
            answer = make(namespace)
            equal = _equal(record, answer, namespace)
    except (Exception, judging.OutOfTime, SystemExit):
        return ""  # a mutant that does not even run: a learner sees the error in the cell of the answer
    if equal is None:
        return ""
    reply, _ = judging.judge(record, answer, namespace)
    if equal:
        return "equal" if reply is None else "refused"
    return "killed" if reply is not None else "survivors"


def _equal(record: dict[str, Any], answer: Any, namespace: dict[str, Any]) -> bool | None:
    """Compare a mutant with our answer on inputs that its check has not seen; None where there is no generator."""
    import numpy as np

    scope = {**namespace, record["answer"]: answer}
    exec(compile(record["check"], "<check>", "exec"), scope)
    given = judging.declared(scope, namespace)
    ours, agrees = judging.solve(record, namespace), given.get("agrees", judging.same)
    if not callable(ours):
        return bool(agrees(ours, _form_of(ours, answer)))
    if "inputs" not in given:
        return None
    run = given.get("trial") or (lambda function, *args: function(*args))
    before = None
    for seed in range(1, 4):
        cases = [
            drawn if isinstance(drawn, tuple) else (drawn,)
            for drawn in given["inputs"](np.random.default_rng(seed))
        ]
        if before is not None and judging.same(before, cases):
            break  # nothing is drawn there: once is enough
        if not all(_agree_on(run, agrees, ours, answer, args) for args in cases):
            return False
        before = cases
    return True


def _agree_on(run: Any, agrees: Any, ours: Any, answer: Any, args: tuple[Any, ...]) -> bool:
    given = judging.copied(args)
    try:
        with judging._same_luck():
            expected = run(ours, *judging.copied(args))
        with judging._same_luck():
            found = run(answer, *given)
    except Exception:
        return False
    return judging.unchanged(args, given) and bool(agrees(expected, _form_of(expected, found)))


def _form_of(expected: Any, found: Any) -> Any:
    try:
        return judging.fitted(expected, found) if judging._is_odd(found) else found
    except judging.Refused:
        return found


def mutants(solution: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Change a solution in one place after the other: what was changed, and a function that makes the answer."""
    seen = {ast.unparse(ast.parse(solution))}
    for position in range(sum(1 for _ in ast.walk(ast.parse(solution)))):
        number = 0
        while True:
            tree = ast.parse(solution)
            node = list(ast.walk(tree))[position]
            before = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
            change = _changes(node, tree)
            if number >= len(change):
                break
            changed = change[number]()
            number += 1
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text not in seen:
                seen.add(text)
                yield f"`{_short(before)}` → `{_short(changed)}`", _maker(text)


def _maker(code: str) -> Callable[..., Any]:
    def make(namespace: dict[str, Any]) -> Any:
        scope = dict(namespace)
        before = set(scope)
        exec(compile(code, "<mutant>", "exec"), scope)
        last = ast.parse(code).body[-1]
        name = getattr(last, "name", None) or _target(last)
        return scope[name] if name else scope[next(iter(set(scope) - before))]

    return make


def _target(statement: ast.stmt) -> str | None:
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:69]}…"


def _changes(node: ast.AST, tree: ast.AST) -> list[Callable[[], str]]:
    """List the ways to change one node in place; each returns the new text."""
    return [way for kinds, find in _CHANGES.items() if isinstance(node, kinds) for way in find(node, tree)]


def _put(target: Any, field: str, value: Any, shown: ast.AST | None = None) -> Callable[[], str]:
    def change() -> str:
        setattr(target, field, value)
        return ast.unparse(ast.fix_missing_locations(shown or target))

    return change


def _comparisons(node: Any, _tree: ast.AST) -> list[Callable[[], str]]:
    return [_put(node, "ops", [kind(), *node.ops[1:]]) for kind in COMPARISONS.get(type(node.ops[0]), ())]


def _operators(node: Any, tree: ast.AST) -> list[Callable[[], str]]:
    ways = [_put(node, "op", kind()) for kind in OPERATORS.get(type(node.op), ())]
    if isinstance(node, ast.BinOp):
        ways += [_becomes(tree, node, node.left), _becomes(tree, node, node.right)]
    return ways


def _signs(node: Any, tree: ast.AST) -> list[Callable[[], str]]:
    return [_becomes(tree, node, node.operand)]


def _constants(node: Any, _tree: ast.AST) -> list[Callable[[], str]]:
    return [_put(node, "value", value) for value in _others(node.value)]


def _names(node: Any, _tree: ast.AST) -> list[Callable[[], str]]:
    field = "id" if isinstance(node, ast.Name) else "attr"
    known = isinstance(node.ctx, ast.Load) and NAMES.get(getattr(node, field))
    return [_put(node, field, known)] if known else []


def _statements(node: Any, _tree: ast.AST) -> list[Callable[[], str]]:
    return [_without(node, at) for at in range(len(node.body) - 1)]


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 2, value / 2]
    return [f"{value}x"] if isinstance(value, str) else []


def _calls(node: ast.Call, tree: ast.AST) -> list[Callable[[], str]]:
    ways = [
        _put(node, "keywords", node.keywords[:at] + node.keywords[at + 1 :])
        for at in range(len(node.keywords))
    ]
    if len(node.args) >= 2:
        ways.append(_put(node, "args", [node.args[1], node.args[0], *node.args[2:]]))
        ways.append(_put(node, "args", node.args[:-1]))
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):  # abs(x) → x, int(x) → x
        ways.append(_becomes(tree, node, node.args[0]))
    if not node.args and isinstance(node.func, ast.Attribute):  # x.copy() → x
        ways.append(_becomes(tree, node, node.func.value))
    return ways


def _conditions(node: Any, _tree: ast.AST) -> list[Callable[[], str]]:
    if isinstance(node, ast.comprehension):
        return [_put(node, "ifs", [], node.iter)] if node.ifs else []
    return [_put(node, "test", ast.Constant(value), node.test) for value in (True, False)]


def _becomes(tree: ast.AST, node: ast.AST, other: ast.AST) -> Callable[[], str]:
    class Swap(ast.NodeTransformer):
        def visit(self, seen: ast.AST) -> Any:
            return other if seen is node else self.generic_visit(seen)

    def change() -> str:
        Swap().visit(tree)
        return ast.unparse(ast.fix_missing_locations(other))

    return change


def _without(node: ast.FunctionDef, at: int) -> Callable[[], str]:
    def change() -> str:
        node.body = node.body[:at] + node.body[at + 1 :]
        return "(left out)"

    return change


_CHANGES: dict[Any, Callable[[Any, ast.AST], list[Callable[[], str]]]] = {
    ast.Compare: _comparisons,
    (ast.BinOp, ast.BoolOp, ast.AugAssign): _operators,
    ast.UnaryOp: _signs,
    ast.Constant: _constants,
    ast.Call: _calls,
    (ast.Name, ast.Attribute): _names,
    (ast.If, ast.IfExp, ast.comprehension): _conditions,
    ast.FunctionDef: _statements,
}


def forms(record: dict[str, Any], namespace: dict[str, Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Our answer in other forms of the same content, and functions with habits that no check should let pass."""
    ours = judging.solve(record, namespace)
    for name, form in _FORMS.items():
        if isinstance(ours, type) or (callable(ours) and not hasattr(ours, "__code__")):
            return
        yield name, lambda scope, form=form: _formed(judging.solve(record, scope), form)
    if hasattr(ours, "__code__") and not record.get("in_place"):
        yield "changes its inputs", lambda scope: _meddling(judging.solve(record, scope))


def _formed(ours: Any, form: Callable[[Any], Any]) -> Any:
    if not hasattr(ours, "__code__"):
        made = form(ours)
        if made is ours:
            raise LookupError("no such form")
        return made
    return lambda *args, **options: form(ours(*args, **options))


def _meddling(ours: Any) -> Any:
    def answer(*args: Any, **options: Any) -> Any:
        result = copy.copy(ours(*args, **options))
        for value in args:
            if isinstance(value, list | dict | set):
                value.clear()
            elif judging._kind(value) in ("ndarray", "Tensor") and getattr(value, "ndim", 0):
                value[...] = 0
        return result

    return answer


def _as_numpy(value: Any) -> Any:
    import numpy as np

    return np.float64(value) if type(value) is float else np.int64(value) if type(value) is int else value


def _as_torch(value: Any) -> Any:
    import torch

    return torch.tensor(value, dtype=torch.float64) if type(value) is float else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if type(value) is list else list(value) if type(value) is tuple else value


def _as_array(value: Any) -> Any:
    import numpy as np

    plain = (
        isinstance(value, list | tuple) and value and all(type(item) in (int, float, bool) for item in value)
    )
    return np.array(value) if plain and len({type(item) for item in value}) == 1 else value


_FORMS = {
    "a NumPy number": _as_numpy,
    "a tensor of one number": _as_torch,
    "tuple for list": _as_tuple,
    "an array for a list": _as_array,
}


def table(events: list[dict[str, Any]]) -> str:
    """Lay out the logged outcomes: one row per exercise, then what survived."""
    lines = [f"{'exercise':44} {'mutants':>7} {'killed':>7} {'survive':>7} {'equal':>6} {'refused':>7}"]
    for event in events:
        wrong, refused = len(event["survivors"]), len(event["refused"])
        note = "" if event["generator"] else "   no generator of inputs"
        lines.append(
            f"{event['exercise']:44} {event['killed'] + wrong:7} {event['killed']:7} {wrong:7} "
            f"{event['equal'] + refused:6} {refused:7}{note}"
        )
    for event in events:
        lines += [f"  accepted though different, {event['exercise']}: {one}" for one in event["survivors"]]
        lines += [f"  refused though right, {event['exercise']}: {one}" for one in event["refused"]]
    return "\n".join(lines)


def run(lesson_id: str, only: str | None = None) -> list[dict[str, Any]]:
    """Run a lesson with its mutants in the smoke profile; what was logged, one event per exercise.

    What it trained stays in the workspace, so that the next run takes seconds. With `only`, the other exercises are not tried.
    """
    from . import verify

    folder = settings.current().workspace / "mutants"
    with mock.patch.dict(os.environ, {"LAB_MUTATE_ONLY": only or ""}):
        result = verify.run(lesson_id, "mutants", "smoke", folder / lesson_id, folder)
    if result.error:
        raise settings.LabError(f"{lesson_id} stopped at {result.error}. See {result.notebook}.")
    return result.of_kind("mutants")
