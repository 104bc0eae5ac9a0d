"""Full fine-tuning with care: a rate per layer, frozen embeddings, the best epoch.

    python full_intermediate.py --data my.csv --model distilbert-base-uncased --output my_model
"""

import argparse
import json
import re
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from platformdirs import user_cache_dir
from sklearn.metrics import f1_score
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, DataCollatorWithPadding, EarlyStoppingCallback
from transformers import Trainer, TrainingArguments, set_seed

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", default=COURSE / "minilm", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="full_model", help="folder to save in")
parser.add_argument("--epochs", type=float, default=4)
parser.add_argument("--learning-rate", type=float, default=0.0001)
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


def score(outcome):
    answers = outcome.predictions.argmax(axis=-1)
    return {"macro_f1": f1_score(outcome.label_ids, answers, average="macro")}


def groups(model, top, shrink=0.8):
    """The last layer and the head learn at `top`, each layer below at `shrink` of that."""
    depth = {name: re.search(r"\.(\d+)\.", name) for name, _ in model.named_parameters()}
    last = max(int(found[1]) for found in depth.values() if found)
    for name, weight in model.named_parameters():
        weight.requires_grad = "embeddings" not in name
        level = int(depth[name][1]) if depth[name] else last
        yield {"params": [weight], "lr": top * shrink ** (last - level)}


set_seed(0)
names = rows.features["label"].names
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokens = parts.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
model = Classifier.from_pretrained(options.model, num_labels=len(names))
optimizer = torch.optim.AdamW(list(groups(model, options.learning_rate)), weight_decay=0.01)
arguments = TrainingArguments(
    options.output, num_train_epochs=options.epochs, warmup_steps=0.1,
    lr_scheduler_type="cosine", per_device_train_batch_size=8, gradient_accumulation_steps=4,
    eval_strategy="epoch", save_strategy="epoch", save_total_limit=1,
    load_best_model_at_end=True, metric_for_best_model="macro_f1", report_to="none",
    bf16=torch.cuda.is_bf16_supported(False), dataloader_pin_memory=False,
)  # fmt: skip
collator, held_back = DataCollatorWithPadding(tokenizer), tokens["test"]
trainer = Trainer(
    model, arguments, collator, tokens["train"], held_back, compute_metrics=score,
    optimizers=(optimizer, None), callbacks=[EarlyStoppingCallback(1)],
)  # fmt: skip
trainer.train()
model.save_pretrained(options.output)
tokenizer.save_pretrained(options.output)
(options.output / "labels.json").write_text(json.dumps(names))
again = Classifier.from_pretrained(options.output)
both = trainer, Trainer(again, arguments, collator, eval_dataset=held_back)
before, after = (each.predict(held_back).predictions for each in both)
print(f"Saved in {options.output}. Reloaded, it differs by {abs(before - after).max():.0e}.")
