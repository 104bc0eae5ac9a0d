"""The prepared runs of Day 5: each shows its own fault and no other, and none is older than its recipe."""

import dataclasses
import itertools
import json
import math
import re

import pytest

from labhelpers import training
from labhelpers.core import timetable
from labhelpers.core.settings import LabError, current
from labhelpers.training import recorded_runs

COIN = math.log(2)
FOLDER = current().root / "curriculum" / "recorded_runs"


@pytest.fixture
def recipes(monkeypatch):
    """A copy of curriculum/recorded_runs.yaml; what a test changes in it counts until the test ends."""
    real = timetable.curriculum
    copy = json.loads(json.dumps(real("recorded_runs")))
    monkeypatch.setattr(timetable, "curriculum", lambda name: copy if name == "recorded_runs" else real(name))
    return copy


def losses(name):
    return [row["loss"] for row in recorded_runs.load(name).history if "loss" in row]


def measured(name, key="eval_loss"):
    return [row[key] for row in recorded_runs.load(name).history if key in row]


def mean(values):
    return sum(values) / len(values)


# One symptom per fault, as a reader sees it in the curves. Each must be seen in its own run only.
def blows_up(name):
    """Gradients a thousand times their first length or more, and a training loss that ends far above ln 2."""
    ends = mean(losses(name)[-10:]), measured(name)[-1]
    return max(measured(name, "grad_norm")) > 1000 * measured(name, "grad_norm")[0] and min(ends) > COIN + 0.1


def hardly_moves(name):
    """Ends near ln 2, still on its way down, without a jump anywhere."""
    values = measured(name)
    falling = all(later < earlier for earlier, later in itertools.pairwise(values))
    return falling and values[-1] > COIN - 0.15 and max(losses(name)) < COIN + 0.1


def learns_by_heart(name):
    """Training loss next to nothing, while the validation loss turned early and rose by half or more."""
    values = measured(name)
    turn = values.index(min(values))
    return mean(losses(name)[-5:]) < 0.05 and turn <= len(values) / 2 and values[-1] > 1.5 * min(values)


def is_taught_wrong(name):
    """Learns (clean validation far below ln 2), yet its training loss ends clearly above validation."""
    return mean(losses(name)[-10:]) > measured(name)[-1] + 0.05 and measured(name)[-1] < COIN - 0.05


SYMPTOMS = {
    "too_high": blows_up,
    "too_low": hardly_moves,
    "too_long": learns_by_heart,
    "bad_labels": is_taught_wrong,
}


@pytest.mark.parametrize("name", recorded_runs.names())
def test_each_run_shows_its_own_fault_and_no_other(name):
    found = [fault for fault, shows in SYMPTOMS.items() if shows(name)]
    assert found == ([] if name == "healthy" else [name])


def test_the_names_the_lessons_rely_on():
    assert recorded_runs.names() == ["healthy", *SYMPTOMS]


def test_healthy_learns_and_every_fault_costs_accuracy():
    accuracy = {name: recorded_runs.load(name).validation_accuracy for name in recorded_runs.names()}
    assert accuracy["healthy"] > 0.8
    assert all(accuracy[name] < accuracy["healthy"] - 0.02 for name in SYMPTOMS), accuracy
    assert abs(accuracy["too_high"] - 0.5) < 0.02


def test_healthy_has_day_4s_recipe_and_its_faulty_brothers_differ_as_they_say():
    path = current().root / "curriculum" / "manuscripts" / "week1" / "day04_first_finetuning.py"
    lesson = path.read_text(encoding="utf-8")
    recipe = recorded_runs.recipe("healthy")
    for key in ("learning_rate", "epochs", "batch_size"):
        assert float(re.search(rf"^{key} = settings\.pick\(.*cpu=(\S+)\)", lesson, re.M)[1]) == recipe[key]
    solution = f"r={recipe['r']}, lora_alpha={recipe['lora_alpha']}, lora_dropout={recipe['lora_dropout']}"
    assert solution in lesson and f"max_length={recipe['max_length']}" in lesson
    faults = ("learning_rate", "epochs", "train_examples", "flipped_share", "batch_size")
    changed = {
        name: {key for key in faults if recorded_runs.recipe(name)[key] != recipe[key]} for name in SYMPTOMS
    }
    assert changed["too_high"] == changed["too_low"] == {"learning_rate"}
    assert changed["too_long"] == {"train_examples", "epochs"}, "no fault of its learning rate"
    assert changed["bad_labels"] == {"flipped_share"}


@pytest.mark.parametrize("name", recorded_runs.names())
def test_curves_are_dense_enough_to_read_and_files_small(name):
    run = recorded_runs.load(name)
    rows = [row for row in run.history if "loss" in row]
    assert len(rows) >= 40 and all({"step", "epoch", "learning_rate", "grad_norm"} <= set(r) for r in rows)
    checks = [row for row in run.history if "eval_loss" in row]
    assert 8 <= len(checks) <= 13 and all("eval_accuracy" in row for row in checks)
    assert checks[0]["step"] == 0 and abs(checks[0]["eval_loss"] - COIN) < 0.05
    assert checks[-1]["step"] == max(row["step"] for row in run.history)
    assert (run.validation_loss, run.validation_accuracy) == (
        checks[-1]["eval_loss"],
        checks[-1]["eval_accuracy"],
    )
    assert (FOLDER / f"{name}.json").stat().st_size < 30_000
    assert (
        run.model == "minilm" and run.seconds > 1 and set(run.versions) == {"torch", "transformers", "peft"}
    )


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(LabError, match=r"no prepared run 'to_high'.*too_high"):
        recorded_runs.load("to_high")
    with pytest.raises(LabError, match="too_high"):
        recorded_runs.record(["to_high"])


