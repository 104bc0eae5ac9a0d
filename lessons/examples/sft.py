"""Supervised fine-tuning of a chat model: LoRA, a loss on answers only, merged, generating.

    python sft.py --data chat.jsonl --model HuggingFaceTB/SmolLM2-360M-Instruct --output my_chat

A line of the file: {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from peft import LoraConfig
from platformdirs import user_cache_dir
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "chat.jsonl")
parser.add_argument("--model", default=COURSE / "smollm2", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="chat_model", help="folder to save in")
parser.add_argument("--epochs", type=float, default=1)
parser.add_argument("--learning-rate", type=float, default=0.0002)
options = parser.parse_args()
CUDA, BF16 = torch.cuda.is_available(), torch.cuda.is_bf16_supported(False)
try:
    rows = Dataset.from_pandas(pd.read_json(options.data, lines=True)[["messages"]])
    rows = rows.map(  # everything before the last message is the prompt, and counts for no loss
        lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
        remove_columns="messages",
    ).train_test_split(0.1, seed=0)
except (OSError, ValueError, KeyError, TypeError) as error:
    line = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
    sys.exit(f"{options.data}: {error}\nGive --data a .jsonl with lines such as {line}")


def answer(model, messages):
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    made = model.generate(**ids, max_new_tokens=40, do_sample=False)
    return tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


tokenizer = AutoTokenizer.from_pretrained(options.model)
model = AutoModelForCausalLM.from_pretrained(
    options.model, dtype=torch.bfloat16 if BF16 else torch.float32
)
recipe = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
arguments = SFTConfig(
    options.output, num_train_epochs=options.epochs, learning_rate=options.learning_rate,
    per_device_train_batch_size=4, gradient_accumulation_steps=4, max_length=512,
    warmup_steps=0.1, eval_strategy="epoch", save_strategy="no", logging_steps=5,
    report_to="none", bf16=BF16, activation_checkpointing=CUDA, dataloader_pin_memory=False,
)  # fmt: skip
trainer = SFTTrainer(
    model, args=arguments, train_dataset=rows["train"], eval_dataset=rows["test"],
    processing_class=tokenizer, peft_config=recipe,
)  # fmt: skip
trainer.train()
merged = trainer.model.merge_and_unload()
merged.save_pretrained(options.output)  # a plain model: any server can load it
tokenizer.save_pretrained(options.output)
again = AutoModelForCausalLM.from_pretrained(options.output, dtype=merged.dtype).to(merged.device)
question = rows["test"][0]["prompt"]
said, repeated = answer(merged.eval(), question), answer(again, question)
print(f"Wanted: {rows['test'][0]['completion'][0]['content']}\nWritten: {said}")
print(f"Saved in {options.output}. Reloaded, it writes {'the same' if said == repeated else repeated}.")
