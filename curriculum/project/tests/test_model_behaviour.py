"""What the model must be able to do, and whether these tests would notice if it could not.

The sentences are about films. For other texts and labels write others: suite() is yours.
"""

from pathlib import Path

import pandas as pd
import pytest
from src import config
from src.evaluation import behaviour
from src.evaluation.behaviour import Probe, probes

ADAPTER, HELD_OUT = Path("models/adapter"), Path("data/finetuning/validation.jsonl")
GOOD, BAD = ["wonderful", "moving", "brilliant", "charming"], ["boring", "awful", "pointless", "terrible"]
PLAIN = [
    "It is {word}.",
    "The film was {word}.",
    "What a {word} story!",
    "I found it {word}.",
    "A {word} film.",
]
PRAISE = ["The film is {word}.", "This is a {word} film.", "The story was {word}.", "It is a {word} one."]
LATE = [
    "We saw it on a rainy Tuesday, after a long day at work, with half of the street, and it was {word}.",
    "My sister, who goes to the cinema three or four times in a week, came home and called it {word}.",
    "It has two hours, eleven songs, three weddings and a dog from next door, and in the end it is {word}.",
    "They had talked about it in all the papers since the spring of last year, and I found it {word}.",
]
LONG = "On Monday they opened the doors at eight and sold tickets, sweets and a map of the town. " * 3
ILLS = ["swapped", "lopsided", "fresh head", "deaf to not", "short", "cased", "no mask", "too sure"]


# <gap day18>
# def suite(held_out: pd.DataFrame) -> dict[str, list[Probe]]:
#     """The tests by name, each a list of probes of one kind. held_out: rows with text and label."""
#     ...
# <solution>
def suite(held_out: pd.DataFrame) -> dict[str, list[Probe]]:
    """The tests by name, each a list of probes of one kind. held_out: rows with text and label."""
    worse = dict(zip(GOOD, BAD, strict=True))

    def spoilt(text: str) -> str:
        return next(text.replace(good, bad) for good, bad in worse.items() if good in text)

    def negated(text: str) -> str:
        return text.replace(" is ", " is not ").replace(" was ", " was not ")

    good, bad = (
        probes("is", PLAIN, label=label, word=words)
        for label, words in (("positive", GOOD), ("negative", BAD))
    )
    return {
        "plain words": good + bad,
        "not": probes("more", PRAISE, negated, "positive", word=["good", "funny", *GOOD]),
        "the end counts": probes("more", LATE, spoilt, "positive", word=GOOD),
        "capitals": probes("same", PLAIN, str.upper, word=[*GOOD[:2], *BAD[:2]]),
        "company": probes("company", PLAIN, lambda text: LONG, word=[GOOD[0], BAD[0]]),
        "confidence": [
            Probe("honest", row.text, row.text, label=row.label) for row in held_out.itertuples(index=False)
        ],
    }


# </solution>


@pytest.fixture(scope="module")
def tests() -> dict[str, list[Probe]]:
    if not HELD_OUT.is_file() or config.load(Path("params.yaml")).task != "classify":
        pytest.skip("no labelled rows: dvc repro prepare_data")
    made = suite(pd.read_json(HELD_OUT, lines=True, dtype={"label": str}))
    return made or pytest.skip("suite() is not written yet: Day 18")


@pytest.fixture(scope="module")
def models(tests):
    """The healthy model, and the ill ones by name."""
    if not (ADAPTER / "labels.json").is_file():
        pytest.skip("no model yet: dvc repro, or dvc pull models/adapter")
    from src.evaluation import ward  # takes seconds to load

    made_of = (*ward.opened(ADAPTER), config.load(Path("params.yaml")).model.max_length)
    return {"healthy": ward.reader(*made_of), **ward.ill(*made_of)}


def test_the_model_passes(models, tests):
    assert behaviour.alarms(models["healthy"], tests) == []


@pytest.mark.parametrize("name", ILLS)
def test_an_ill_model_is_noticed(models, tests, name):
    assert behaviour.alarms(models[name], tests), f"nothing rings for: {name}"
