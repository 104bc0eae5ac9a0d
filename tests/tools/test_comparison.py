"""The comparison of techniques is fair, and its words come from one function. (`lab compare` itself trains for minutes.)"""

from types import SimpleNamespace

import pytest

from labhelpers.core.settings import LabError
from labhelpers.tools.comparison import family
from labhelpers.tools.comparison import page as comparison_page
from labhelpers.tools.comparison import train as comparison
from labhelpers.training import tracking

ROW = {
    "technique": "QLoRA",
    "learning_rate": 1e-3,
    "seeds": 3,
    "accuracy": 0.8,
    "lowest": 0.79,
    "highest": 0.81,
}


def row(low, middle, high, **changes):
    return ROW | {"minus_lora_low": low, "minus_lora": middle, "minus_lora_high": high} | changes


def test_every_technique_may_try_as_many_rates_as_the_others():
    rates = [one.rates for one in comparison.every().values()]
    assert {len(tried) for tried in rates} == {4}
    assert all(sorted(set(tried)) == list(tried) for tried in rates)


def test_an_unknown_technique_is_named_with_the_choices():
    with pytest.raises(LabError, match=r"'lorra'.*lora"):
        comparison.compare(["lorra"])


def test_the_verdict_comes_from_seeds_and_sentences_and_a_tie_from_the_margin():
    steady, uneven = [[1, 1, 0, 1] * 500] * 5, [[1, 1, 0, 1] * 500, [1, 0, 0, 1] * 500, [1, 1, 1, 1] * 500]
    assert comparison._against(steady, steady[:4])["verdict"] == "tie"
    assert comparison._against(uneven, steady)["verdict"] == "undecided"
    assert comparison._against([[1, 0, 0, 1] * 500] * 5, steady)["verdict"] == "worse"
    assert comparison._against(steady, steady)["verdict"] == ""  # LoRA itself


def test_the_seed_that_chose_does_not_judge():
    import pandas as pd

    tried = pd.DataFrame(
        {
            "params.seed": ["1", "1", "2", "3"],
            "params.learning_rate": ["0.1", "0.2", "0.2", "0.2"],
            "metrics.validation_accuracy": [0.7, 0.8, 0.75, 0.75],
        }
    )
    assert list(comparison._best(tried)["params.seed"]) == ["2", "3"]


def test_the_figure_and_its_description_name_every_other_technique():
    rows = [
        row(0, 0, 0, technique="LoRA"),
        row(-0.01, 0.01, 0.03, verdict="undecided"),
        row(-0.03, -0.02, -0.01, technique="Prompt tuning", verdict="worse"),
    ]
    labels = [label.get_text() for label in comparison_page.figure(rows).axes[0].get_yticklabels()]
    assert labels == ["QLoRA", "Prompt tuning"]
    assert "QLoRA +1.0 (-1.0 to +3.0) (undecided)" in comparison_page.alt(rows)
    assert comparison_page.title(rows) == "Against LoRA: 1 undecided, 1 worse"


def test_runs_of_another_profile_are_left_out(monkeypatch):
    import mlflow

    monkeypatch.setenv("LAB_PROFILE", "smoke")
    with tracking.start_run(comparison.EXPERIMENT, "small"):
        mlflow.log_param("technique", "lora")
    monkeypatch.setenv("LAB_PROFILE", "cpu")
    with pytest.raises(LabError, match="profile yet"):
        comparison.table()


@pytest.mark.parametrize("name", ["BertConfig", "DistilBertConfig"])
def test_every_layer_of_either_encoder_gets_a_bottleneck(monkeypatch, name):
    import transformers

    small = {"vocab_size": 50, "num_hidden_layers": 2, "hidden_size": 8, "dim": 8, "num_attention_heads": 2}
    options = {**small, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "intermediate_size": 16}
    shape = getattr(transformers, name)(
        **options if name == "DistilBertConfig" else small | {"intermediate_size": 16}
    )
    build = transformers.AutoModelForSequenceClassification.from_config
    monkeypatch.setattr(comparison, "_base", lambda **_: build(shape))
    model = comparison.every()["adapters"].build()
    trained = {part for part, weight in model.named_parameters() if weight.requires_grad and ".down." in part}
    assert len(trained) == 4  # weight and bias in each of two layers


