"""Data of Day 9: names in tweets, questions made by a rule, questions written for the course."""

import re

import pytest
from datasets import Dataset

from labhelpers.core.settings import LabError
from labhelpers.data import tasks
from labhelpers.data.splitting import leaks, text_hash

STORY = (
    "The Northwind company said profits rose 12% in 2004. Mr Brown paid £3.5bn for a rival in Paris on Monday. "
    'The deal created 400 jobs. "We are glad," said Anna Smith. Sales in Rome reached £20m.'
)


@pytest.fixture(scope="module")
def articles():
    return tasks.articles()


@pytest.fixture
def story():
    return Dataset.from_dict({"text": [STORY]})


def test_every_word_of_a_tweet_has_a_tag():
    tweets = tasks.names()
    assert len(tweets) == 2_394
    assert tweets.features["tags"].feature.names == tasks.TAGS
    assert all(len(row["tokens"]) == len(row["tags"]) > 0 for row in tweets)
    assert all(row["label"] == any(row["tags"]) and row["text"] == " ".join(row["tokens"]) for row in tweets)


def test_the_merged_kinds_keep_every_name():
    """In the archive: 1,496 B- tags; an I- never follows an O or a name of another kind."""
    tags = [[tasks.TAGS[tag] for tag in row] for row in tasks.names()["tags"]]
    assert sum(tag.startswith("B-") for row in tags for tag in row) == 1_496
    for row in tags:
        for before, tag in zip(["O", *row], row, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:], (before, tag)


def test_articles_are_split_without_copies_and_keep_their_headlines(articles):
    assert sum(map(len, articles.values())) == 2_088
    assert leaks(articles) == []
    assert all(articles["test"]["headline"])


def test_the_passage_of_a_question_holds_its_answer_and_kind(articles):
    made = tasks.questions(articles["validation"], 200, seed=3)
    assert len(made) == 200
    for row in made:
        (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(answer)] == answer
        assert any(
            match.span() == (start, start + len(answer))
            for match in re.finditer(tasks.ANSWERS[row["kind"]][0], row["context"])
        )
        assert row["context"] in articles["validation"][row["article"]]["text"]
        assert row["question"].endswith("?") and row["question"][0].upper() == row["question"][0]


def test_most_questions_have_rivals_in_their_passage(articles):
    """Without this, taking the first thing of the right kind answers three questions in four."""
    rivals = tasks.questions(articles["validation"], 300)["rivals"]
    assert 0.5 < sum(number > 0 for number in rivals) / 300 < 0.9


def test_questions_depend_on_the_seed_alone(story):
    made = [tasks.questions(story, 5, seed=seed)["question"][:] for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_each_place_is_asked_about_once(story):
    made = tasks.questions(story, 100, seed=0)
    starts = [row["answers"]["answer_start"][0] + STORY.index(row["context"]) for row in made]
    assert len(starts) == len(set(starts)) <= len(tasks._askable(STORY))


def test_kinds_are_recognised():
    found = {(kind, STORY[start:end]) for kind, start, end in tasks._askable(STORY)}
    assert found == {
        ("share", "12%"), ("year", "2004"), ("person", "Brown"), ("money", "£3.5bn"), ("place", "Paris"), ("day", "Monday"),
        ("number", "400"), ("person", "Anna Smith"), ("place", "Rome"), ("money", "£20m"),
    }  # fmt: skip


def test_rivals_are_other_things_of_the_same_kind(story, monkeypatch):
    monkeypatch.setattr(tasks, "TOO_EASY_KEPT", 1.0)
    made = [row for seed in range(8) for row in tasks.questions(story, 100, seed=seed, words=200)]
    rivals = {row["answers"]["text"][0]: row["rivals"] for row in made}
    assert rivals["12%"] == 0 and rivals["£20m"] == 1


def test_passages_have_about_the_length_asked_for(articles):
    lengths = [
        len(text.split()) for text in tasks.questions(articles["validation"], 100, words=40)["context"]
    ]
    assert 40 <= sorted(lengths)[50] <= 60


def test_articles_with_nothing_to_ask_say_so():
    with pytest.raises(LabError, match="Give it more"):
        tasks.questions(Dataset.from_dict({"text": ["Nothing happened."]}), 5)


def test_every_written_question_finds_its_answer_as_a_whole_word(articles):
    written = tasks.written_questions(articles["test"])
    assert len(written) >= 70 and len(set(written["question"])) == len(written)
    for row in written:
        answer, start = row["answers"]["text"][0], row["answers"]["answer_start"][0]
        assert row["context"][start : start + len(answer)] == answer
        around = row["context"][max(0, start - 1) : start + len(answer) + 1]
        assert not re.search(rf"\w{re.escape(answer)}|{re.escape(answer)}\w", around)


def test_written_questions_are_about_articles_that_nothing_trains_on(articles):
    with pytest.raises(LabError, match="test split"):
        tasks.written_questions(articles["train"])


def test_a_written_answer_that_is_not_there_names_the_file(story, monkeypatch):
    entry = [{"article": text_hash(STORY)[:8], "questions": {"Who?": "Nobody"}}]
    monkeypatch.setattr("labhelpers.core.files.read_yaml", lambda path: entry)
    with pytest.raises(LabError, match=r"'Nobody'.*questions\.yaml"):
        tasks.written_questions(story)
