"""Metrics: known values, honest intervals, and errors that say what to do."""

import math

import numpy as np
import pytest

from labhelpers.core.settings import LabError
from labhelpers.training import metrics


def test_classification_of_two_classes_scores_class_one():
    scores = metrics.classification([1, 1, 1, 0, 0], [1, 1, 0, 1, 0])
    assert scores == pytest.approx({"accuracy": 3 / 5, "f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3})


def test_classification_of_many_classes_weighs_each_class_alike():
    # Class 0 is easy and common, class 2 never found: macro recall is the plain mean 2/3, not the accuracy.
    scores = metrics.classification([0] * 8 + [1, 2], [0] * 8 + [1, 0])
    assert scores["accuracy"] == pytest.approx(0.9)
    assert scores["recall"] == pytest.approx(2 / 3)


def test_always_saying_no_has_high_accuracy_and_no_f1():
    scores = metrics.classification([1] + [0] * 19, [0] * 20)
    assert (scores["accuracy"], scores["f1"]) == (0.95, 0.0)


def test_compute_metrics_reads_what_trainer_passes():
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.5]])
    scores = metrics.compute_metrics((logits, np.array([0, 1, 1])))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    hidden_states = np.zeros((3, 7))
    assert metrics.compute_metrics(((logits, hidden_states), np.array([0, 1, 1]))) == scores


def test_compute_metrics_reports_a_diverged_model():
    with pytest.raises(LabError, match="learning_rate"):
        metrics.compute_metrics((np.array([[math.nan, 1.0]]), np.array([0])))


def test_interval_reads_like_a_sentence():
    interval = metrics.Interval(0.853, 0.831, 0.875, 0.95)
    assert str(interval) == "0.853 (95 % interval 0.831 to 0.875)"
    assert str(metrics.Interval(0.5, 0.4, 0.6, 0.995)).startswith("0.500 (99.5 % interval")


@pytest.mark.parametrize(
    ("low", "high", "excluded"),
    [(0.01, 0.2, True), (-0.2, -0.01, True), (-0.1, 0.1, False), (0.0, 0.1, False)],
)
def test_interval_tells_whether_zero_is_plausible(low, high, excluded):
    assert metrics.Interval(0.05, low, high).excludes_zero is excluded


def test_bootstrap_agrees_with_literal_resampling():
    rng = np.random.default_rng(0)
    correct = rng.random(300) < 0.8
    interval = metrics.bootstrap_interval(correct, seed=1)
    literal = correct[rng.integers(0, 300, size=(10_000, 300))].mean(axis=1)
    assert interval.estimate == pytest.approx(correct.mean())
    assert (interval.low, interval.high) == pytest.approx(np.quantile(literal, [0.025, 0.975]), abs=0.005)


def right_or_wrong(rng, runs, spread, examples=300):
    """Two equally good methods: examples of their own difficulty, runs that differ by `spread` (standard deviation)."""
    easy = rng.normal(1.2, 1.5, examples)

    def method():
        taste = easy + rng.normal(0, 0.6, examples)
        chance = 1 / (1 + np.exp(-taste))
        luck = rng.normal(0, spread / (chance * (1 - chance)).mean(), (runs, 1))
        return taste + luck + rng.normal(0, 0.5, (runs, examples)) > rng.logistic(0, 0.2, (runs, examples))

    return method(), method()


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("spread", [0, 0.005, 0.01, 0.02])
def test_the_interval_of_a_comparison_holds_the_truth_19_times_in_20(runs, spread):
    rng = np.random.default_rng(runs)
    found = [metrics.compare(*right_or_wrong(rng, runs, spread)) for _ in range(1000)]
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.97
    assert np.mean([one.verdict == "undecided" for one in found]) >= 0.93


def test_two_runs_that_differ_among_themselves_are_no_finding():
    lucky, unlucky = np.arange(1000) < 810, np.arange(1000) < 770
    usual = np.arange(1000) < 780
    spread = metrics.compare([lucky, unlucky, unlucky], [usual] * 3)
    steady = metrics.compare([lucky] * 3, [usual] * 3)
    assert spread.verdict == "undecided"
    assert steady.verdict == "better"
    assert metrics.compare([usual] * 3, [lucky] * 3).verdict == "worse"


def test_a_tie_needs_a_margin_said_before():
    rng = np.random.default_rng(0)
    a, b = right_or_wrong(rng, 5, 0.002, 2000)
    assert metrics.compare(a, b).verdict == "undecided"
    assert metrics.compare(a, b, margin=0.05).verdict == "tie"
    assert metrics.compare(a, b, margin=0.001).verdict == "undecided"