def test_the_memory_of_a_step_is_stacked_to_its_sum():
    bytes_of = {f"{part}_bytes": 1e6 * size for size, part in enumerate(comparison.PARTS, start=1)}
    rows = [row(0, 0, 0, technique=name, **bytes_of) for name in ("LoRA", "Prompt tuning")]
    drawn = comparison_page.memory_figure(rows).axes[0].patches
    assert max(bar.get_x() + bar.get_width() for bar in drawn) == pytest.approx(10)
    assert "LoRA 10.0 MB" in comparison_page.memory_alt(rows)


def test_publishing_renews_the_guides_figures_and_none_of_its_words():
    page = (
        'Before.\n\n```python\n>>> print(comparison_page.quality(found["rows"]))\nold\n\nstill old\n\n```\n\n'
        '![old words](figures/comparison.png)\n\n```python\n>>> print(comparison_page.costs(found["rows"]))\nold\n\n```\n![old](figures/comparison_memory.png)\nAfter.'
    )
    costs = {"trainable": 770, "checkpoint_bytes": 3080, "step_ms": 12, "latency_ms": 4.2}
    costs |= {f"{part}_bytes": 1000 for part in comparison.PARTS}
    rows = [row(0, 0, 0, technique=name, **costs) for name in ("LoRA", "Prompt tuning")]
    renewed = comparison_page.refresh(page, rows)
    assert "old" not in renewed and renewed.startswith("Before.") and renewed.endswith("After.")
    for made in (
        comparison_page.quality,
        comparison_page.costs,
        comparison_page.alt,
        comparison_page.memory_alt,
    ):
        assert made(rows) in renewed
    assert comparison_page.refresh(renewed, rows) == renewed


def test_the_techniques_take_turns_on_the_clock(monkeypatch):
    import mlflow

    asked = []
    monkeypatch.setattr(comparison.training, "predict", lambda model, rows: asked.append(model))
    for key in ("lora", "head"):
        with tracking.start_run(comparison.EXPERIMENT, key):
            mlflow.log_param("technique", key)
    split = type("Split", (), {"select": lambda self, at: at, "__len__": lambda self: 5})()
    with pytest.raises(LabError, match="Run `lab compare` again"):
        comparison.table()  # interrupted just before the clock
    monkeypatch.setattr(comparison, "_steps", lambda built, train: {key: [9.0, 1.0, 2.0] for key in built})
    built = {
        key: comparison.Technique(key, lambda name=name: name, (), "")
        for key, name in zip(("lora", "head"), "AB", strict=True)
    }
    comparison.clock(built, {"validation": split, "train": split}, repeats=3)
    assert asked == ["A", "B"] * 4
    assert (comparison._finished()["metrics.latency_ms"] >= 0).all()
    assert (comparison._finished()["metrics.step_ms"] == 1.5).all()


def test_the_family_trains_equal_numbers_or_cannot_spend_them(monkeypatch):
    import transformers

    shape = transformers.BertConfig(
        vocab_size=50, num_hidden_layers=2, hidden_size=384, num_attention_heads=2, intermediate_size=1536
    )
    build = transformers.AutoModelForSequenceClassification.from_config
    monkeypatch.setattr(comparison, "_base", lambda **_: build(shape))
    budget = 4 * (2 * (4 * 768 + 2 * 1920) + 768)  # r = 4 everywhere, the pooler included
    spent = {}
    for key, one in family.every().items():
        trainer = SimpleNamespace(
            model=one.build(),
            train_dataset=range(40),
            args=SimpleNamespace(learning_rate=one.rates[1], per_device_train_batch_size=16),
            add_callback=lambda callback: None,
        )
        if one.ready:
            one.ready(trainer)
        parts = trainer.model.named_parameters()
        spent[key] = sum(
            part.numel() for name, part in parts if part.requires_grad and "classifier" not in name
        )
    assert max(spent.values()) == budget == spent["all_linear"]
    small = {key for key, numbers in spent.items() if numbers < 0.9 * budget}
    assert small == {"vera", "ia3"}  # a vector per matrix is all that they have


def test_the_family_has_its_own_runs_and_its_own_page():
    assert family.FAMILY.name != comparison.TECHNIQUES.name
    assert comparison_page.location(family.FAMILY.name) != comparison_page.location()
    assert set(comparison_page.GUIDES) == {family.FAMILY.name, comparison.TECHNIQUES.name}
    assert {len(one.rates) for one in family.every().values()} == {4}
