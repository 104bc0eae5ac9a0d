"""Models: published sizes, PEFT counts without double counting, LoRA targets, and frozen features."""

import warnings

import numpy as np
import pytest

from labhelpers import models
from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.models import shapes

TEXTS = ["A film with a heart.", "Dull.", "I would happily watch it again tomorrow, and so would my mother."]


def adapted(name, **lora):
    import peft

    task = (
        "causal_lm" if shapes.SHAPES[name]["model_type"] in ("gpt2", "llama") else "sequence_classification"
    )
    model = models.build_empty(name, task)
    kind = "CAUSAL_LM" if task == "causal_lm" else "SEQ_CLS"
    options = {"r": 8, "target_modules": models.lora_targets(model), "task_type": kind, **lora}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(model, peft.LoraConfig(**options))


@pytest.mark.parametrize(
    ("name", "task", "parameters"),
    [
        ("distilbert-base", "base", 66_362_880),
        ("distilbert-base", "sequence_classification", 66_955_010),
        ("bert-base", "base", 109_482_240),
        ("bert-large", "base", 335_141_888),
        ("roberta-base", "base", 124_645_632),
        ("minilm-l6", "base", 22_713_216),
        ("gpt2", "causal_lm", 124_439_808),
        ("distilgpt2", "causal_lm", 81_912_576),
        ("gpt2-xl", "causal_lm", 1_557_611_200),
        ("smollm2-135m", "causal_lm", 134_515_008),
        ("smollm2-360m", "causal_lm", 361_821_120),
        ("llama-7b", "causal_lm", 6_738_415_616),
        ("llama-13b", "causal_lm", 13_015_864_320),
        ("llama-30b", "causal_lm", 32_528_943_616),
        ("llama-65b", "causal_lm", 65_285_660_672),
        ("llama2-70b", "causal_lm", 68_976_648_192),
        ("mistral-7b", "causal_lm", 7_241_732_096),
    ],
)
def test_shapes_have_the_published_number_of_parameters(name, task, parameters):
    counts = models.count_parameters(models.build_empty(name, task))
    assert counts.total == counts.trainable == counts.base == parameters
    assert counts.share == 1.0


def test_groups_of_a_classifier():
    counts = models.count_parameters(models.build_empty("distilbert-base"))
    assert counts.groups == {"embeddings": 23_835_648, "encoder": 42_527_232, "head": 592_130, "adapter": 0}


def test_groups_of_a_decoder():
    counts = models.count_parameters(models.build_empty("llama-7b", "causal_lm"))
    assert counts.groups["embeddings"] == counts.groups["head"] == 32_000 * 4096
    assert counts.groups["decoder"] == counts.total - 2 * 32_000 * 4096


def test_a_frozen_body_trains_only_its_head():
    model = models.build_empty("distilbert-base")
    model.base_model.requires_grad_(False)
    counts = models.count_parameters(model)
    assert counts.trainable == counts.trainable_groups["head"] == 592_130


def test_the_head_peft_copies_counts_once():
    model = adapted("distilbert-base")
    counts = models.count_parameters(model)
    assert counts.groups["adapter"] == 147_456
    assert counts.groups["head"] == 592_130
    assert counts.trainable == 147_456 + 592_130 == 739_586
    assert counts.base == 66_955_010
    assert counts.total == 66_955_010 + 147_456
    assert round(100 * counts.share, 4) == 1.1046
    # PEFT's own numbers, which the lesson explains: the head twice in the total.
    assert model.get_nb_trainable_parameters() == (739_586, 67_694_596)


@pytest.mark.parametrize(
    ("rank", "adapter", "trainable"),
    [(4, 73_728, 665_858), (8, 147_456, 739_586), (16, 294_912, 887_042), (32, 589_824, 1_181_954)],
)
def test_rank_scales_the_adapter_and_not_the_head(rank, adapter, trainable):
    counts = models.count_parameters(adapted("distilbert-base", r=rank))
    assert (counts.groups["adapter"], counts.trainable) == (adapter, trainable)


@pytest.mark.parametrize(
    ("name", "which", "rank"),
    [
        ("bert-base", "attention", 8),
        ("roberta-base", "attention", 8),
        ("gpt2", "attention", 8),
        ("distilbert-base", "attention", 16),
        ("distilbert-base", "attention_all", 8),
    ],
)
def test_five_ways_to_train_294912_parameters(name, which, rank):
    targets = models.lora_targets(models.build_empty(name, "base"), which)
    assert models.count_parameters(adapted(name, r=rank, target_modules=targets)).groups["adapter"] == 294_912


