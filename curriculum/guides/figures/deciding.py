"""The largest change that fits: which method for which model on which card."""

from labhelpers import planner
from labhelpers.display.canvas import cell_axes
from labhelpers.models import decisions

MODELS = {
    "distilbert-base": "DistilBERT 66M", "smollm2-360m": "SmolLM2 362M", "gpt2-xl": "GPT-2 XL 1.6B",
    "mistral-7b": "Mistral 7.2B", "llama-13b": "LLaMA 13B", "llama-30b": "LLaMA 33B", "llama2-70b": "Llama 2 69B",
}  # fmt: skip
CARDS = (8, 16, 24, 48, 80)
WORDS = ("none", "QLoRA", "LoRA", "full")


def most(model, gigabytes):
    """3: full fine-tuning fits, 2: LoRA, 1: QLoRA, 0: nothing."""
    for level, method in ((3, "full"), (2, "lora"), (1, "qlora")):
        if planner.fits(planner.memory_plan(model, method, **decisions.FITS[method]).total, gigabytes):
            return level
    return 0


def figure():
    import numpy as np

    levels = np.array([[most(model, card) for card in CARDS] for model in MODELS], dtype=float)
    largest = [[MODELS[model] for model in MODELS if most(model, CARDS[-1]) >= level][-1] for level in (3, 1)]
    return cell_axes(
        levels, [[WORDS[int(level)] for level in row] for row in levels], list(MODELS.values()),
        [f"{card} GB" for card in CARDS], (0, 3),
        f"{CARDS[-1]} GB train all of {largest[0]}, or {largest[1]} through QLoRA",
        "memory of one card (one sequence of 512 tokens, checkpointing)", "",
    ).axes.figure  # fmt: skip
