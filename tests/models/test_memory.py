"""Memory: the account agrees with a hand count, the prediction with arithmetic and with the process."""

import os
import subprocess
import sys

import pytest

from labhelpers.core.settings import LabError
from labhelpers.models import memory


def small_model():
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 5))


def test_account_of_a_fresh_model_is_its_weights():
    parameters = 10 * 20 + 20 + 20 * 5 + 5
    account = memory.account(small_model())
    assert account == memory.MemoryAccount(weights=4 * parameters, gradients=0, optimizer=0, activations=0)


def test_account_after_a_step_agrees_with_a_hand_count():
    import torch

    model, parameters = small_model(), 325
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3, 10)).sum().backward()
    optimizer.step()
    account = memory.account(model, optimizer)
    steps = 4 * 4  # AdamW keeps a float32 step counter for each of the four tensors
    assert (account.weights, account.gradients) == (1300, 1300)
    assert account.optimizer == 2 * 4 * parameters + steps
    assert account.total == 4 * 4 * parameters + steps


def test_activations_are_what_autograd_keeps():
    import torch

    # Linear keeps its input (3×10), tanh its output (3×20), which is also the next Linear's input: once.
    account = memory.account(small_model(), batch=torch.ones(3, 10))
    assert account.activations == 4 * (3 * 10 + 3 * 20)


def test_activations_grow_with_the_batch_and_weights_do_not():
    import torch

    one, four = (memory.account(small_model(), batch=torch.ones(rows, 10)) for rows in (8, 32))
    assert four.activations == 4 * one.activations
    assert four.weights == one.weights


def test_measuring_activations_leaves_no_trace():
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(10, 10), nn.Dropout(0.5), nn.Linear(10, 2)).eval()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    memory.account(model, batch=torch.ones(3, 10))
    assert torch.equal(torch.rand(3), expected)
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_in_evaluation_mode_is_measured_as_in_training():
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(10, 10), nn.Dropout(0.5), nn.Linear(10, 2))
    batch = torch.ones(3, 10)
    assert memory.account(model.eval(), batch=batch) == memory.account(model.train(), batch=batch)


def test_a_wrapped_model_that_was_loaded_for_evaluation_is_measured_as_in_training():
    import torch
    from peft import LoraConfig, get_peft_model

    from labhelpers import models

    batch = {"input_ids": torch.ones(2, 8, dtype=torch.long)}
    wrapped = get_peft_model(_tiny_bert(models).eval(), LoraConfig(target_modules=["query"]))
    assert wrapped.training and not wrapped.get_base_model().training  # as after from_pretrained
    measured = memory.account(wrapped, batch=batch).activations
    assert not wrapped.get_base_model().training
    assert measured == memory.account(wrapped.train(), batch=batch).activations


def test_dropout_a_learner_switched_off_stays_off():
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(10, 10), nn.Dropout(0.5), nn.Linear(10, 2)).train()
    batch = torch.ones(3, 10)
    with_dropout = memory.account(model, batch=batch).activations
    model[1].eval()
    assert memory.account(model, batch=batch).activations < with_dropout
    assert not model[1].training


def test_shared_weights_count_once():
    from torch import nn

    embedding, output = nn.Embedding(100, 8), nn.Linear(8, 100, bias=False)
    output.weight = embedding.weight
    assert memory.account(nn.Sequential(embedding, output)).weights == 4 * 800


def test_frozen_layers_have_no_gradients():
    import torch

    model = small_model()
    model[0].requires_grad_(False)
    model(torch.ones(3, 10)).sum().backward()
    assert memory.account(model).gradients == 4 * (20 * 5 + 5)


def test_a_batch_can_be_a_dictionary():
    from labhelpers import models

    model = _tiny_bert(models)
    import torch

    batch = {"input_ids": torch.ones(2, 8, dtype=torch.long), "labels": torch.tensor([0, 1])}
    assert memory.account(model, batch=batch).activations > 0


def test_activation_checkpointing_keeps_less():
    import torch

    from labhelpers import models

    model = _tiny_bert(models).train()
    batch = {"input_ids": torch.ones(8, 32, dtype=torch.long), "labels": torch.zeros(8, dtype=torch.long)}
    plain = memory.account(model, batch=batch).activations
    model.activation_checkpointing_enable()
    assert memory.account(model, batch=batch).activations < plain / 3


def test_a_model_without_memory_can_be_accounted():
    from labhelpers import models

    account = memory.account(models.build_empty("llama-7b", "causal_lm"))
    assert account.weights == 4 * 6_738_415_616


