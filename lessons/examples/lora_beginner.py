"""LoRA: fine-tune a classifier by training two thin matrices beside each attention projection.

    python lora_beginner.py --data my.csv --model distilbert-base-uncased --output my_model

The file (.csv or .jsonl, UTF-8) has the columns text and label. What is saved is an adapter of a megabyte, for
the model it was trained on. Without options: the course's sentences and its small BERT.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import ClassLabel, Dataset
from peft import AutoPeftModelForSequenceClassification, LoraConfig, get_peft_model
from platformdirs import user_cache_dir
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding
from transformers import Trainer, TrainingArguments, set_seed

COURSE = Path(user_cache_dir("labhelpers"))  # `make setup` keeps the course's model and data there


def read(path):
    """Two parts of a table, one row in five held back, and the names of its labels."""
    try:
        table = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_json(path, lines=True)
        table = table.dropna(subset=["text", "label"]).astype({"text": str, "label": str})
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{path}: {error}\nGive --data a UTF-8 .csv or .jsonl with the columns text and label.")
    names, counts = sorted(set(table.label)), table.label.value_counts()
    if len(names) < 2 or counts.min() < 5:
        sys.exit(f"{path} has these labels: {counts.to_dict()}. Two or more are needed, five rows of each.")
    rows = Dataset.from_pandas(table[["text", "label"]], preserve_index=False)
    rows = rows.cast_column("label", ClassLabel(names=names))
    return rows.train_test_split(0.2, seed=0, stratify_by_column="label"), names


def score(outcome):
    answers = outcome.predictions.argmax(axis=-1)
    f1 = f1_score(outcome.label_ids, answers, average="macro")
    return {"accuracy": accuracy_score(outcome.label_ids, answers), "macro_f1": f1}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
    parser.add_argument("--model", default=str(COURSE / "minilm"), help="a folder, or a name on the Hub")
    parser.add_argument("--output", default="lora_model")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    set_seed(0)
    parts, names = read(options.data)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tokens = parts.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
    model = AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=len(names))
    # Without target_modules, PEFT takes its usual choice for this architecture: query and value in a BERT.
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, task_type="SEQ_CLS"))
    model.print_trainable_parameters()
    arguments = TrainingArguments(
        options.output, learning_rate=options.learning_rate, num_train_epochs=options.epochs, seed=0,
        per_device_train_batch_size=16, per_device_eval_batch_size=64, warmup_steps=0.1, report_to="none",
        eval_strategy="epoch", save_strategy="no", logging_steps=20, bf16=torch.cuda.is_available(),
    )  # fmt: skip
    collator = DataCollatorWithPadding(tokenizer)
    trainer = Trainer(model, arguments, collator, tokens["train"], tokens["test"], compute_metrics=score)
    trainer.train()
    model.save_pretrained(options.output)  # the adapter and the new head
    tokenizer.save_pretrained(options.output)
    Path(options.output, "labels.json").write_text(json.dumps(names))
    again = AutoPeftModelForSequenceClassification.from_pretrained(options.output, num_labels=len(names))
    both = trainer, Trainer(again, arguments, collator, eval_dataset=tokens["test"])
    asked = [each.predict(tokens["test"]).predictions for each in both]
    print(f"Saved in {options.output}; loaded again, it answers differently by {abs(asked[0] - asked[1]).max():.0e}.")


if __name__ == "__main__":
    main()
