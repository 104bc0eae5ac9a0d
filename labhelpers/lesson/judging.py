"""Tries an answer out: for a limited time, on copies of its inputs, beside our own answer to the same inputs."""

import _thread
import copy
import functools
import inspect
import reprlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

LIMIT = 30  # seconds that trying out one answer may take
PRECISION = 1e-6  # relative; what float32 keeps of a number


class Refused(Exception):
    """An answer that cannot be accepted; its text is the reply."""


class OutOfTime(BaseException):
    """Not an `Exception`, so that no `except Exception` of an answer swallows it."""


def judge(record: dict[str, Any], answer: Any, namespace: dict[str, Any]) -> tuple[str | None, Any]:
    """Try an answer out with a copy of the lesson's variables: what is wrong first, or None, and the answer fitted."""
    if reply := _no_plain_function(answer):
        return reply, answer
    try:
        with limited(LIMIT):
            return _judge(record, answer, namespace)
    except OutOfTime:
        return (
            f"Trying your answer out took more than {LIMIT} seconds, so it was stopped. Does a loop in it never end? "
            "Try it yourself on a very small input.",
            answer,
        )
    except (Refused, SystemExit, KeyboardInterrupt) as stopped:
        return _stopped(stopped), answer
    except Exception as error:
        return _raised(record, error), answer


def _judge(record: dict[str, Any], answer: Any, namespace: dict[str, Any]) -> tuple[str | None, Any]:
    scope = dict(namespace)
    exec(compile(record["check"], f"<check of {record['id']}>", "exec"), scope)
    tried, expected = Trial(answer, record, namespace), functools.cache(lambda: solve(record, namespace))
    scope[record["answer"]] = tried.answer
    wanted = len(inspect.signature(scope["check"]).parameters) == 2
    try:
        reply = scope["check"](tried.answer, *([expected()] if wanted else []))
    except Exception as error:  # a check may stumble over a list where it wants a number: that is what to say
        if tried.misfit and not hasattr(error, "lab_call"):
            raise Refused(tried.misfit) from error
        raise
    given = declared(scope, namespace)
    if reply is None and "inputs" in given:
        reply = tried.differs(given["inputs"], given.get("trial"), given.get("agrees", same))
    return reply, answer if reply else tried.accepted()


def declared(scope: dict[str, Any], namespace: dict[str, Any]) -> dict[str, Any]:
    """What a check cell brings along to compare with; a lesson's own variable called `inputs` is none of it."""
    names = ("inputs", "trial", "agrees")
    return {name: scope[name] for name in names if name in scope and scope[name] is not namespace.get(name)}


class Trial:
    """An answer and ours side by side. A function is called on copies, and gives what ours would give in kind."""

    def __init__(self, answer: Any, record: dict[str, Any], namespace: dict[str, Any]):
        self.own, self.name = answer, record["answer"]
        self.ours = functools.cache(lambda: solve(record, namespace))
        self.model: Any = None  # a result of ours of the kind that the answer did not give
        self.misfit: str | None = None
        plain = isinstance(answer, FunctionType) and not record.get("in_place")
        self.answer = _as_function(answer, self._call) if plain else self._fitted_value(answer)

    def _fitted_value(self, answer: Any) -> Any:
        if not _is_odd(answer):
            return answer
        try:
            return fitted(self.ours(), answer)
        except Refused as misfit:
            self.misfit = str(misfit)
        except Exception:  # our answer needs variables that this learner has changed
            pass
        return answer

    def _call(self, *args: Any, **options: Any) -> Any:
        given, spare = copied((args, options)), copied((args, options))
        with _naming(self.name, args, options):
            found = self.own(*given[0], **given[1])
        if not unchanged((args, options), given):
            raise Refused(
                f"`{self.name}` changes what it was given: {_call_text(self.name, args, options)}. The cells below need "
                "that as it was. Work on a copy, or make something new."
            )
        if not _is_odd(found):
            return found
        with _same_luck():
            expected = self.ours()(*spare[0], **spare[1])
        try:
            result = fitted(expected, found)
        except Refused as misfit:
            self.misfit = f"For {_call_text(self.name, args, options)}: {misfit}"
            return found
        if type(result) is not type(found):
            self.model = expected
        return result

    def differs(self, inputs: Callable[..., Any], trial: Any, agrees: Any) -> str | None:
        """Compare with ours on every input of the exercise's generator: None, or the first difference in words."""
        import numpy as np

        run = trial or (lambda function, *args: function(*args))
        for drawn in inputs(np.random.default_rng(0)):
            args = drawn if isinstance(drawn, tuple) else (drawn,)
            with _same_luck():
                expected = run(self.ours(), *copied(args))
            with _same_luck():
                found = run(self.answer, *copied(args))
            if not agrees(expected, found):
                return (
                    f"Right for the usual case, but for {_call_text(self.name, args, {})} {_contrast(expected, found)}. "
                    "We do not recognise the mistake: try that case by hand."
                )
        return None

    def accepted(self) -> Any:
        """The answer in the form that the cells below need."""
        if self.misfit:
            raise Refused(self.misfit)
        if not isinstance(self.own, FunctionType):
            return self.answer
        if self.model is None:
            return self.own
        model = self.model
        return _as_function(self.own, lambda *args, **options: fitted(model, self.own(*args, **options)))


