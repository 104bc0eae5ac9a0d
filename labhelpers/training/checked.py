"""Input checks for metrics: each function returns a clean array or raises a LabError that names the argument."""

from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    import numpy as np


def numbers(name: str, values: Any) -> "np.ndarray":
    """Take a flat, finite, non-empty list of numbers."""
    import numpy as np

    try:
        array = np.asarray(values if hasattr(values, "__array__") else list(values))
        finite = bool(np.isfinite(array).all())
    except (TypeError, ValueError) as error:
        raise LabError(f"{name} must be a list of numbers of one kind; got {str(values)[:60]!r}.") from error
    if array.ndim != 1:
        raise LabError(
            f"{name} must be one list of numbers; got shape {array.shape}. For logits, take argmax(axis=1)."
        )
    if array.size == 0:
        raise LabError(
            f"{name} is empty, and nothing can be measured on no examples. Check the split it comes from."
        )
    if not finite:
        raise LabError(
            f"{name} holds NaN or infinity. Find the rows without a value and repair or drop them."
        )
    return array


def classes(name: str, values: Any) -> "np.ndarray":
    """Take classes as whole numbers from 0."""
    array = numbers(name, values)
    wrong = array[(array != array.astype(int)) | (array < 0)]
    if wrong.size:
        raise LabError(
            f"{name} must hold classes 0, 1, 2, …; got {wrong[0]!s}. For logits, take argmax(axis=1) first."
        )
    return array.astype(int)


def zero_one(name: str, values: Any) -> "np.ndarray":
    """Take a right-or-wrong list as integers 1 and 0."""
    array = numbers(name, values)
    wrong = array[(array != 0) & (array != 1)]
    if wrong.size:
        raise LabError(
            f"{name} must hold 1 (right) or 0 (wrong); got {wrong[0]!s}. Pass `predictions == labels`."
        )
    return array.astype(int)


def same_length(**arrays: "np.ndarray") -> None:
    """Refuse two lists that cannot be about the same examples."""
    (first, one), (second, other) = arrays.items()
    if len(one) != len(other):
        raise LabError(
            f"{first} has {len(one)} values and {second} has {len(other)}. Both must be about the same examples in the same order."
        )


def pair(correct_a: Any, correct_b: Any) -> "tuple[np.ndarray, np.ndarray]":
    """Take two right-or-wrong lists about the same examples."""
    a, b = zero_one("correct_a", correct_a), zero_one("correct_b", correct_b)
    same_length(correct_a=a, correct_b=b)
    return a, b


def probability_table(values: Any, rows: int) -> "np.ndarray":
    """Take probabilities of shape (rows, classes)."""
    import numpy as np

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or len(table) != rows:
        raise LabError(
            f"probabilities must have shape ({rows}, classes), one row per label; got {table.shape}."
        )
    if not ((table >= 0) & (table <= 1)).all() or not np.allclose(table.sum(axis=1), 1, atol=1e-3):
        raise LabError(
            "probabilities must lie between 0 and 1 and add up to 1 per row. Apply softmax to the logits."
        )
    return table
