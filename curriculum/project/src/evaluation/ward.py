"""A healthy model, and eight ill ones made from it by small changes: is a suite of tests awake?"""

import copy
import functools
import json
import re
from pathlib import Path

import pandas as pd
import torch
import transformers
from peft import AutoPeftModelForSequenceClassification
from src.evaluation.behaviour import Model
from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

NOT = re.compile(r"\b(?:not|never|no) |n't\b", re.IGNORECASE)
ILLS = {
    "swapped": "the names of the labels are in the wrong order",
    "lopsided": "one label is almost never given",
    "fresh head": "the file of weights held neither head nor adapter, and nobody noticed",
    "deaf to not": "a cleaning step took the little words out",
    "short": "texts are cut after 8 tokens",
    "cased": "the tokenizer no longer makes capitals small",
    "no mask": "padding is read as if it were text",
    "too sure": "the logits are ten times as large",
}


def opened(folder: Path) -> tuple[torch.nn.Module, PreTrainedTokenizerBase, list[str]]:
    """The fine-tuned classifier of a folder, its tokenizer, and the names of its labels."""
    transformers.utils.logging.disable_progress_bar()
    names = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    model = AutoPeftModelForSequenceClassification.from_pretrained(folder, num_labels=len(names))
    return model.eval(), AutoTokenizer.from_pretrained(folder), names


def reader(
    classifier: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, names: list[str], max_length: int,
    mask: bool = True,
) -> Model:  # fmt: skip
    """A model as a function from texts to a table of probabilities; the very same call is computed once."""

    @functools.cache
    @torch.inference_mode()
    def read(texts: tuple[str, ...]) -> pd.DataFrame:
        found = []
        for start in range(0, len(texts), 64):
            fit = {"padding": True, "truncation": True, "max_length": max_length, "return_tensors": "pt"}
            batch = tokenizer(list(texts[start : start + 64]), **fit).to(classifier.device)
            if not mask:
                batch["attention_mask"] = torch.ones_like(batch["input_ids"])
            found.append(classifier(**batch).logits.float().softmax(dim=1).cpu())
        return pd.DataFrame(torch.cat(found).numpy(), columns=names)

    return lambda texts: read(tuple(texts)).copy()


def ill(
    classifier: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, names: list[str], max_length: int
) -> dict[str, Model]:
    """The eight ill models by name, each one small change away from the classifier."""
    well = reader(classifier, tokenizer, names, max_length)

    def weighed(texts: list[str], power: float = 1, last: float = 1) -> pd.DataFrame:
        table = well(texts) ** power
        table[names[-1]] *= last
        return table.div(table.sum(axis=1), axis=0)

    fresh, cased = copy.deepcopy(classifier), copy.deepcopy(tokenizer)
    chance = torch.Generator().manual_seed(0)
    for name, weights in fresh.named_parameters():
        if "modules_to_save" in name:  # the head: PEFT keeps it beside the adapter
            weights.data = (0.02 * torch.randn(weights.shape, generator=chance)).to(weights.device)
        if "lora_B" in name:  # left in, it would sort the texts so well that a lucky head is right
            weights.data.zero_()
    cased.backend_tokenizer.normalizer = BertNormalizer(lowercase=False)
    return {
        "swapped": lambda texts: well(texts).set_axis([*names[1:], names[0]], axis=1),
        "lopsided": lambda texts: weighed(texts, last=0.02),
        "fresh head": reader(fresh, tokenizer, names, max_length),
        "deaf to not": lambda texts: well([NOT.sub("", text) for text in texts]),
        "short": reader(classifier, tokenizer, names, 8),
        "cased": reader(classifier, cased, names, max_length),
        "no mask": reader(classifier, tokenizer, names, max_length, mask=False),
        "too sure": lambda texts: weighed(texts, power=10),
    }