def test_lora_on_llama_7b():
    counts = models.count_parameters(adapted("llama-7b"))
    assert counts.trainable == 4_194_304
    assert round(100 * counts.share, 3) == 0.062


def test_one_lora_matrix_is_a_256th():
    # LoRA on a square matrix of width 4096 with r=8: 2 × 4096 × 8 of 4096².
    counts = models.count_parameters(adapted("llama-7b", target_modules=["layers.0.self_attn.q_proj"]))
    assert counts.trainable == 65_536 == 4096**2 // 256


@pytest.mark.parametrize(
    ("name", "adapter"),
    [
        # Per layer: 4 square projections and 2 feed-forward matrices; BERT adds its pooler.
        ("minilm-l6", 8 * (6 * (4 * 2 * 384 + 2 * (384 + 1536)) + 2 * 384)),
        ("distilbert-base", 8 * 6 * (4 * 2 * 768 + 2 * (768 + 3072))),
        # RoBERTa's head has a layer called "dense" too: the short name would adapt the head by mistake.
        ("roberta-base", 8 * 12 * (4 * 2 * 768 + 2 * (768 + 3072))),
    ],
)
def test_all_linear_adapts_every_matrix_but_the_head(name, adapter):
    model = models.build_empty(name)
    head = models.count_parameters(model).groups["head"]
    counts = models.count_parameters(adapted(name, target_modules=models.lora_targets(model, "all_linear")))
    assert counts.groups["adapter"] == adapter
    assert counts.trainable == adapter + head


def test_two_adapters_are_both_counted_and_the_head_once():
    import peft

    model = adapted("distilbert-base")
    lora = peft.LoraConfig(r=4, target_modules=["q_lin", "v_lin"], task_type="SEQ_CLS")
    model.add_adapter("second", lora)
    counts = models.count_parameters(model)
    assert counts.groups["adapter"] == 147_456 + 73_728
    assert counts.groups["head"] == 592_130


def test_prompt_tuning_is_an_adapter_too():
    import peft

    model = models.build_empty("gpt2", "causal_lm")
    prompt = peft.PromptTuningConfig(num_virtual_tokens=20, task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = models.count_parameters(peft.get_peft_model(model, prompt))
    assert counts.trainable == counts.groups["adapter"] == 15_360
    assert counts.base == 124_439_808


def test_an_unknown_architecture_lists_its_layers():
    import torch
    from transformers import AutoConfig, AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model("opt", num_hidden_layers=1))
    with pytest.raises(LabError, match=r"'opt'.*fc1.*q_proj.*target_modules"):
        models.lora_targets(model)
    assert {"q_proj", "v_proj", "fc1"} <= set(models.lora_targets(model, "all_linear"))


def test_targets_of_an_adapted_model_are_refused():
    with pytest.raises(LabError, match="before get_peft_model"):
        models.lora_targets(adapted("distilbert-base"))