def solve(record: dict[str, Any], namespace: dict[str, Any]) -> Any:
    """Make our answer from the lesson's variables."""
    scope = dict(namespace)
    exec(compile(record["solution"], f"<solution of {record['id']}>", "exec"), scope)
    return scope[record["answer"]]


def fitted(expected: Any, found: Any) -> Any:
    """Turn a right answer in another form (NumPy, torch, pandas, tuple for list) into the form of ours, or refuse it."""
    if found is None or type(found) is type(expected):
        return found
    if isinstance(expected, bool | int | float) or _kind(expected) == "number":
        return _number(expected, found)
    if isinstance(expected, str):
        return _only(isinstance(found, str), "a text", found)
    if isinstance(expected, list | tuple):
        return _sequence(expected, found)
    if isinstance(expected, Mapping):
        return _only(isinstance(found, Mapping), "a dictionary", found)
    return _array(expected, found)


def _number(expected: Any, found: Any) -> Any:
    import numpy as np

    single = isinstance(found, bool | int | float) or (
        _kind(found) in _ARRAYS and np.size(_plain(found)) == 1
    )
    if not single:
        raise Refused(f"this is {_described(found)}, and the cells below need one number.")
    value = _plain(found)
    value = value if isinstance(value, bool | int | float) else np.ravel(value)[0].item()
    if isinstance(expected, bool | np.bool_):
        return bool(value) if value in (0, 1) else value
    if isinstance(expected, int | np.integer):
        return int(value) if value == int(value) else value
    close = abs(value - float(expected)) <= PRECISION * abs(float(expected))
    return float(expected) if close and not isinstance(found, float) else float(value)


def _sequence(expected: Any, found: Any) -> Any:
    if isinstance(found, str | Mapping) or not hasattr(found, "__iter__"):
        raise Refused(f"this is {_described(found)}, and the cells below need a {type(expected).__name__}.")
    values = _plain(found)
    items = [
        item.item() if _kind(item) == "number" else item for item in (values if values is not None else found)
    ]
    if len(expected) and len(expected) == len(items):
        items = [fitted(ours, item) for ours, item in zip(expected, items, strict=True)]
    # A named tuple takes its fields one by one.
    return type(expected)(*items) if hasattr(expected, "_fields") else type(expected)(items)


def _array(expected: Any, found: Any) -> Any:
    import numpy as np

    wanted = _kind(expected)
    if wanted not in ("ndarray", "Tensor", "Series") or not (
        isinstance(found, list | tuple) or _kind(found) in _ARRAYS
    ):
        return found
    if wanted == "Tensor":
        import torch

        if expected.requires_grad and not getattr(found, "requires_grad", False):
            raise Refused(
                "gradients do not flow through it, and the cells below train through it. Stay in torch."
            )
        return found if _kind(found) == "Tensor" else torch.as_tensor(np.asarray(found), dtype=expected.dtype)
    values = np.asarray(_plain(found))
    return type(expected)(values, index=expected.index) if wanted == "Series" else values


_ARRAYS = ("number", "ndarray", "Tensor", "Series")


