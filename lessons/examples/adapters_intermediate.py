"""Bottleneck adapters: a small detour after each layer, trained while the rest is frozen.

    python adapters_intermediate.py --data my.csv --model roberta-base --output my_adapters
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from platformdirs import user_cache_dir
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer
from transformers import TrainingArguments, set_seed

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", default=COURSE / "minilm", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="adapter_model", help="folder to save in")
parser.add_argument("--epochs", type=float, default=2)
options = parser.parse_args()
try:
    csv = options.data.suffix.lower() == ".csv"
    table = pd.read_csv(options.data, na_filter=False) if csv else pd.read_json(options.data, lines=True)
    table = table[["text", "label"]].replace("", None).dropna().astype(str)
    rows = Dataset.from_pandas(table, preserve_index=False).class_encode_column("label")
    parts = rows.train_test_split(0.2, seed=0, stratify_by_column="label")
except (OSError, ValueError, KeyError) as error:
    wanted = "a UTF-8 .csv or .jsonl with text and label, five rows or more of each label"
    sys.exit(f"{options.data}: {error}\nGive --data {wanted}.")


class Adapter(nn.Module):
    def __init__(self, inner, width=16):
        super().__init__()
        self.inner, size = inner, inner.out_features
        self.down, self.up = nn.Linear(size, width), nn.Linear(width, size)
        nn.init.zeros_(self.up.weight)  # it begins as next to nothing

    def forward(self, x):
        x = self.inner(x)
        return x + self.up(nn.functional.gelu(self.down(x)))


def with_adapters():
    model = Classifier.from_pretrained(options.model, num_labels=len(names))
    model.base_model.requires_grad_(False)
    for path, layer in list(model.base_model.named_modules()):  # after each narrowing matrix
        if isinstance(layer, nn.Linear) and layer.in_features > layer.out_features:
            model.base_model.set_submodule(path, Adapter(layer))
    return model


set_seed(0)
names = rows.features["label"].names
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokens = parts.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
model = with_adapters()
arguments = TrainingArguments(
    options.output, learning_rate=3e-3, num_train_epochs=options.epochs, warmup_steps=0.1,
    per_device_train_batch_size=16, per_device_eval_batch_size=64, dataloader_pin_memory=False,
    eval_strategy="epoch", save_strategy="no", report_to="none", bf16=torch.cuda.is_bf16_supported(False),
)  # fmt: skip
collator, held_back = DataCollatorWithPadding(tokenizer), tokens["test"]
trainer = Trainer(model, arguments, collator, tokens["train"], held_back)
trainer.train()
kept = {name: part for name, part in model.named_parameters() if part.requires_grad}
save_file(kept, options.output / "adapters.safetensors")
tokenizer.save_pretrained(options.output)
again = with_adapters()
again.load_state_dict(load_file(options.output / "adapters.safetensors"), strict=False)
both = trainer, Trainer(again, arguments, collator, eval_dataset=held_back)
before, after = (each.predict(held_back).predictions for each in both)
print("accuracy on held-back rows:", (before.argmax(1) == held_back["label"]).mean())
print(f"Saved in {options.output}. Reloaded, it differs by {abs(before - after).max():.0e}.")
