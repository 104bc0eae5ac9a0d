"""Six looks at a training that will not work, cheapest first; or call `looks(trainer, tokenizer)`.

    python debug.py --data my.csv --model distilbert-base-uncased
"""

import argparse
import copy
import math
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from platformdirs import user_cache_dir
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments


def looks(trainer, tokenizer):
    batch = next(iter(trainer.get_train_dataloader()))
    one_row(batch, tokenizer)
    learns = [name for name, part in trainer.model.named_parameters() if part.requires_grad]
    print(f"2 trained: {trainer.get_num_trainable_parameters():,} numbers, as {learns[-3:]}")
    twins(trainer.train_dataset, trainer.eval_dataset)
    start(trainer.model, batch), one_batch(trainer, batch)
    print("6 curves: training loss falls and validation loss rises? Fewer epochs. Both high? More.")


def one_row(batch, tokenizer):
    ids, label = batch["input_ids"][0], batch["labels"][0]  # one per text or per token; -100 is none
    wanted = tokenizer.decode(label[label >= 0]) if label.ndim else label.item()
    print(f"1 batch: {tokenizer.decode(ids[ids != tokenizer.pad_token_id])[:300]!r} is to give {wanted!r}")


def twins(train, validation):
    seen = set(map(tuple, train["input_ids"]))
    both = sum(tuple(ids) in seen for ids in validation["input_ids"])
    print(f"3 twins: {both} of {len(validation)} validation rows also stand in the training rows")


def start(model, batch):
    with torch.inference_mode():
        loss = model.eval()(**{key: part.to(model.device) for key, part in batch.items()}).loss
    choices = model.config.num_labels if batch["labels"].ndim == 1 else model.config.vocab_size
    print(f"4 start: loss {loss:.2f}; guessing among {choices} gives {math.log(choices):.2f}")


def one_batch(trainer, batch, steps=60):
    model = copy.deepcopy(trainer.model).eval()  # without dropout, a few rows can be learnt by heart
    optimizer = torch.optim.AdamW(model.parameters(), lr=trainer.args.learning_rate)
    batch = {key: part[:4].to(model.device) for key, part in batch.items()}
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step(), optimizer.zero_grad()
    print(f"5 one batch: loss {loss.item():.3f} after {steps} steps on 4 rows; near 0 is sound")


if __name__ == "__main__":
    course = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=course / "examples" / "sentences.csv")
    parser.add_argument("--model", default=course / "minilm", help="a folder, or a name on the Hub")
    parser.add_argument("--output", type=Path, default="debugging", help="folder for the Trainer")
    options = parser.parse_args()
    try:
        csv = options.data.suffix.lower() == ".csv"
        table = pd.read_csv(options.data, na_filter=False) if csv else pd.read_json(options.data, lines=True)
        rows = Dataset.from_pandas(table[["text", "label"]].replace("", None).dropna().astype(str))
        rows = rows.class_encode_column("label")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{options.data}: {error}\nGive --data a UTF-8 .csv or .jsonl with text and label.")
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = rows.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
    parts = rows.train_test_split(0.2, seed=0)
    model = Classifier.from_pretrained(options.model, num_labels=len(rows.unique("label")))
    quiet = {"report_to": "none", "dataloader_pin_memory": False}
    args = TrainingArguments(options.output, learning_rate=1e-4, **quiet)
    looks(Trainer(model, args, DataCollatorWithPadding(tokenizer), parts["train"], parts["test"]), tokenizer)
