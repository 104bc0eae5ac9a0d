"""What a text classifier must be able to do, said in sentences; each test gives a failure rate with an interval.

A model is any function here: a list of texts in, a table of probabilities out, one column for each label.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

Model = Callable[[list[str]], pd.DataFrame]
TOLERANCE, STEP = 0.05, 0.005  # "same" may move a probability so far; "more" must move it at least so far
ALLOWED, ALLOWED_GAP = 0.2, 0.1  # share of probes that may fail; confidence above accuracy


class Probe(NamedTuple):
    """One question to a model. Probes of one template fail together."""

    kind: str
    template: str
    text: str
    other: str = ""
    label: str = ""


def probes(
    kind: str, templates: list[str], other: Callable[[str], str] | None = None, label: str = "",
    **slots: list[str],
) -> list[Probe]:  # fmt: skip
    """One probe for each template and each combination of words; `other` makes the second text from the first.

    Kinds: "is" (the answer is the label), "more" (the label is likelier in text than in other), "same" (other
    changes nothing), "company" (nor does reading other in the same batch), "honest" (as sure as it is right).
    """
    made = []
    for template, words in product(templates, product(*slots.values())):
        text = template.format(**dict(zip(slots, words, strict=True)))
        made.append(Probe(kind, template, text, other(text) if other else "", label))
    return made


def failed(model: Model, test: list[Probe]) -> np.ndarray:
    """1 for each probe that fails and 0 for the others; for "honest" the confidence minus 1 if right."""
    texts = list(dict.fromkeys(text for one in test for text in (one.text, one.other) if text))
    found = model(texts).set_axis(texts)
    return np.array([_wrong(one, found, model) for one in test], dtype=float)


def _wrong(one: Probe, found: pd.DataFrame, model: Model) -> float:
    here = found.loc[one.text]
    if one.kind == "is":
        return here.idxmax() != one.label
    if one.kind == "more":
        return here[one.label] < found.loc[one.other, one.label] + STEP
    if one.kind == "honest":
        return here.max() - (here.idxmax() == one.label)
    there = found.loc[one.other]
    if one.kind == "company":
        here, there = (model(batch).iloc[0] for batch in ([one.text], [one.text, one.other]))
    return (here - there).abs().max() > TOLERANCE


# <gap day18>
# def rate(failures: np.ndarray, templates: list[str]) -> tuple[float, float, float]:
#     """The mean of failures and its 95 % interval; what comes from one template counts as one observation."""
#     ...
# <solution>
def rate(failures: np.ndarray, templates: list[str]) -> tuple[float, float, float]:
    """The mean of failures and its 95 % interval; what comes from one template counts as one observation."""
    failures = np.asarray(failures, dtype=float)
    mean = float(failures.mean())
    sums = pd.Series(failures - mean).groupby(list(templates)).sum()
    if len(sums) < 2:
        return mean, 0.0, 1.0  # one template says nothing about others
    error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(failures)
    reach = float(stats.t.ppf(0.975, len(sums) - 1) * error)
    return mean, mean - reach, mean + reach


# </solution>


def measured(model: Model, suite: dict[str, list[Probe]]) -> pd.DataFrame:
    """A row for each test; it is red if even the low end of its rate is above what is allowed."""
    rows = {}
    for name, test in suite.items():
        templates = [one.template for one in test]
        share, low, high = rate(failed(model, test), templates)
        limit = ALLOWED_GAP if test[0].kind == "honest" else ALLOWED
        rows[name] = (share, low, high, len(test), len({*templates}), low > limit)
    return pd.DataFrame.from_dict(
        rows, "index", columns=["rate", "low", "high", "probes", "templates", "red"]
    )


def alarms(model: Model, suite: dict[str, list[Probe]]) -> list[str]:
    """The names of the tests that are red."""
    found = measured(model, suite)
    return list(found.index[found["red"]])
