"""How good is a saved classifier, how sure is that, and what would counting words have given?

    python evaluate.py --model my_model --data new.csv --baseline training.csv

The model is a folder that a program of this folder has written: whole, or an adapter.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from peft import AutoPeftModelForSequenceClassification as Adapter
from platformdirs import user_cache_dir
from scipy.stats import bootstrap
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.pipeline import make_pipeline
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", type=Path, default="full_model", help="folder of a trained model")
parser.add_argument("--output", type=Path, default="answers.csv", help="a file for every answer")
parser.add_argument("--baseline", type=Path, help="a file to train word counts on")
options = parser.parse_args()


def read(path):
    try:
        csv = path.suffix.lower() == ".csv"
        table = pd.read_csv(path, na_filter=False) if csv else pd.read_json(path, lines=True)
        return table[["text", "label"]].replace("", None).dropna().astype(str)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{path}: {error}\nGive a UTF-8 .csv or .jsonl with the columns text and label.")


@torch.inference_mode()
def answers(texts):
    kind = Adapter if (options.model / "adapter_config.json").is_file() else Classifier
    model = kind.from_pretrained(options.model, num_labels=len(names)).eval()
    chances = []
    for start in range(0, len(texts), 64):
        some, fit = texts[start : start + 64], {"padding": True, "truncation": True, "max_length": 128}
        batch = tokenizer(some, return_tensors="pt", **fit)
        chances.append(model(**batch).logits.softmax(dim=1))
    return torch.cat(chances).numpy()


def report(name, right):
    """An accuracy, and what other texts of this kind might have given."""
    low, high = bootstrap((right,), np.mean, method="percentile", rng=0).confidence_interval
    print(f"{name}: {right.mean():.1%} right (95 % interval {low:.1%} to {high:.1%})")


if not (options.model / "labels.json").is_file():
    sys.exit(f"{options.model} has no labels.json: train first, for example with full_beginner.py.")
names = json.loads((options.model / "labels.json").read_text())
table = read(options.data)
tokenizer = AutoTokenizer.from_pretrained(options.model)
chances = answers(table.text.tolist())
table["answer"], table["sure"] = [names[at] for at in chances.argmax(1)], chances.max(1)
report("the model", (table.answer == table.label).to_numpy(float))
report("always the most frequent label", (table.label == table.label.mode()[0]).to_numpy(float))
if options.baseline:
    known = read(options.baseline)
    words = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=4, max_iter=2000))
    said = words.fit(known.text, known.label).predict(table.text)
    report("word counts", (said == table.label).to_numpy(float))
print(classification_report(table.label, table.answer, zero_division=0))
print("Surest mistakes:", *table[table.answer != table.label].nlargest(5, "sure").text, sep="\n- ")
table.to_csv(options.output, index=False)
