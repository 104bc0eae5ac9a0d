"""One Trainer for each task: a label for each text, or an answer to each conversation."""

from pathlib import Path

import pandas as pd
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, TaskType, get_peft_model
from src import config
from src.models import base
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


def make(chosen: config.Params, folder: Path) -> Trainer:
    """The Trainer of the chosen task, its seed set; checkpoints go into the folder."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_propagation()  # where CI is set, each line would come twice
    disable_progress_bars()
    set_seed(chosen.finetune.seed)
    return (writer if chosen.task == "generate" else classifier)(chosen, folder)


def rows(part: str) -> Dataset:
    """Read one split, with the messages cut into a prompt and what is to be learnt."""
    table = pd.read_json(f"data/finetuning/{part}.jsonl", lines=True, dtype={"label": str})
    if "messages" in table:
        table = pd.DataFrame({
            "prompt": [said[:-1] for said in table["messages"]],
            "completion": [said[-1:] for said in table["messages"]],
        })  # fmt: skip
    return Dataset.from_pandas(table, preserve_index=False)


def settings(chosen: config.Finetune, folder: Path) -> dict:
    """The training arguments that both tasks share."""
    return {
        "output_dir": str(folder), "learning_rate": chosen.learning_rate, "num_train_epochs": chosen.epochs,
        "per_device_train_batch_size": chosen.batch_size, "warmup_steps": 0.1, "seed": chosen.seed,
        "eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1, "logging_steps": 5,
        "report_to": "none", "dataloader_pin_memory": False, "disable_tqdm": True,
        "bf16": torch.cuda.is_bf16_supported(False),
    }  # fmt: skip


def recipe(chosen: config.Finetune, task: TaskType) -> LoraConfig:
    """The adapter: small beside a classifier's queries and values, beside every layer of a language model."""
    where = "all-linear" if task == TaskType.CAUSAL_LM else None  # None: PEFT's choice for the architecture
    return LoraConfig(
        r=chosen.lora_r, lora_alpha=chosen.lora_alpha, lora_dropout=chosen.lora_dropout,
        target_modules=where, task_type=task,
    )  # fmt: skip


def classifier(chosen: config.Params, folder: Path) -> Trainer:
    """A Trainer that learns one label for each text."""
    source = base.find(chosen.model.base)
    tokenizer = AutoTokenizer.from_pretrained(source)
    train, validation = rows("train"), rows("validation")
    names = sorted(set(train["label"]))

    def encode(row: dict) -> dict:
        ids = tokenizer(row["text"], truncation=True, max_length=chosen.model.max_length)
        return {**ids, "labels": names.index(row["label"])}

    train, validation = ([encode(row) for row in part] for part in (train, validation))
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=len(names), id2label=dict(enumerate(names))
    )
    model = get_peft_model(model, recipe(chosen.finetune, TaskType.SEQ_CLS))
    arguments = TrainingArguments(**settings(chosen.finetune, folder))
    return Trainer(
        model, arguments, DataCollatorWithPadding(tokenizer), train, validation, processing_class=tokenizer
    )


def writer(chosen: config.Params, folder: Path) -> Trainer:
    """A Trainer that learns to answer; the loss counts the answers only."""
    from trl import SFTConfig, SFTTrainer  # a second to load, and a classifier has no use for it

    source = base.find(chosen.model.base)
    arguments = SFTConfig(max_length=chosen.model.max_length, **settings(chosen.finetune, folder))
    return SFTTrainer(
        AutoModelForCausalLM.from_pretrained(source, dtype="float32"), arguments,
        train_dataset=rows("train"), eval_dataset=rows("validation"),
        processing_class=AutoTokenizer.from_pretrained(source),
        peft_config=recipe(chosen.finetune, TaskType.CAUSAL_LM),
    )  # fmt: skip
