"""The planner agrees with PEFT, with published sizes and with a measured training step."""

import pytest

from labhelpers import models
from labhelpers.core.settings import LabError
from labhelpers.models import memory, planner

GB = 1e9


def wrapped(name, task="SEQ_CLS", r=8, which="attention"):
    """The real thing: PEFT around an empty model."""
    from peft import LoraConfig, get_peft_model

    kind = "causal_lm" if task == "CAUSAL_LM" else "sequence_classification"
    model = models.build_empty(name, kind)
    return get_peft_model(
        model, LoraConfig(r=r, target_modules=models.lora_targets(model, which), task_type=task)
    )


def real_activations(config, method="full", batch_size=2, length=32, which="attention"):
    """Bytes that a real step of a real (untrained) model keeps, in float32 on the CPU."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    speaks = config.model_type in ("llama", "gpt2")
    kind = AutoModelForCausalLM if speaks else AutoModelForSequenceClassification
    model = kind.from_config(config)
    if method == "lora":
        targets = models.lora_targets(model, which)
        model = get_peft_model(
            model, LoraConfig(target_modules=targets, task_type="CAUSAL_LM" if speaks else "SEQ_CLS")
        )
    ids = torch.ones(batch_size, length, dtype=torch.long)
    labels = ids if speaks else torch.ones(batch_size, dtype=torch.long)
    return memory.account(
        model, batch={"input_ids": ids, "attention_mask": ids, "labels": labels}
    ).activations


@pytest.mark.parametrize(
    ("r", "adapter", "trainable"),
    [(4, 73_728, 665_858), (8, 147_456, 739_586), (16, 294_912, 887_042), (32, 589_824, 1_181_954)],
)
def test_distilbert_trains_mostly_its_head(r, adapter, trainable):
    count = planner.lora_parameters("distilbert-base", r)
    assert (count.adapter, count.head, count.trainable) == (adapter, 592_130, trainable)
    assert count.base == 66_955_010
    assert count.share == trainable / 66_955_010


@pytest.mark.parametrize("name", ["bert-base", "roberta-base", "gpt2"])
def test_where_294_912_comes_from(name):
    assert planner.lora_parameters(name, 8).adapter == 294_912


def test_a_7b_model_trains_little_or_not_so_little():
    few = planner.lora_parameters("llama-7b", 8)
    many = planner.lora_parameters("llama-7b", 64, "all_linear")
    assert (few.trainable, few.head) == (4_194_304, 0)
    assert few.share == pytest.approx(0.00062, abs=5e-6)
    assert many.trainable == 159_907_840
    assert many.share == pytest.approx(0.0237, abs=5e-5)


@pytest.mark.parametrize("which", planner.WHICH)
@pytest.mark.parametrize(
    ("name", "task"),
    [("minilm-l6", "SEQ_CLS"), ("roberta-base", "SEQ_CLS"), ("gpt2", "SEQ_CLS"), ("mistral-7b", "CAUSAL_LM")],
)
def test_counts_agree_with_peft(name, task, which):
    counted = models.count_parameters(wrapped(name, task, 4, which))
    labels = 2 if task == "SEQ_CLS" else None
    planned = planner.lora_parameters(name, 4, which, labels)
    assert (planned.adapter, planned.trainable) == (counted.groups["adapter"], counted.trainable)
    assert planned.base == counted.base
    assert planned.share == counted.share


def test_any_configuration_can_be_counted():
    config = models.config("llama-7b", num_hidden_layers=2, hidden_size=64, num_attention_heads=4)
    config.num_key_value_heads, config.intermediate_size = 2, 128
    count = planner.lora_parameters(config, 2)
    # query: 64 → 64; value: 64 → 2 heads of 16; two layers
    assert count.adapter == 2 * 2 * ((64 + 64) + (64 + 32))
    assert planner.lora_parameters(models.config("gpt2"), 8) == planner.lora_parameters("gpt2", 8)


def test_more_labels_make_a_larger_head():
    two, five = (planner.lora_parameters("bert-base", labels=labels) for labels in (2, 5))
    assert five.head - two.head == 3 * (768 + 1)
    assert five.adapter == two.adapter


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("distilbert-base", 66_362_880), ("bert-base", 109_482_240), ("gpt2", 124_439_808),
     ("gpt2-xl", 1_557_611_200), ("distilgpt2", 81_912_576), ("llama-7b", 6_738_415_616)],
)  # fmt: skip
def test_published_sizes(name, numbers):
    assert planner.parameters(name) == numbers


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("llama-7b", 3.87), ("llama-13b", 7.20), ("llama-30b", 17.4), ("llama-65b", 34.5), ("llama2-70b", 36.4)],
)
def test_weights_in_four_bit(name, gigabytes):
    assert planner.nf4_bytes(name) / GB == pytest.approx(gigabytes, rel=0.003)


def test_a_scale_per_block_is_what_makes_four_bits_more_than_four():
    matrices = 32 * (4 * 4096**2 + 3 * 4096 * 11_008)
    rest = planner.parameters("llama-7b") - matrices
    once, twice = (planner.nf4_bytes("llama-7b", double) - 2 * rest for double in (False, True))
    assert 8 * once / matrices == pytest.approx(4.5)
    assert 8 * twice / matrices == pytest.approx(4.127, abs=5e-4)


def test_nf4_costs_what_bitsandbytes_stores():
    import torch
    from bitsandbytes.functional import quantize_4bit

    matrix = torch.randn(1024, 1024)
    for double in (False, True):
        packed, state = quantize_4bit(matrix, quant_type="nf4", compress_statistics=double)
        scales = state.absmax.nbytes + (state.state2.absmax.nbytes if double else 0)
        bits = 8 * (packed.nbytes + scales) / matrix.numel()
        assert bits == pytest.approx(planner._nf4_bits(double), abs=1e-6)


@pytest.mark.parametrize(
    ("precision", "optimizer", "per_number"),
    [("float32", "adamw", 16), ("mixed", "adamw", 16), ("bfloat16", "adamw", 8), ("float32", "sgd", 8),
     ("float32", "adamw_8bit", 10)],
)  # fmt: skip
def test_bytes_per_trained_number(precision, optimizer, per_number):
    plan = planner.memory_plan("llama-7b", "full", precision, optimizer, batch_size=1)
    static = plan.weights + plan.gradients + plan.optimizer
    assert static == per_number * planner.parameters("llama-7b")


def test_the_static_plan_agrees_with_a_measured_step():
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_config(models.config("minilm-l6"))
    optimizer = torch.optim.AdamW(model.parameters())
    ids = torch.ones(1, 8, dtype=torch.long)
    model(input_ids=ids, labels=torch.ones(1, dtype=torch.long)).loss.backward()
    optimizer.step()
    measured = memory.account(model, optimizer)
    plan = planner.memory_plan("minilm-l6", batch_size=1, sequence_length=8)
    assert (plan.weights, plan.gradients) == (measured.weights, measured.gradients)
    steps = 4 * len(optimizer.state)  # AdamW counts its steps in a float32 per tensor
    assert plan.optimizer + steps == measured.optimizer


def test_the_static_plan_of_lora_agrees_with_peft():
    model = wrapped("distilbert-base").float()
    plan = planner.memory_plan("distilbert-base", "lora", batch_size=1, sequence_length=8)
    # PEFT keeps the frozen original of the head beside its trained copy.
    assert plan.weights == memory.account(model).weights
    assert plan.gradients == 4 * models.count_parameters(model).trainable


@pytest.mark.parametrize(
    ("name", "method", "which", "length"),
    [("minilm-l6", "full", "attention", 32), ("minilm-l6", "full", "attention", 128),
     ("minilm-l6", "lora", "attention", 64), ("minilm-l6", "lora", "all_linear", 64),
     ("gpt2", "full", "attention", 32), ("smollm2-135m", "full", "attention", 32), ("smollm2-135m", "lora", "attention", 32)],
)  # fmt: skip
def test_activations_agree_with_a_measured_step_within_three_percent(name, method, which, length):
    config = models.config(name)
    config.num_hidden_layers = 3
    measured = real_activations(config, method, 2, length, which)
    kept = planner.activation_bytes(config, 2, length, "float32", method, which=which, mask_bytes=4)
    assert kept.total == pytest.approx(measured, rel=0.03)


def test_the_papers_formula():
    s, b, h, a = 128, 4, 768, 12
    kept = planner.activation_bytes("bert-base", b, s, "bfloat16")
    assert kept.layers == 12 * s * b * h * (34 + 5 * a * s / h)


def test_lora_keeps_most_activations():
    full, lora = (
        planner.activation_bytes("distilbert-base", 8, 128, method=m).total for m in ("full", "lora")
    )
    assert 0.65 < lora / full < 0.85


def test_checkpointing_keeps_far_less_and_attention_grows_with_the_square():
    plain = planner.activation_bytes("llama-7b", 1, 1024, fused_attention=False)
    short = planner.activation_bytes("llama-7b", 1, 512, fused_attention=False)
    assert plain.layers > 2.2 * short.layers
    saving = planner.activation_bytes("llama-7b", 1, 1024, gradient_checkpointing=True, fused_attention=False)
    assert saving.layers < plain.layers / 10


def test_mixed_precision_saves_no_weights_and_copies_them():
    plain, mixed = (planner.memory_plan("bert-base", "full", p, batch_size=1) for p in ("float32", "mixed"))
    assert (plain.weights, plain.gradients, plain.optimizer) == (
        mixed.weights,
        mixed.gradients,
        mixed.optimizer,
    )
    kept = planner.activation_bytes("bert-base", 1, 512, "mixed")
    assert kept.copies == 2 * (12 * (4 * 768**2 + 2 * 768 * 3072) + 768**2)


def test_lora_saves_at_most_fourfold_when_the_model_stays_in_float32():
    full, lora = (planner.memory_plan("llama-7b", method, "float32") for method in ("full", "lora"))
    static = [plan.total - plan.activations for plan in (full, lora)]
    assert static[0] / static[1] == pytest.approx(3.99, abs=0.005)


def test_every_part_has_a_reason():
    for method in planner.METHODS:
        plan = planner.memory_plan("gpt2", method, batch_size=1)
        assert set(plan.reasons) == {"weights", "gradients", "optimizer", "activations"}
        assert all(plan.reasons.values())
    assert "NF4" in planner.memory_plan("gpt2", "qlora").reasons["weights"]


def test_qlora_is_lora_on_smaller_weights():
    lora, qlora = (planner.memory_plan("llama-7b", m, "bfloat16", batch_size=1) for m in ("lora", "qlora"))
    assert (lora.gradients, lora.optimizer, lora.activations) == (
        qlora.gradients, qlora.optimizer, qlora.activations,
    )  # fmt: skip
    assert lora.weights - qlora.weights == 2 * planner.parameters("llama-7b") - planner.nf4_bytes("llama-7b")


def test_cards():
    assert sorted(planner.GPUS.values()) == [8, 12, 16, 24, 32, 40, 48, 80]
    assert planner.GPUS[planner.smallest_gpu(3.9 * GB)] == 8
    assert planner.GPUS[planner.smallest_gpu(7.5 * GB)] == 12  # a tenth of 8 GB is not to be had
    assert planner.smallest_gpu(138 * GB) is None
    assert not planner.fits(planner.nf4_bytes("llama-65b"), 24)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: planner.parameters("gpt-9"), "gpt-9"),
        (lambda: planner.lora_parameters("gpt2", which="everything"), "all_linear"),
        (lambda: planner.lora_parameters("gpt2", r=0), "r=0"),
        (lambda: planner.memory_plan("gpt2", "half"), "qlora"),
        (lambda: planner.memory_plan("gpt2", precision="int3"), "mixed"),
        (lambda: planner.memory_plan("gpt2", optimizer="hope"), "adamw"),
        (lambda: planner.memory_plan("gpt2", batch_size=0), "batch_size=0"),
        (lambda: planner.memory_plan("roberta-base", sequence_length=1024), "sequence_length=512"),
    ],
)
def test_mistakes_are_explained(call, says):
    with pytest.raises(LabError, match=says):
        call()


def test_a_model_without_learned_positions_takes_any_length():
    assert planner.memory_plan("llama-7b", "qlora", sequence_length=8192).activations > 0
