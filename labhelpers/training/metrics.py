"""How good is a model, how sure are we, and is it better than the other one?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..core.settings import LabError

if TYPE_CHECKING:
    import numpy as np

AVERAGES = ("binary", "macro", "micro", "weighted")


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that a repeated measurement would plausibly give.

    Attributes:
        estimate: the measured value.
        low: lower end.
        high: upper end.
        confidence: share of such intervals that hold the true value, 0 to 1.
    """

    estimate: float
    low: float
    high: float
    confidence: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """True when the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.confidence * 100:g} % interval {self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Comparison(Interval):
    """Two methods on the same examples, and the only word that this course draws from it.

    Attributes:
        estimate: mean of the first method minus mean of the second.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: share of such intervals that hold the true difference, 0 to 1.
        margin: the largest difference that does not matter, said beforehand; None when nobody said one.
        runs: how many runs (seeds) of the first and of the second method.
    """

    margin: float | None = None
    runs: tuple[int, int] = (1, 1)

    @property
    def verdict(self) -> str:
        """Return "better", "worse", "tie" (inside the margin) or "undecided"."""
        if self.margin is not None and max(-self.low, self.high) <= self.margin:
            return "tie"
        if self.excludes_zero:
            return "better" if self.low > 0 else "worse"
        return "undecided"

    @property
    def points(self) -> tuple[float, float, float]:
        """The difference and the ends of its interval in percentage points, as `plots.interval_bars` takes them."""
        return 100 * self.estimate, 100 * self.low, 100 * self.high

    def __str__(self) -> str:
        middle, low, high = self.points
        return f"{middle:+.1f} points ({low:+.1f} to {high:+.1f}): {self.verdict}"


@dataclass(frozen=True)
class McNemar:
    """The examples on which two models disagree in being right.

    Attributes:
        only_a: examples that only model A got right.
        only_b: examples that only model B got right.
        p_value: how often two equally good models would split these examples at least so unevenly.
    """

    only_a: int
    only_b: int
    p_value: float


def classification(
    labels: Sequence[int], predictions: Sequence[int], average: str | None = None
) -> dict[str, float]:
    """Score predicted classes.

    Args:
        labels: n true classes, whole numbers from 0.
        predictions: n predicted classes.
        average: "binary" (scores of class 1), "macro", "micro" or "weighted". By default "binary" when only
            the classes 0 and 1 occur, otherwise "macro", in which every class weighs the same.

    Returns:
        accuracy, f1, precision, recall, each 0 to 1. A score without any case to count is 0.

    Raises:
        LabError: when lengths differ, nothing is given, or a value is not a class.
    """
    from sklearn.metrics import precision_recall_fscore_support

    true, predicted = _classes("labels", labels), _classes("predictions", predictions)
    _same_length(labels=true, predictions=predicted)
    if average is None:
        average = "binary" if max(true.max(), predicted.max()) <= 1 else "macro"
    if average not in AVERAGES:
        raise LabError(f"classification() got average={average!r}. Use one of: {', '.join(AVERAGES)}.")
    if average == "binary" and max(true.max(), predicted.max()) > 1:
        raise LabError(
            'classification() got average="binary" for more than two classes. Use average="macro".'
        )
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, average=average, zero_division=0
    )
    accuracy = float((true == predicted).mean())
    return {"accuracy": accuracy, "f1": float(f1), "precision": float(precision), "recall": float(recall)}


# Its compiled code is part of a run's fingerprint: whoever edits it makes every learner train again.
def compute_metrics(eval_prediction: Any) -> dict[str, float]:
    """Score an evaluation for `Trainer(compute_metrics=…)`.

    Args:
        eval_prediction: what Trainer passes: logits (n, classes) and labels (n,).

    Returns:
        The scores of `classification`.

    Raises:
        LabError: when the logits are not a table or hold NaN.
    """
    import numpy as np

    logits, labels = eval_prediction
    logits = np.asarray(logits[0] if isinstance(logits, tuple) else logits)
    if logits.ndim != 2:
        raise LabError(f"compute_metrics() wants logits of shape (n, classes) and got shape {logits.shape}.")
    if np.isnan(logits).any():
        raise LabError(
            "compute_metrics() got NaN logits: training diverged. Lower learning_rate and train again."
        )
    return classification(labels, logits.argmax(axis=1))


def bootstrap_interval(
    correct: Sequence[int], confidence: float = 0.95, n_resamples: int = 10_000, seed: int | None = None
) -> Interval:
    """Say how sure we are of an accuracy, by drawing the test set again and again from itself.

    Args:
        correct: n values, 1 (or True) where the model was right, 0 where it was wrong.
        confidence: between 0 and 1.
        n_resamples: how many test sets to draw.
        seed: of the random draws; by default the course's.

    Returns:
        The accuracy with its percentile interval. It has no width when all answers are right (or wrong): then
        think of 3 / n as the rate of errors you may have missed.

    Raises:
        LabError: when nothing is given, a value is not 0 or 1, or `confidence` is not between 0 and 1.

    Source:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", ch. 13.
    """
    right = _zero_one("correct", correct)
    rng = _generator(confidence, n_resamples, seed)
    # Drawing n answers with replacement and counting the right ones is exactly a binomial draw: same
    # distribution as the literal resampling, without the n × n_resamples table.
    means = rng.binomial(len(right), right.mean(), size=n_resamples) / len(right)
    return _percentiles(float(right.mean()), means, confidence)


def compare(first: Any, second: Any, margin: float | None = None, confidence: float = 0.95) -> Comparison:
    """Say whether one method is better than another: the difference, its interval, and a verdict.

    The interval holds what other seeds *and* other examples might have said. A method given as one run counts as
    that one model: then nothing is said about training it again.

    Args:
        first: scores of shape (runs, n), one row per seed, one column per example (1 = right, 0 = wrong, or any
            score of an example such as its F1), or n scores of a single run.
        second: the same for the other method, its examples in the same order. The number of runs may differ.
        margin: a difference up to which the two count as equal, fixed before looking; without it nothing is a tie.
        confidence: between 0 and 1.

    Returns:
        Mean of `first` minus mean of `second` with its interval; `.verdict` is "better", "worse", "tie" or
        "undecided"; printed in percentage points.

    Raises:
        LabError: when the shapes do not fit, a value is missing, there are fewer than two examples, `margin` is not
            positive, or `confidence` is not between 0 and 1.

    Source:
        Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components"; Gallas 2006,
        "One-Shot Estimate of MRMC Variance", for runs and examples drawn together.
    """
    from scipy.stats import t

    _share("confidence", confidence)
    if margin is not None and not margin > 0:
        raise LabError(
            f"margin is {margin!r}. Give the largest difference that does not matter, such as 0.01."
        )
    a, b = _runs("first", first), _runs("second", second)
    if a.shape[1] != b.shape[1] or a.shape[1] < 2:
        raise LabError(
            f"compare() got {a.shape[1]} and {b.shape[1]} examples per run. Both methods must answer the same examples, "
            "at least two, in the same order: one row per run."
        )
    n, items = a.shape[1], a.mean(axis=0) - b.mean(axis=0)
    over_items = items.var(ddof=1) / n
    (seeds_a, both_a, df_a), (seeds_b, both_b, df_b) = _run_variances(a), _run_variances(b)
    # What belongs to one run and one example stands in both variances, over seeds and over items: once is enough.
    noise = both_a + both_b
    variance = max(over_items + seeds_a + seeds_b - noise, noise)
    parts = over_items**2 / (n - 1) + seeds_a**2 / df_a + seeds_b**2 / df_b
    freedom = variance**2 / parts if parts else 1.0
    half = float(t.ppf((1 + confidence) / 2, max(freedom, 1.0)) * variance**0.5)
    middle = float(items.mean())
    return Comparison(middle, middle - half, middle + half, confidence, margin, (len(a), len(b)))


def paired_difference(
    correct_a: Sequence[int], correct_b: Sequence[int], confidence: float = 0.95, **_former: Any
) -> Comparison:
    """Compare two single models: `compare` for right-or-wrong answers of one run each."""
    return compare(*_pair(correct_a, correct_b), confidence=confidence)


def mcnemar(correct_a: Sequence[int], correct_b: Sequence[int]) -> McNemar:
    """Test whether two models are equally often right on the same examples (exact McNemar test).

    Args:
        correct_a: n values, 1 where A was right, 0 where it was wrong.
        correct_b: the same for B, in the same order.

    Returns:
        How many examples only one of them got right, and the two-sided p-value.

    Raises:
        LabError: when lengths differ, nothing is given, or a value is not 0 or 1.

    Source:
        McNemar 1947; Dietterich 1998, "Approximate Statistical Tests", §3.1.
    """
    from scipy.stats import binomtest

    a, b = _pair(correct_a, correct_b)
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(only_a, only_b, float(binomtest(only_a, only_a + only_b, 0.5).pvalue))


def expected_calibration_error(labels: Sequence[int], probabilities: Any, bins: int = 10) -> float:
    """Measure how far a model's confidence is from how often it is right.

    Args:
        labels: n true classes, whole numbers from 0.
        probabilities: predicted probabilities of shape (n, classes), each row adding up to 1.
        bins: number of equal slices of confidence.

    Returns:
        The gap between confidence and accuracy, averaged over slices by their size: 0 is perfect, 1 the worst.

    Raises:
        LabError: when shapes do not fit, a value is no probability, a row does not add up to 1 (logits?), or
            `bins` is below 1.

    Source:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", §2.
    """
    import numpy as np

    true = _classes("labels", labels)
    table = _probability_table(probabilities, len(true))
    if bins < 1:
        raise LabError(f"expected_calibration_error() got bins={bins}. Use at least 1; 10 to 15 is usual.")
    if true.max() >= table.shape[1]:
        raise LabError(
            f"labels hold class {true.max()}, but probabilities have only {table.shape[1]} columns."
        )
    confidence = table.max(axis=1)
    gap = (table.argmax(axis=1) == true) - confidence
    slices = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(slices, weights=gap, minlength=bins)).sum() / len(true))


def _generator(confidence: float, n_resamples: int, seed: int | None) -> "np.random.Generator":
    import numpy as np

    _share("confidence", confidence)
    if not isinstance(n_resamples, int) or n_resamples < 100:
        raise LabError(f"n_resamples is {n_resamples!r}. Use a whole number of at least 100; 10000 is usual.")
    return np.random.default_rng(settings.current().seed if seed is None else seed)


def _share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise LabError(f"{name} is {value!r}. Use a number between 0 and 1, such as 0.95 for 95 %.")


def _runs(name: str, scores: Any) -> "np.ndarray":
    """Take scores as a table (runs, examples)."""
    import numpy as np

    try:
        table = np.atleast_2d(
            np.asarray(scores if hasattr(scores, "__array__") else list(scores), dtype=float)
        )
    except (TypeError, ValueError) as error:
        raise LabError(
            f"{name} must hold one number per run and example, every run as long as the others. {error}"
        ) from error
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise LabError(
            f"{name} must be a table (runs, examples) of numbers, none missing; got shape {table.shape}."
        )
    return table


def _run_variances(table: "np.ndarray") -> tuple[float, float, int]:
    """Variance of the mean over runs, the part of it that is mere noise of run × example, degrees of freedom."""
    runs, n = table.shape
    if runs == 1:
        return 0.0, 0.0, 1
    means = table.mean(axis=1)
    rest = table - means[:, None] - table.mean(axis=0) + table.mean()
    noise = (rest**2).sum() / ((runs - 1) * (n - 1)) / (runs * n)
    return float(means.var(ddof=1) / runs), float(noise), runs - 1


def _percentiles(estimate: float, means: "np.ndarray", confidence: float) -> Interval:
    import numpy as np

    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high), confidence)


def _numbers(name: str, values: Any) -> "np.ndarray":
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


def _classes(name: str, values: Any) -> "np.ndarray":
    """Take classes as whole numbers from 0."""
    array = _numbers(name, values)
    wrong = array[(array != array.astype(int)) | (array < 0)]
    if wrong.size:
        raise LabError(
            f"{name} must hold classes 0, 1, 2, …; got {wrong[0]!s}. For logits, take argmax(axis=1) first."
        )
    return array.astype(int)


def _zero_one(name: str, values: Any) -> "np.ndarray":
    """Take a right-or-wrong list as integers 1 and 0."""
    array = _numbers(name, values)
    wrong = array[(array != 0) & (array != 1)]
    if wrong.size:
        raise LabError(
            f"{name} must hold 1 (right) or 0 (wrong); got {wrong[0]!s}. Pass `predictions == labels`."
        )
    return array.astype(int)


def _same_length(**arrays: "np.ndarray") -> None:
    """Refuse two lists that cannot be about the same examples."""
    (first, one), (second, other) = arrays.items()
    if len(one) != len(other):
        raise LabError(
            f"{first} has {len(one)} values and {second} has {len(other)}. Both must be about the same examples in the same order."
        )


def _pair(correct_a: Any, correct_b: Any) -> "tuple[np.ndarray, np.ndarray]":
    """Take two right-or-wrong lists about the same examples."""
    a, b = _zero_one("correct_a", correct_a), _zero_one("correct_b", correct_b)
    _same_length(correct_a=a, correct_b=b)
    return a, b


def _probability_table(values: Any, rows: int) -> "np.ndarray":
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