def _kind(value: Any) -> str:
    """Name the library type of a value, "" for what no data library made; imports nothing."""
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "numpy":
        return {"ndarray": "ndarray", "Generator": "Draw"}.get(name, "number")
    if module == "torch":
        return "Tensor" if name in ("Tensor", "Parameter") else ""
    return name if module == "pandas" and name in ("Series", "DataFrame") else ""


def _plain(value: Any) -> Any:
    """Give the values of a tensor or a column as NumPy has them; anything else as it is."""
    if _kind(value) == "Tensor":
        value = value.detach().cpu()
        return (
            value.float() if value.dtype.is_floating_point and value.dtype.itemsize < 4 else value
        ).numpy()
    return value.to_numpy() if _kind(value) == "Series" else value


def _is_odd(value: Any) -> bool:
    """Tell whether a value may be a right answer in a form that the next cells do not expect."""
    return not (value is None or type(value) in (bool, int, float)) and (
        isinstance(value, str | list | tuple | dict | set | range) or bool(_kind(value))
    )


def _only(fits: bool, wanted: str, found: Any) -> Any:
    if not fits:
        raise Refused(f"this is {_described(found)}, and the cells below need {wanted}.")
    return str(found) if isinstance(found, str) else found


def same(expected: Any, found: Any, tolerance: float = PRECISION) -> bool:
    """Tell whether two results are equal in what they say, whatever form they have."""
    import numpy as np

    expected, found = _plain(expected), _plain(found)
    if hasattr(expected, "to_dict") and type(expected) is type(found):
        return same(expected.to_dict(), found.to_dict(), tolerance)
    if isinstance(expected, Mapping):
        return (
            isinstance(found, Mapping)
            and list(map(str, sorted(expected, key=str))) == list(map(str, sorted(found, key=str)))
            and all(same(expected[key], found[key], tolerance) for key in expected if key in found)
        )
    if isinstance(expected, str | bytes | set | frozenset) or expected is None:
        return bool(type(found) in (type(expected), np.str_) and expected == found)
    if isinstance(expected, list | tuple):
        if (
            isinstance(found, str | Mapping | None)
            or not hasattr(found, "__len__")
            or len(expected) != len(found)
        ):
            return False
        return all(same(one, other, tolerance) for one, other in zip(expected, found, strict=True))
    if isinstance(expected, bool | int | float | np.ndarray | np.generic):
        return _same_numbers(expected, found, tolerance)
    try:
        return bool(np.all(expected == found))
    except Exception:
        return False


def _same_numbers(expected: Any, found: Any, tolerance: float) -> bool:
    import numpy as np

    try:
        one, other = np.asarray(expected), np.asarray(found)
        if one.shape != other.shape:
            return False
        if one.dtype.kind in "fc" or other.dtype.kind in "fc":
            return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * 1e-3, equal_nan=True))
        return bool(np.array_equal(one, other))
    except (TypeError, ValueError):
        return False