def test_a_single_run_is_one_model_and_the_number_of_runs_may_differ():
    rng = np.random.default_rng(0)
    a, b = rng.random(400) < 0.85, rng.random(400) < 0.80
    one = metrics.compare(a, b)
    rows = rng.integers(0, 400, size=(10_000, 400))
    literal = a[rows].mean(axis=1) - b[rows].mean(axis=1)
    assert one.estimate == pytest.approx(a.mean() - b.mean())
    assert (one.low, one.high) == pytest.approx(np.quantile(literal, [0.025, 0.975]), abs=0.006)
    assert metrics.paired_difference(a, b) == one
    assert metrics.compare([a, a, b], b).runs == (3, 1)
    assert str(one).startswith(f"{100 * one.estimate:+.1f} points (") and str(one).endswith(one.verdict)


@pytest.mark.parametrize(
    ("first", "second", "margin", "told"),
    [
        ([[1, 0], [1]], [1, 0], None, "every run as long"),
        ([1, 0, 1], [1, 0], None, "same examples"),
        ([1], [0], None, "at least two"),
        ([1, float("nan")], [1, 0], None, "none missing"),
        ([], [], None, "table"),
        ([1, 0], [1, 0], 0, "margin"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(first, second, margin, told):
    with pytest.raises(LabError, match=told):
        metrics.compare(first, second, margin)


def test_bootstrap_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(7)
    for confidence in (0.8, 0.95):
        samples = rng.random((600, 400)) < 0.8
        intervals = [metrics.bootstrap_interval(row, confidence, n_resamples=1000, seed=3) for row in samples]
        coverage = np.mean([interval.low <= 0.8 <= interval.high for interval in intervals])
        assert coverage == pytest.approx(confidence, abs=0.04)


def test_pairing_makes_the_interval_narrower_when_models_err_together():
    hard = np.arange(500) % 5 == 0
    a, b = ~hard, ~hard & (np.arange(500) % 50 != 1)
    paired = metrics.paired_difference(a, b)
    alone = metrics.bootstrap_interval(a)
    assert paired.excludes_zero
    assert paired.high - paired.low < alone.high - alone.low


def test_same_seed_same_interval():
    correct = [1, 0, 1, 1] * 30
    assert metrics.bootstrap_interval(correct, seed=5) == metrics.bootstrap_interval(correct, seed=5)
    assert metrics.bootstrap_interval(correct) == metrics.bootstrap_interval(correct)


def test_mcnemar_is_the_exact_binomial_test():
    # 9 examples only A got right, 2 only B: 2 · P(X ≤ 2), X ~ Binomial(11, 1/2).
    a = [1] * 9 + [0] * 2 + [1] * 20
    b = [0] * 9 + [1] * 2 + [1] * 20
    result = metrics.mcnemar(a, b)
    assert (result.only_a, result.only_b) == (9, 2)
    assert result.p_value == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11)


def test_mcnemar_of_a_model_with_itself_sees_no_difference():
    assert metrics.mcnemar([1, 0, 1], [1, 0, 1]) == metrics.McNemar(0, 0, 1.0)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    sure = np.tile([0.1, 0.9], (10, 1))
    assert metrics.expected_calibration_error([1] * 9 + [0], sure) == pytest.approx(0.0)
    assert metrics.expected_calibration_error([1] * 5 + [0] * 5, sure) == pytest.approx(0.4)
    # Being too sure here and too shy there must not cancel out.
    mixed = np.array([[0.05, 0.95]] * 2 + [[0.45, 0.55]] * 2)
    assert metrics.expected_calibration_error([0, 0, 1, 1], mixed) == pytest.approx((0.95 + 0.45) / 2)


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(LabError, match="softmax"):
        metrics.expected_calibration_error([0, 1], [[2.0, -1.0], [0.3, 0.1]])


@pytest.mark.parametrize(
    ("correct", "message"),
    [
        ([], "empty"),
        ([1, 0, 2], "got 2"),
        ([0.5, 1.0], "0.5"),
        ([1.0, math.nan], "NaN"),
        (["yes", "no"], "numbers"),
        ([[1, 0], [0, 1]], "shape"),
        ([1, None], "numbers"),
    ],
)
def test_a_list_that_is_not_right_or_wrong_is_refused(correct, message):
    with pytest.raises(LabError, match=message):
        metrics.bootstrap_interval(correct)
    with pytest.raises(LabError, match=message):
        metrics.mcnemar(correct, [1] * len(correct))


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1, math.nan])
def test_confidence_must_be_between_zero_and_one(confidence):
    with pytest.raises(LabError, match="confidence"):
        metrics.bootstrap_interval([1, 0], confidence=confidence)


@pytest.mark.parametrize("function", [metrics.mcnemar, metrics.paired_difference, metrics.classification])
def test_lists_of_different_length_are_refused(function):
    with pytest.raises(LabError, match=r"3 values.*2"):
        function([1, 0, 1], [1, 0])


def test_logits_given_as_predictions_are_refused():
    with pytest.raises(LabError, match="argmax"):
        metrics.classification([0, 1], [[0.1, 0.9], [0.8, 0.2]])
