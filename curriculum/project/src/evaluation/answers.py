"""What the fine-tuned model answers to the test split, beside what something simple answers."""

import json
from pathlib import Path

import pandas as pd
import torch
import transformers
from peft import AutoPeftModelForCausalLM, AutoPeftModelForSequenceClassification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from src import config
from transformers import AutoTokenizer

ADAPTER = Path("models/adapter")


def scored(chosen: config.Params) -> pd.DataFrame:
    """One row for each test item, with the columns text, wanted, written, score and baseline_score."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_propagation()  # where CI is set, each line would come twice
    return (generated if chosen.task == "generate" else classified)(chosen)


def rows(part: str) -> pd.DataFrame:
    """Read one split as it was prepared."""
    return pd.read_json(f"data/finetuning/{part}.jsonl", lines=True, dtype={"label": str})


@torch.inference_mode()
def labels(texts: list[str], max_length: int) -> list[str]:
    """The label that the fine-tuned classifier gives each text."""
    names = json.loads((ADAPTER / "labels.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(ADAPTER)
    model = AutoPeftModelForSequenceClassification.from_pretrained(ADAPTER, num_labels=len(names)).eval()
    found = []
    for start in range(0, len(texts), 64):
        fit = {"padding": True, "truncation": True, "max_length": max_length}
        batch = tokenizer(texts[start : start + 64], return_tensors="pt", **fit)
        found += [names[at] for at in model(**batch).logits.argmax(dim=1)]
    return found


def classified(chosen: config.Params) -> pd.DataFrame:
    """Each test text with the model's label, and that of counted words trained on the same rows."""
    train, test = rows("train"), rows("test")
    words = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=4, max_iter=2000))
    simple = words.fit(train["text"], train["label"]).predict(test["text"])
    table = test.rename(columns={"label": "wanted"})
    table["written"] = labels(list(test["text"]), chosen.model.max_length)
    table["score"] = (table["written"] == table["wanted"]).astype(float)
    table["baseline_score"] = (simple == table["wanted"]).astype(float)
    return table


@torch.inference_mode()
def answer(
    model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase, said: list, most: int
) -> str:
    """What a language model answers to messages, always taking the likeliest token."""
    ids = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**ids, max_new_tokens=most, do_sample=False)
    return tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def generated(chosen: config.Params) -> pd.DataFrame:
    """Each test prompt with the answer wanted and written, and what the model wrote before its fine-tuning."""
    from rouge_score.rouge_scorer import RougeScorer  # a second to load, and a classifier has no use for it

    tokenizer = AutoTokenizer.from_pretrained(ADAPTER)
    model = AutoPeftModelForCausalLM.from_pretrained(ADAPTER, dtype=torch.float32).eval()
    like = RougeScorer(["rougeL"], use_stemmer=True)
    table = []
    for said in rows("test")["messages"]:
        wanted, most = said[-1]["content"], chosen.evaluate.answer_tokens
        written = answer(model, tokenizer, said[:-1], most)
        with model.disable_adapter():
            before = answer(model, tokenizer, said[:-1], most)
        scores = [like.score(wanted, text)["rougeL"].fmeasure for text in (written, before)]
        table.append((said[-2]["content"], wanted, written, *scores))
    return pd.DataFrame(table, columns=["text", "wanted", "written", "score", "baseline_score"])
