"""With LAB_HUB=1 the same functions take models and data from the Hub, here a small one on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import hub_server

ROOT = Path(__file__).parents[2]
MODEL = """
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from labhelpers import models
source = models.source("encoder")
model = AutoModelForSequenceClassification.from_pretrained(source)
tokens = AutoTokenizer.from_pretrained(source)("good film", return_tensors="pt")
print("ANSWER", source, tuple(model(**tokens).logits.shape), tokens["input_ids"].tolist())
"""
DATA = """
import json, sys
from labhelpers import data
from labhelpers.core.settings import LabError

def load(name, *columns):
    try:
        dataset = data.load(name, *columns)
    except LabError as error:
        return str(error)
    return [dataset.features["label"].names, sorted(zip(dataset["text"], dataset["label"]))]

print("ANSWER", json.dumps([load(*words.split()) for words in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A running Hub with one tiny model and three tiny data sets."""
    folder = tmp_path_factory.mktemp("hub")
    write_model(folder / "model")
    write_parquet(folder / "parquet")
    write_csv(folder / "csv")
    data = {
        "org/tiny": folder / "parquet",
        "org/plain": folder / "csv",
        "stanfordnlp/imdb": folder / "parquet",
    }
    with hub_server.serving(
        hub_server.Hub({"models": {"org/tiny-bert": folder / "model"}, "datasets": data})
    ) as running:
        yield running


def write_model(folder):
    """A random two-layer BERT and a tokenizer of seven words."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = BertConfig(
        vocab_size=7,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def write_parquet(folder):
    """A train and a test split with class names; one row has no label (-1), as many in IMDb."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features(text=Value("string"), label=ClassLabel(names=["neg", "pos"]))
    rows = {"train": [("good", 1), ("bad", 0), ("who knows", -1)], "test": [("fine", 1)]}
    for split, pairs in rows.items():
        texts, labels = zip(*pairs, strict=True)
        file = folder / "plain_text" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_dict({"text": texts, "label": labels}, features=features).to_parquet(file)


def write_csv(folder):
    """Other column names, and labels as words."""
    folder.mkdir()
    (folder / "train.csv").write_text("review,stars,extra\nlovely,many,1\nawful,few,2\n")


def process(hub, folder, code, *arguments, **environment):
    """Run Python code in a process that sees our Hub; returns standard output and error."""
    names = [name for name in os.environ if name.startswith(("HF_", "LAB_", "TRANSFORMERS_", "HUGGING"))]
    clean = {name: value for name, value in os.environ.items() if name not in names}
    ours = {
        "LAB_HUB": "1", "LAB_PROFILE": "cpu", "LAB_HEADLESS": "1", "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1", "LAB_WORKSPACE": str(folder / "workspace"),
    }  # fmt: skip
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=clean | ours | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def run(tmp_path, hub):
    return lambda code, *arguments, **environment: process(hub, tmp_path, code, *arguments, **environment)


@pytest.fixture(scope="module")
def loaded(hub, tmp_path_factory):
    """Data sets asked for, one after another in one process → their label names and rows, or what was said."""
    asked = ["org/tiny", "org/plain review stars", "sentiment", "org/plain", "org/nothing"]
    done = process(hub, tmp_path_factory.mktemp("learner"), DATA, *asked)
    return dict(zip(asked, json.loads(answer(done)), strict=True))


def answer(result):
    """What the code printed after ANSWER; its error if it printed nothing."""
    assert "ANSWER" in result.stdout, result.stderr
    return result.stdout.partition("ANSWER ")[2].strip()


def test_model_comes_from_the_hub(run, hub):
    result = run(MODEL, LAB_ENCODER="org/tiny-bert")
    assert answer(result) == "org/tiny-bert (1, 3) [[2, 5, 6, 3]]"
    assert any(path.endswith("/model.safetensors") for _, path, _ in hub.requests)


def test_data_come_from_the_hub_with_every_labelled_row(loaded):
    names, rows = loaded["org/tiny"]
    assert names == ["neg", "pos"]
    assert rows == [["bad", 0], ["fine", 1], ["good", 1]]


def test_columns_with_other_names_and_labels_in_words(loaded):
    names, rows = loaded["org/plain review stars"]
    assert names == ["few", "many"]
    assert rows == [["awful", 0], ["lovely", 1]]


def test_sentiment_is_imdb_with_the_label_names_of_the_course(loaded, hub):
    names, rows = loaded["sentiment"]
    assert names == ["negative", "positive"]
    assert len(rows) == 3
    assert any("stanfordnlp/imdb" in path for _, path, _ in hub.requests)


def test_missing_column_lists_those_found(loaded):
    assert "org/plain has no column 'text'; it has review, stars, extra" in loaded["org/plain"]


def test_unknown_data_set_is_explained(loaded):
    said = loaded["org/nothing"]
    assert "The data set org/nothing could not be loaded from the Hugging Face Hub" in said
    assert "LAB_HUB=0" in said


def test_unreachable_hub_is_explained(run):
    impatient = "import time; time.sleep = lambda seconds: None\n"  # the library tries six times
    (said,) = json.loads(answer(run(impatient + DATA, "org/tiny", HF_ENDPOINT="http://127.0.0.1:9")))
    assert "The data set org/tiny could not be loaded" in said
    assert "Check the name and the connection" in said


def test_hub_that_is_switched_off_says_how_to_switch_it_on(run):
    (said,) = json.loads(answer(run(DATA, "org/tiny", HF_HUB_OFFLINE="1")))
    assert "org/tiny is on the Hugging Face Hub, and the Hub is switched off here. Set LAB_HUB=1" in said