@pytest.mark.parametrize(
    ("options", "gigabytes"),
    [
        ({}, (28, 28, 56)),
        ({"optimizer": "sgd"}, (28, 28, 0)),
        ({"optimizer": "sgd_momentum"}, (28, 28, 28)),
        ({"optimizer": "adamw_8bit"}, (28, 28, 14)),
        ({"weight_bytes": 2}, (14, 14, 28)),
        ({"weight_bytes": 2, "trainable": 0}, (14, 0, 0)),
        ({"weight_bytes": 0.5, "trainable": 0}, (3.5, 0, 0)),
    ],
)
def test_prediction_for_seven_billion_parameters(options, gigabytes):
    prediction = memory.predict(7e9, **options)
    parts = (prediction.weights, prediction.gradients, prediction.optimizer)
    assert parts == tuple(part * 10**9 for part in gigabytes)
    assert prediction.total == sum(parts)


@pytest.mark.parametrize(("weight_bytes", "ratio"), [(4, 3.99), (2, 7.96)])
def test_lora_saves_less_than_the_hundredfold_one_reads_about(weight_bytes, ratio):
    base, adapter = 6_738_415_616, 4_194_304
    full = memory.predict(base)
    lora = memory.predict(base + adapter, trainable=adapter, weight_bytes=weight_bytes)
    assert full.total / lora.total == pytest.approx(ratio, abs=0.005)


def test_prediction_gives_its_reasons():
    text = str(memory.predict(7e9))
    assert "112.0 GB" in text
    assert "7,000,000,000 trainable" in text
    assert "m and v" in text


def test_prediction_agrees_with_the_account():
    import torch

    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3, 10)).sum().backward()
    optimizer.step()
    account, prediction = memory.account(model, optimizer), memory.predict(325)
    assert (account.weights, account.gradients) == (prediction.weights, prediction.gradients)
    assert account.optimizer == prediction.optimizer + 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": -1}, "parameters=-1"),
        ({"parameters": float("nan")}, "parameters=nan"),
        ({"parameters": 10, "trainable": 11}, "base . adapter"),
        ({"parameters": 10, "optimizer": "adam"}, "adamw"),
        ({"parameters": 10, "weight_bytes": 0}, "weight_bytes=0"),
        ({"parameters": 10, "weight_bytes": 0.5}, "adapter"),
    ],
)
def test_impossible_predictions_are_refused(options, message):
    with pytest.raises(LabError, match=message):
        memory.predict(**options)


GROWTH = """
import torch
from torch import nn
from labhelpers import memory

def model(width, layers):
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(layers)])

def step(model):
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, model[0].in_features)).sum().backward()
    optimizer.step()
    return optimizer

step(model(64, 2))  # libraries take their own memory at the first step
before = memory.current_rss()
big = model(1536, 12)
optimizer = step(big)
predicted = memory.predict(sum(p.numel() for p in big.parameters())).total
print(predicted, memory.account(big, optimizer).total, memory.current_rss() - before, memory.peak_rss() - before)
"""


def test_prediction_agrees_with_what_the_process_really_takes():
    # With a fixed threshold glibc hands freed blocks back at once; otherwise it keeps some, sometimes 50 MB.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    result = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, env=environment
    )
    predicted, accounted, growth, peak = map(int, result.stdout.split())
    assert accounted == pytest.approx(predicted, rel=0.001)
    assert growth == pytest.approx(predicted, rel=0.10)
    # The optimiser's arithmetic borrows room for a few tensors more; it never needs less than it keeps.
    assert 0.9 * predicted < peak < 1.3 * predicted


MEASURED = """
import torch
from torch import nn
from labhelpers import memory

model = nn.Sequential(nn.Linear(512, 512), nn.Tanh(), nn.Softmax(dim=-1))  # both keep their own output
kept = memory.account(model, batch=torch.ones(20_000, 512)).activations
before = memory.current_rss()
for _ in range(4):
    memory.account(model, batch=torch.ones(20_000, 512))
print(kept, memory.current_rss() - before)
"""


def test_measuring_activations_gives_their_memory_back():
    result = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    kept, growth = map(int, result.stdout.split())
    assert kept > 80_000_000
    assert growth < kept / 2


def test_peak_counts_memory_that_was_given_back():
    before = memory.current_rss()
    block = bytearray(b"x" * 300_000_000)
    del block
    assert memory.peak_rss() >= before + 250_000_000
    assert memory.peak_rss() >= memory.current_rss()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (999_999, "1.0 MB"),
        (1.5e9, "1.5 GB"),
        (-2e6, "-2.0 MB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_bytes_for_people(number, text):
    assert memory.human(number) == text


def test_bytes_in_binary_units():
    assert memory.human(1024**3, binary=True) == "1.0 GiB"
    assert memory.human(112e9, binary=True) == "104.3 GiB"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "12"])
def test_what_is_no_number_of_bytes_is_refused(number):
    with pytest.raises(LabError, match="finite"):
        memory.human(number)


def _tiny_bert(models):
    from transformers import AutoModelForSequenceClassification

    shape = models.config(
        "minilm-l6",
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
    )
    return AutoModelForSequenceClassification.from_config(shape)
