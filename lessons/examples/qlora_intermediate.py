"""QLoRA for a chat model: four bits, LoRA on every linear layer, a loss on answers only.

    python qlora_intermediate.py --data chat.jsonl --model Qwen/Qwen2.5-7B-Instruct
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from bitsandbytes.nn import Linear4bit
from datasets import Dataset
from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training
from platformdirs import user_cache_dir
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer

COURSE = Path(user_cache_dir("labhelpers"))  # filled by `make setup`
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, default=COURSE / "examples" / "chat.jsonl")
parser.add_argument("--model", default=COURSE / "smollm2", help="a folder, or a name on the Hub")
parser.add_argument("--output", type=Path, default="qlora_chat", help="folder to save in")
parser.add_argument("--epochs", type=float, default=1)
parser.add_argument("--learning-rate", type=float, default=0.0002)
options = parser.parse_args()
CUDA, BF16 = torch.cuda.is_available(), torch.cuda.is_bf16_supported(False)
try:
    rows = Dataset.from_pandas(pd.read_json(options.data, lines=True)[["messages"]])
    cut = lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}  # noqa: E731
    rows = rows.map(cut, remove_columns="messages").train_test_split(0.1, seed=0)
except (OSError, ValueError, KeyError, TypeError) as error:
    line = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
    sys.exit(f"{options.data}: {error}\nGive --data a .jsonl with lines such as {line}")


def four_bits():
    kind = torch.bfloat16 if BF16 else torch.float32
    quantized = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=kind,
    )  # fmt: skip
    where = {"quantization_config": quantized, "device_map": "auto" if CUDA else "cpu"}
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=kind, **where)
    for layer in model.modules():  # else, on some CPUs, an evaluation ends the training
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
    return model


tokenizer = AutoTokenizer.from_pretrained(options.model)
model = prepare_model_for_kbit_training(four_bits(), use_gradient_checkpointing=CUDA)
recipe = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
arguments = SFTConfig(
    options.output, num_train_epochs=options.epochs, learning_rate=options.learning_rate,
    per_device_train_batch_size=4, gradient_accumulation_steps=4, max_length=512,
    warmup_steps=0.1, eval_strategy="epoch", save_strategy="no", logging_steps=5,
    report_to="none", bf16=BF16, optim="paged_adamw_8bit" if CUDA else "adamw_torch",
    activation_checkpointing=CUDA, dataloader_pin_memory=False,
)  # fmt: skip
trainer = SFTTrainer(
    model, args=arguments, train_dataset=rows["train"], eval_dataset=rows["test"],
    processing_class=tokenizer, peft_config=recipe,
)  # fmt: skip
trainer.train()
trainer.model.save_pretrained(options.output)  # the adapter alone
tokenizer.save_pretrained(options.output)
again = PeftModel.from_pretrained(four_bits(), options.output).eval()
ids = tokenizer("A headline:", return_tensors="pt").to(again.device)
with torch.inference_mode():
    gap = trainer.model.eval()(**ids).logits.float() - again(**ids).logits.float()
print(f"Saved in {options.output}. Reloaded, it differs by {gap.abs().max():.0e}.")
