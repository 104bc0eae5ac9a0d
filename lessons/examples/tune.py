"""Search a rate, a rank and a number of epochs (Optuna); fresh rows and seeds judge the best.

    python tune.py --data my.csv --model distilbert-base-uncased --trials 12
"""

import argparse
import sys
from pathlib import Path

import optuna
import pandas as pd
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from platformdirs import user_cache_dir
from scipy.stats import ttest_ind
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", default=COURSE / "minilm", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="tuning", help="folder to save in")
parser.add_argument("--epochs", type=int, default=3, help="at most")
parser.add_argument("--trials", type=int, default=8)
options = parser.parse_args()
try:
    csv = options.data.suffix.lower() == ".csv"
    table = pd.read_csv(options.data, na_filter=False) if csv else pd.read_json(options.data, lines=True)
    rows = Dataset.from_pandas(table[["text", "label"]].replace("", None).dropna().astype(str))
    rows = rows.class_encode_column("label")
    first = rows.train_test_split(0.4, seed=0, stratify_by_column="label")
    held = first["test"].train_test_split(0.5, seed=0, stratify_by_column="label")
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"{options.data}: {error}\nGive --data a UTF-8 .csv or .jsonl with text and label.")


def build(r):
    model = Classifier.from_pretrained(options.model, num_labels=len(rows.unique("label")))
    return get_peft_model(model, LoraConfig(r=r, lora_alpha=16, task_type="SEQ_CLS"))


def trainer(judges, r=8, **settings):
    arguments = TrainingArguments(
        options.output, per_device_train_batch_size=16, eval_strategy="epoch", save_strategy="no",
        report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
        bf16=torch.cuda.is_bf16_supported(False), **settings,
    )  # fmt: skip
    return Trainer(
        args=arguments, data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=train_rows, eval_dataset=judges,
        model_init=lambda trial: build(trial.suggest_int("r", 2, 32, log=True) if trial else r),
    )  # fmt: skip


def space(trial):
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return trial.params | {"num_train_epochs": trial.suggest_int("num_train_epochs", 1, options.epochs)}


def share_right(recipe, seed):
    judge = trainer(judging_rows, seed=seed, **recipe)
    judge.train()
    found = judge.predict(judging_rows)
    return round((found.predictions.argmax(axis=-1) == found.label_ids).mean().item(), 3)


tokenizer = AutoTokenizer.from_pretrained(options.model)
train_rows, choosing_rows, judging_rows = (
    part.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
    for part in (first["train"], held["train"], held["test"])
)
search = {"n_trials": options.trials, "direction": "minimize", "pruner": optuna.pruners.MedianPruner(3)}
best = trainer(choosing_rows).hyperparameter_search(space, backend="optuna", **search)
usual = {"learning_rate": 1e-3, "r": 8, "num_train_epochs": options.epochs}
right = [[share_right(one, seed) for seed in (1, 2, 3)] for one in (best.hyperparameters, usual)]
found = ttest_ind(*right, equal_var=False).confidence_interval()  # over seeds, not over rows
print(f"Found: {best.hyperparameters}. Right, by seed: {right} (found, usual)")
print(f"Found minus usual: {100 * found.low:+.1f} to {100 * found.high:+.1f} points.")