def copied(value: Any) -> Any:
    """Copy data, however nested; models and whatever else has a life of its own stay the same object."""
    if isinstance(value, list | tuple):
        items = [copied(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if _kind(value) == "Tensor":  # a copy of what is trained would be another parameter
        return value if value.requires_grad else value.clone()
    if isinstance(value, set) or _kind(value) in ("ndarray", "Series", "DataFrame", "Draw"):
        return copy.deepcopy(value)
    return value


def unchanged(before: Any, after: Any) -> bool:
    """Tell whether copies still hold what they were made from."""
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    if type(before) is dict:
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    if before is after or _kind(before) == "Draw":
        return True
    if _kind(before) in ("Series", "DataFrame"):
        return bool(before.equals(after))
    return same(before, after, 0.0)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the body after so many seconds; elsewhere than in the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:  # Windows: only an interrupt reaches a running cell
        timer = threading.Timer(seconds, _thread.interrupt_main)
        timer.start()
        try:
            yield
        except KeyboardInterrupt as stopped:
            raise (stopped if timer.is_alive() else OutOfTime()) from None
        finally:
            timer.cancel()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise OutOfTime

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again each second, should an answer swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@contextmanager
def _same_luck() -> Iterator[None]:
    """Let whatever is drawn inside be drawn again outside."""
    import random

    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def _naming(name: str, args: Any, options: Any) -> Iterator[None]:
    """Note on an error for which input the answer raised it."""
    try:
        yield
    except Exception as error:
        error.lab_call = _call_text(name, args, options)  # type: ignore[attr-defined]
        raise


def _as_function(named: FunctionType, call: Callable[..., Any]) -> Any:
    @functools.wraps(named)
    def function(*args: Any, **options: Any) -> Any:
        return call(*args, **options)

    return function


def _no_plain_function(answer: Any) -> str | None:
    if inspect.iscoroutinefunction(answer) or inspect.isasyncgenfunction(answer):
        return "`async def` makes a function that has to be awaited. A plain `def` is wanted here."
    return None


def _stopped(stopped: BaseException) -> str:
    if isinstance(stopped, Refused):
        return str(stopped)
    if isinstance(stopped, SystemExit):
        return "Your answer asks Python to exit, which would end the lesson. Return a value instead."
    return "Interrupted. Nothing was recorded as right; run the cell again when you are ready."


def _raised(record: dict[str, Any], error: Exception) -> str:
    """Say what an answer raised, for which input, and who is to blame: the answer, or a cell that has not run."""
    where = getattr(error, "lab_call", None)
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError) and error.name:
        if where is None and error.name not in (record["answer"],) and _in_check(error):
            return f"The check needs `{error.name}` from a cell above, and it is not there. Run the lesson from the top."
        return f"Your answer uses the name `{error.name}`, but nothing has that name. Where should its value come from?"
    if isinstance(error, UnboundLocalError):
        return f"{first_line(error)[:1].upper()}{first_line(error)[1:]}: it is used before it gets a value."
    trying = f"For {where} your answer" if where else "Trying your answer out"
    return (
        f"{trying} raised {type(error).__name__}: {first_line(error)}. "
        "Does it have the type and the shape that the exercise asks for?"
    )


def _in_check(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith("<check of")


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or ["no message"])[0]


_shorten = reprlib.Repr()
_shorten.maxlevel, _shorten.maxstring, _shorten.maxother = 3, 60, 60


def _short(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if hasattr(value, "shape") and getattr(value, "size", 0) > 6:
        return f"an array of shape {value.shape}"
    text = _shorten.repr(value.tolist() if hasattr(value, "tolist") else value)
    return " ".join(text.split())


def _contrast(expected: Any, found: Any, part: str = "") -> str:
    """Say what is given and what should be, for the first part of two results that differs."""
    import numpy as np

    expected, found = _plain(expected), _plain(found)
    for name, one, other in _parts(expected, found):
        if not same(one, other, 1e-3):
            return _contrast(one, other, f"{part}, {name}" if part else name)
    where = f" ({part})" if part else ""
    numbers = all(getattr(value, "dtype", None) is not None for value in (expected, found)) and (
        np.size(expected) > 6 and np.shape(expected) == np.shape(found)
    )
    if numbers and all(value.dtype.kind in "biuf" for value in (expected, found)):
        off = np.abs(np.asarray(expected, dtype=float) - np.asarray(found, dtype=float)).max()
        return f"yours gives an array of shape {np.shape(found)}{where} that is off by up to {off:.3g}"
    return f"yours gives {_short(found)}{where}, and it should give {_short(expected)}"


def _parts(expected: Any, found: Any) -> list[tuple[str, Any, Any]]:
    """Pair the named values of two dictionaries, or the parts of two sequences that hold more than plain values."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping) and expected.keys() == found.keys():
        return [(str(key), expected[key], found[key]) for key in expected]
    rows = isinstance(expected, list | tuple) and isinstance(found, list | tuple)
    if not (rows and any(isinstance(item, Mapping) or hasattr(item, "shape") for item in expected)):
        return []
    pairs = zip(expected, found, strict=False) if len(expected) == len(found) else ()
    return [(f"part {at + 1}", one, other) for at, (one, other) in enumerate(pairs)]


def _call_text(name: str, args: Any, options: Any) -> str:
    parts = [*map(_short, args), *(f"{key}={_short(value)}" for key, value in options.items())]
    text = f"`{name}({', '.join(parts)})`"
    return text if len(text) <= 160 else f"{text[:150]}…`"


def _described(value: Any) -> str:
    names = {
        "str": "a text",
        "list": "a list",
        "tuple": "a tuple",
        "dict": "a dictionary",
        "ndarray": "an array",
    }
    name = type(value).__name__
    return names.get(name, f"of type {name}")