def test_a_changed_recipe_makes_the_file_stale(recipes):
    recipes["runs"]["too_low"]["learning_rate"] = 2e-5
    with pytest.raises(LabError, match=r"stale.*learning_rate.*lab record-runs too_low"):
        recorded_runs.load("too_low")
    assert recorded_runs.load("healthy").stopped is None


def test_a_better_title_makes_nothing_stale(recipes):
    recipes["runs"]["too_low"]["title"] = "Steps too small"
    assert recorded_runs.load("too_low").title == "Steps too small"


def test_missing_and_damaged_files_name_the_command(tmp_path):
    with pytest.raises(LabError, match=r"missing.*lab record-runs healthy"):
        recorded_runs.load("healthy", tmp_path)
    whole = (FOLDER / "healthy.json").read_text(encoding="utf-8")
    (tmp_path / "healthy.json").write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(LabError, match=r"cannot be read.*lab record-runs healthy"):
        recorded_runs.load("healthy", tmp_path)


def test_a_diverged_run_survives_the_trip_to_disk(tmp_path):
    healthy = recorded_runs.load("healthy")
    rows = [{"step": 1, "loss": 0.7, "grad_norm": math.inf}, {"step": 2, "loss": math.nan, "grad_norm": 1.0}]
    broken = dataclasses.replace(healthy, history=rows, validation_loss=math.nan, stopped="The loss is nan.")
    recorded_runs.write(broken, tmp_path)
    text = (tmp_path / "healthy.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    back = recorded_runs.load("healthy", tmp_path)
    assert math.isnan(back.history[0]["grad_norm"]) and math.isnan(back.history[1]["loss"])
    assert math.isnan(back.validation_loss) and back.stopped == "The loss is nan."
    assert back.recipe["train_examples"] is None, "null in a recipe means none, not NaN"


def test_numbers_that_are_not_finite_are_an_outcome_other_errors_are_not(monkeypatch):
    from types import SimpleNamespace

    from torch import nn

    def breaks(*_):
        raise LabError("The training loss is nan at step 2, so the model can learn nothing more. Lower it.")

    monkeypatch.setattr(training, "train", breaks)
    state = SimpleNamespace(log_history=[{"step": 2, "loss": math.nan}])
    trainer = SimpleNamespace(state=state, model=nn.Linear(1, 1))
    assert recorded_runs.outcome(trainer, "x")[1] == "The training loss is nan at step 2."
    state.log_history = [{"step": 2, "loss": 0.7}]
    with pytest.raises(LabError):
        recorded_runs.outcome(trainer, "x")


def test_a_share_of_the_labels_is_turned_round_the_same_every_time():
    from datasets import Dataset

    tokens = Dataset.from_dict({"input_ids": [[i] for i in range(50)], "labels": [i % 2 for i in range(50)]})
    recipe = {"train_examples": 40, "flipped_share": 0.3, "flip_seed": 7}
    twice = [recorded_runs.training_set(tokens, recipe)["labels"][:] for _ in range(2)]
    assert twice[0] == twice[1] and len(twice[0]) == 40
    assert sum(label != i % 2 for i, label in enumerate(twice[0])) == 12
    assert tokens["labels"][:] == [i % 2 for i in range(50)]


def test_only_the_cpu_profile_writes_the_courses_files(monkeypatch):
    monkeypatch.setenv("LAB_PROFILE", "smoke")
    for folder in (None, FOLDER):
        with pytest.raises(LabError, match="--to"):
            recorded_runs.record(["healthy"], folder)


def test_recording_trains_and_writes_a_file(monkeypatch, recipes, tmp_path):
    monkeypatch.setenv("LAB_PROFILE", "smoke")
    monkeypatch.setenv("LAB_HEADLESS", "1")
    recipes["common"] |= {"evaluations": 2, "max_length": 16, "logging_steps": 1}
    recipes["runs"]["bad_labels"]["train_examples"] = 96
    before = (FOLDER / "bad_labels.json").read_bytes()
    (run,) = recorded_runs.record(["bad_labels"], tmp_path)
    assert (FOLDER / "bad_labels.json").read_bytes() == before
    assert run.recipe["epochs"] == 1 and run.train_sentences == 96
    assert [row["step"] for row in run.history if "loss" in row] == [1, 2, 3]
    assert [row["step"] for row in run.history if "eval_loss" in row] == [0, 2, 3]
    assert all(math.isfinite(row["grad_norm"]) for row in run.history if "loss" in row)
    assert recorded_runs.parsed((tmp_path / "bad_labels.json").read_text(encoding="utf-8")) == run
