"""A learner's weekend project: its data, its log, what is checked, its report."""

from .checks import BASELINES, CHECKS, State, mean_score, no_leaks, settings_of
from .data import FRACTIONS, OTHER, PLANS, clean, focus, one_of_each, separate, starter, units
from .log import (
    SPLITS,
    counts,
    entries,
    folder,
    keep,
    latest,
    named,
    note,
    open_test,
    rows,
    same,
    splits,
    summary,
)
from .report import check, show, state, words, write

__all__ = [
    "BASELINES", "CHECKS", "FRACTIONS", "OTHER", "PLANS", "SPLITS", "State", "check", "clean", "counts", "entries", "focus", "folder", "keep",
    "latest", "mean_score", "named", "no_leaks", "note", "one_of_each", "open_test", "rows", "same", "separate",
    "settings_of", "show", "splits", "starter", "state", "summary", "units", "words", "write",
]  # fmt: skip
