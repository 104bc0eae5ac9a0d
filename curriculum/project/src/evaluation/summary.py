"""From scored answers to numbers with intervals, and to a page for a person."""

import numpy as np
import pandas as pd
from scipy.stats import bootstrap


def interval(values: np.ndarray, resamples: int) -> tuple[float, float]:
    """What other test sets of this size would give for the mean, 95 times in 100."""
    if np.ptp(values) == 0:  # a bootstrap knows no spread here
        return float(values[0]), float(values[0])
    found = bootstrap((values,), np.mean, n_resamples=resamples, method="percentile", rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


# <gap day13>
# def measured(table: pd.DataFrame, resamples: int) -> dict[str, float]:
#     """The score, the baseline's, and their difference on the same items, with intervals.
#
#     Keys: score, score_low, score_high, baseline, gain, gain_low, gain_high, examples.
#     """
#     ...
# <solution>
def measured(table: pd.DataFrame, resamples: int) -> dict[str, float]:
    """The score, the baseline's, and their difference on the same items, with intervals."""
    gain = (table["score"] - table["baseline_score"]).to_numpy()
    low, high = interval(table["score"].to_numpy(), resamples)
    gain_low, gain_high = interval(gain, resamples)
    return {
        "score": float(table["score"].mean()), "score_low": low, "score_high": high,
        "baseline": float(table["baseline_score"].mean()),
        "gain": float(gain.mean()), "gain_low": gain_low, "gain_high": gain_high,
        "examples": len(table),
    }  # fmt: skip


# </solution>


def report(found: dict[str, float], task: str, table: pd.DataFrame) -> str:
    """A page for a person: the numbers with what they leave open, and the worst answers."""
    measure = "ROUGE-L" if task == "generate" else "accuracy"
    rival = "the model before its fine-tuning" if task == "generate" else "counted words"
    sure = "is better than" if found["gain_low"] > 0 else "cannot be told from"
    if found["gain_high"] < 0:
        sure = "is worse than"
    worst = table.nsmallest(5, "score")[["text", "wanted", "written"]]
    page = [
        "# Report", "",
        f"{found['examples']} test items that no training and no choice has seen. Measure: {measure}.", "",
        "| | value | 95 % interval |", "|---|---:|---:|",
        f"| fine-tuned | {found['score']:.3f} | {found['score_low']:.3f} to {found['score_high']:.3f} |",
        f"| {rival} | {found['baseline']:.3f} | |",
        f"| difference | {found['gain']:+.3f} | {found['gain_low']:+.3f} to {found['gain_high']:+.3f} |", "",
        f"On these items the fine-tuned model {sure} {rival}. One training, one seed: how much another",
        "seed would change, this page cannot say.", "", "## The worst answers", "",
    ]  # fmt: skip
    for row in worst.itertuples(index=False):
        page += [
            f"- {' '.join(row.text.split())[:160]}",
            f"  - wanted: {row.wanted}",
            f"  - written: {row.written}",
        ]
    return "\n".join(page) + "\n"