def test_describe_prints_one_aligned_table(capsys):
    models.describe(adapted("distilbert-base"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "group",
        "embeddings",
        "encoder",
        "head",
        "adapter",
        "total",
        "Trainable:",
    ]
    assert len({len(line) for line in lines[:-1]}) == 1
    assert lines[-1] == "Trainable: 1.1046% of the 66,955,010 parameters without the adapter."


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.config("gpt-3"), "llama-7b"),
        (lambda: models.build_empty("gpt2", "translation"), "causal_lm"),
        (lambda: models.lora_targets(models.build_empty("gpt2", "base"), "attn"), "attention_all"),
        (lambda: models.source("judge"), "encoder, decoder"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(call, message):
    with pytest.raises(LabError, match=message):
        call()


def test_config_takes_changes():
    assert models.config("bert-base", num_labels=5).num_labels == 5
    assert "num_labels" not in shapes.SHAPES["bert-base"]


def test_source_is_local_unless_the_hub_is_wanted(monkeypatch):
    for variable in ("LAB_ENCODER", "LAB_DECODER", "LAB_HUB"):
        monkeypatch.delenv(variable, raising=False)
    assert (settings.Path(models.source("encoder")) / "config.json").is_file()
    monkeypatch.setenv("LAB_HUB", "1")
    assert models.source("encoder") == "distilbert-base-uncased"
    assert models.source("decoder") == "HuggingFaceTB/SmolLM2-360M-Instruct"


def test_source_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_DECODER", "some/model")
    assert models.source("decoder") == "some/model"
    monkeypatch.setenv("LAB_DECODER", str(tmp_path))
    with pytest.raises(LabError, match=r"LAB_DECODER.*config\.json"):
        models.source("decoder")
    (tmp_path / "config.json").write_text("{}")
    assert models.source("decoder") == str(tmp_path)


def _files():
    return list((settings.current().workspace / "features").iterdir())


def test_features_agree_with_the_model_itself():
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
    model = AutoModel.from_pretrained(models.source("encoder")).eval()
    with torch.no_grad():
        one = model(**tokenizer(TEXTS[0], return_tensors="pt"), output_hidden_states=True).hidden_states
    everything = models.embeddings(TEXTS, layers="all")
    assert everything.shape == (3, len(one), one[0].shape[-1])
    assert everything.dtype == np.float32
    for layer, states in enumerate(one):
        expected = states[0].mean(dim=0).numpy()
        cosine = (
            everything[0, layer] @ expected / np.linalg.norm(everything[0, layer]) / np.linalg.norm(expected)
        )
        assert cosine > 0.999
    assert np.allclose(models.embeddings(TEXTS), everything[:, -1])
    first = models.embeddings(TEXTS, pooling="cls")[0]
    assert np.abs(first - one[-1][0, 0].numpy()).max() < 0.05


def test_features_keep_the_order_and_do_not_depend_on_the_batch():
    forward = models.embeddings(TEXTS, batch_size=1)
    backward = models.embeddings(TEXTS[::-1], batch_size=3)
    assert np.allclose(forward, backward[::-1], atol=0.02)
    assert not np.allclose(forward[0], forward[1], atol=0.1)


def test_features_are_computed_once(monkeypatch):
    import transformers

    first = models.embeddings(TEXTS)
    no_model = lambda *_, **__: pytest.fail("computed again")  # noqa: E731
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", no_model)
    assert np.array_equal(models.embeddings(TEXTS), first)
    assert len(_files()) == 1


def test_other_texts_or_options_are_other_features():
    models.embeddings(TEXTS)
    models.embeddings([*TEXTS[:2], "Another end."])
    models.embeddings(TEXTS, pooling="cls")
    models.embeddings(TEXTS, max_length=4)
    assert len(_files()) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:600] + b"\xff\xff" + data[602:],
    ],
)
def test_a_damaged_file_is_computed_again(damage):
    first = models.embeddings(TEXTS)
    (file,) = _files()
    file.write_bytes(damage(file.read_bytes()))
    assert np.array_equal(models.embeddings(TEXTS), first)
    assert _files() == [file]


def test_features_that_cannot_be_kept_are_there_all_the_same(capsys):
    folder = settings.current().workspace / "features"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be; a full disk ends the same way")
    assert models.embeddings(TEXTS).shape[0] == 3
    assert "the next run computes them again" in capsys.readouterr().out


def test_a_linear_probe_reads_sentiment_from_frozen_features():
    from sklearn.linear_model import LogisticRegression

    good = [
        f"{noun} was {word}."
        for noun in ("The film", "Her acting", "The ending", "The music")
        for word in ("wonderful", "brilliant", "a delight", "superb")
    ]
    bad = [
        f"{noun} was {word}."
        for noun in ("The film", "Her acting", "The ending", "The music")
        for word in ("terrible", "boring", "a disaster", "awful")
    ]
    sentence_embeddings = models.embeddings(good + bad)
    labels = np.repeat([1, 0], 16)
    train = np.tile(np.arange(16) < 12, 2)  # the last noun is never seen in training
    probe = LogisticRegression(max_iter=1000).fit(sentence_embeddings[train], labels[train])
    assert probe.score(sentence_embeddings[~train], labels[~train]) >= 7 / 8


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "no texts"),
        ("one string", {}, "list"),
        (["good", None], {}, r"texts\[1\] is None"),
        (TEXTS, {"layers": "first"}, "last, all"),
        (TEXTS, {"pooling": "max"}, "mean, cls"),
        (TEXTS, {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_features_of_bad_input_are_refused(texts, options, message):
    with pytest.raises(LabError, match=message):
        models.embeddings(texts, **options)
