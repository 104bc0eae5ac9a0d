"""Prompt tuning: a language model answers with a label; only a few vectors in front are trained.

    python prompt_beginner.py --data my.csv --model HuggingFaceTB/SmolLM2-360M --output my_prompt
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from peft import AutoPeftModelForCausalLM, PromptTuningConfig, get_peft_model
from platformdirs import user_cache_dir
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer
from transformers import TrainingArguments, set_seed

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", default=COURSE / "smollm2", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="prompt_model", help="folder to save in")
parser.add_argument("--epochs", type=float, default=1)
parser.add_argument("--learning-rate", type=float, default=0.03)
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


def encode(row):  # the text, then its label; only the label counts for the loss
    asked = tokenizer(f"Text: {row['text']}\nLabel:", truncation=True, max_length=200)["input_ids"]
    said = tokenizer(f" {names[row['label']]}")["input_ids"] + [tokenizer.eos_token_id]
    return {"input_ids": asked + said, "labels": [-100] * len(asked) + said}


@torch.inference_mode()
def choose(model, text):
    """The label that the model finds likeliest after this text."""
    losses = []
    for label in range(len(names)):
        row = encode({"text": text, "label": label})
        batch = {key: torch.tensor([ids], device=model.device) for key, ids in row.items()}
        losses.append(model(**batch).loss.item() * sum(at >= 0 for at in row["labels"]))
    return min(range(len(names)), key=losses.__getitem__)


set_seed(0)
names = rows.features["label"].names
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokens = parts.map(encode, remove_columns=["text", "label"])
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
words = f"Choose the label of the text: {', '.join(names)}."
recipe = PromptTuningConfig(
    num_virtual_tokens=12, prompt_tuning_init="TEXT", prompt_tuning_init_text=words,
    tokenizer_name_or_path=str(options.model), task_type="CAUSAL_LM",
)  # fmt: skip
model = get_peft_model(model, recipe)
arguments = TrainingArguments(
    options.output, learning_rate=options.learning_rate, num_train_epochs=options.epochs, warmup_steps=0.1,
    per_device_train_batch_size=8, per_device_eval_batch_size=8, dataloader_pin_memory=False,
    eval_strategy="epoch", save_strategy="no", report_to="none", bf16=torch.cuda.is_bf16_supported(False),
)  # fmt: skip
collator = DataCollatorForSeq2Seq(tokenizer)
Trainer(model, arguments, collator, tokens["train"], tokens["test"]).train()
model.save_pretrained(options.output)  # some kilobytes
tokenizer.save_pretrained(options.output)
(options.output / "labels.json").write_text(json.dumps(names))
again = AutoPeftModelForCausalLM.from_pretrained(options.output).to(model.device).eval()
asked = parts["test"].select(range(min(50, len(parts["test"]))))
first, second = ([choose(each, text) for text in asked["text"]] for each in (model.eval(), again))
right = sum(one == truth for one, truth in zip(first, asked["label"], strict=True))
print(f"Right on {right} of {len(first)} held-back texts; reloaded, the same: {first == second}.")
