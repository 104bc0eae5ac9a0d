"""QLoRA: the frozen model in four bits, LoRA beside it. For models that do not fit otherwise.

    python qlora_beginner.py --data my.csv --model my-large-model --output my_adapter
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from platformdirs import user_cache_dir
from sklearn.metrics import f1_score
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, BitsAndBytesConfig, DataCollatorWithPadding
from transformers import Trainer, TrainingArguments, set_seed

CUDA, BF16 = torch.cuda.is_available(), torch.cuda.is_bf16_supported(False)
COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "sentences.csv")
parser.add_argument("--model", default=COURSE / "minilm", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="qlora_model", help="folder to save in")
parser.add_argument("--epochs", type=float, default=2)
parser.add_argument("--learning-rate", type=float, default=0.001)
options = parser.parse_args()
try:
    csv = options.data.suffix.lower() == ".csv"
    table = pd.read_csv(options.data, na_filter=False) if csv else pd.read_json(options.data, lines=True)
    table = table[["text", "label"]].replace("", None).dropna().astype(str)
    rows = Dataset.from_pandas(table, preserve_index=False).class_encode_column("label")
    parts = rows.train_test_split(0.2, seed=0, stratify_by_column="label")
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"{options.data}: {error}\nGive --data a UTF-8 .csv or .jsonl with text and label.")


def score(outcome):
    answers = outcome.predictions.argmax(axis=-1)
    return {"macro_f1": f1_score(outcome.label_ids, answers, average="macro")}


def four_bits():
    quantized = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if BF16 else torch.float32,
        llm_int8_skip_modules=["classifier", "score"],  # the head learns
    )  # fmt: skip
    where = {"quantization_config": quantized, "device_map": "auto" if CUDA else "cpu"}
    model = Classifier.from_pretrained(options.model, num_labels=len(names), **where)
    for layer in model.modules():  # else, on some CPUs, an evaluation ends the training
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
    return model


set_seed(0)
names = rows.features["label"].names
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokens = parts.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
base = prepare_model_for_kbit_training(four_bits(), use_gradient_checkpointing=False)
model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, task_type="SEQ_CLS"))
arguments = TrainingArguments(
    options.output, learning_rate=options.learning_rate, num_train_epochs=options.epochs, warmup_steps=0.1,
    per_device_train_batch_size=16, per_device_eval_batch_size=64, dataloader_pin_memory=False,
    eval_strategy="epoch", save_strategy="no", report_to="none", bf16=BF16,
)  # fmt: skip
collator, held_back = DataCollatorWithPadding(tokenizer), tokens["test"]
trainer = Trainer(model, arguments, collator, tokens["train"], held_back, compute_metrics=score)
trainer.train()
model.save_pretrained(options.output)  # the adapter and the head, without the model
tokenizer.save_pretrained(options.output)
(options.output / "labels.json").write_text(json.dumps(names))
again = PeftModel.from_pretrained(four_bits(), options.output)
both = trainer, Trainer(again, arguments, collator, eval_dataset=held_back)
before, after = (each.predict(held_back).predictions for each in both)
print(f"Saved in {options.output}. Reloaded, it differs by {abs(before - after).max():.0e}.")
