"""Data for other tasks than classification: names in tweets, questions about news, headlines for news."""

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import files
from ..core.settings import LabError
from . import assets, sources
from .splitting import split, text_hash

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

WRITTEN = Path(__file__).with_name("questions.yaml")
# What can be asked about, how it is recognised, and ways to ask for it ({} is what is left of the sentence).
ANSWERS = {
    "money": (
        r"[£$€]\d[\d,.]*\d?(?:\s?(?:bn|m|million|billion|trillion))?\b",
        ("How much money: {}?", "What sum is named, {}?", "{}: how much?", "What amount, {}?"),
    ),
    "share": (
        r"\b\d+(?:\.\d+)?%",
        ("What percentage: {}?", "By what share, {}?", "{}: how many per cent?", "How many per cent {}?"),
    ),
    "year": (
        r"(?<=\bin )(?:19|20)\d\d\b",
        ("In which year {}?", "Which year, {}?", "{}: in what year?", "When was it that {}?"),
    ),
    "day": (
        r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b",
        ("On which day {}?", "Which day, {}?", "{}: on what day?", "What day of the week {}?"),
    ),
    "person": (
        r"(?:(?<=Mr )|(?<=Mrs )|(?<=Ms )|(?<=Sir ))[A-Z][a-z]+(?: [A-Z][a-z]+)?|(?<=said )[A-Z][a-z]+ [A-Z][a-z]+",
        ("Who {}?", "Which person, {}?", "{}: who was that?", "What is the name, {}?"),
    ),
    "place": (
        r"(?:(?<=\bin )|(?<=\bfrom ))(?!(?:January|February|March|April|May|June|July|August|September|October|November|December"
        r"|Mr|The)\b)[A-Z][a-z]{2,}(?: [A-Z][a-z]+)?\b",
        ("Where {}?", "In which place {}?", "{}: where?", "What place, {}?"),
    ),
    "number": (
        r"\b\d[\d,]*(?= (?:people|years|months|days|weeks|jobs|points|goals|games|minutes|countries|companies|firms|users|films"
        r"|seats|votes|times|members)\b)",
        ("How many {}?", "What number: {}?", "{}: how many?", "What count, {}?"),
    ),
}  # fmt: skip
# Said in other words, so that a question is not simply a piece of the text.
OTHER_WORDS = {
    "said": "stated", "rose": "increased", "fell": "dropped", "company": "business", "firm": "business",
    "government": "ministers", "film": "movie", "match": "game", "win": "victory", "won": "gained", "lost": "missed",
    "big": "large", "biggest": "largest", "began": "started", "children": "young people", "mobile": "cell", "US": "American",
    "UK": "British", "country": "nation", "plans": "intends", "shares": "stock", "bought": "purchased", "told": "informed",
    "expected": "forecast", "sales": "revenue", "growth": "expansion", "chief": "head", "jobs": "posts", "show": "reveal",
    "people": "persons", "team": "squad", "record": "best ever", "top": "leading", "near": "close to", "new": "recent",
}  # fmt: skip
# Where a passage holds one amount only, "how much" is enough to find it: most of such questions are left out.
TOO_EASY_KEPT = 0.25
EMPTY_WORDS = {
    "a", "an", "the", "to", "of", "in", "on", "at", "for", "with", "from", "by", "and", "or", "but", "that", "which", "it",
    "its", "as", "is", "are", "was",
}  # fmt: skip


def questions(articles: "Dataset", size: int, seed: int = 0, words: int = 70) -> "Dataset":
    """Make questions about articles by a rule: take an amount, a year, a person … out of a sentence, keep some words.

    These are no questions that a person asked. They share words with the text, and the kind of answer can be guessed
    from their first word. Scores on them say little about scores on real questions.

    Args:
        articles: with a column `text`.
        size: how many questions, at most; each article gives about equally many.
        seed: decides what is asked and how.
        words: about how long the passage around an answer is.

    Returns:
        Columns `question`, `context`, `answers` (`text` and `answer_start`, as in SQuAD), `kind` (a key of ANSWERS),
        `rivals` (other things of that kind in the passage) and `article` (row in `articles`).

    Raises:
        LabError: when the articles hold nothing to ask about.

    Source: Lewis, Denoyer and Riedel 2019, "Unsupervised Question Answering by Cloze Translation", ACL.
    """
    from datasets import Dataset

    draw = random.Random(seed)
    texts = articles["text"][:]
    found = [(row, _askable(text)) for row, text in enumerate(texts)]
    places = [(row, *draw.choice(all)) for _ in range(16) for row, all in found if all]
    rows, seen = [], set()
    for row, kind, start, end in places:
        if len(rows) == size or (row, start) in seen:
            continue
        seen.add((row, start))
        asked = _asked(texts[row], kind, start, end, words, draw)
        if asked["rivals"] or draw.random() < TOO_EASY_KEPT:
            rows.append({**asked, "article": row})
    if not rows:
        raise LabError("questions() found no amount, year, person or place in these articles. Give it more.")
    return Dataset.from_list(rows)


def _askable(text: str) -> list[tuple[str, int, int]]:
    return [(kind, *match.span()) for kind, (look, _) in ANSWERS.items() for match in re.finditer(look, text)]


def _asked(text: str, kind: str, start: int, end: int, words: int, draw: random.Random) -> dict[str, Any]:
    answer = text[start:end]
    sentence_start, sentence_end = _sentence(text, start, end)
    before = _content(text[sentence_start:start], draw)[-6:]
    after = _content(text[end:sentence_end], draw)[:6]
    way = draw.choice(ANSWERS[kind][1])
    question = re.sub(r"\s+([,:?])", r"\1", way.format(" ".join(before + after)))
    left, right = _passage(text, sentence_start, sentence_end, words, draw)
    context = text[left:right]
    rivals = {match.group() for match in re.finditer(ANSWERS[kind][0], context)} - {answer}
    return {
        "question": question[0].upper() + question[1:], "context": context, "kind": kind, "rivals": len(rivals),
        "answers": {"text": [answer], "answer_start": [start - left]},
    }  # fmt: skip


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence around a place begins and ends, in characters."""
    begin = max((match.end() for match in re.finditer(r"[.!?]\"?\s+(?=[A-Z\"])|\n", text[:start])), default=0)
    stop = re.search(r"[.!?]\"?(?=\s+[A-Z\"]|\s*$)|\n", text[end:])
    return begin, end + stop.end() if stop else len(text)


def _content(piece: str, draw: random.Random) -> list[str]:
    """The words that matter, some of them in other words, a few left out."""
    found = [word for word in re.findall(r"[\w£$€%'-]+", piece) if word.lower() not in EMPTY_WORDS]
    kept = [word for word in found if draw.random() > 0.25]
    return [OTHER_WORDS.get(word, word) if draw.random() < 0.7 else word for word in kept]


def _passage(text: str, start: int, end: int, words: int, draw: random.Random) -> tuple[int, int]:
    """Widen a sentence by whole sentences on both sides, until the passage has about `words` words."""
    ends = [0, *(match.end() for match in re.finditer(r"[.!?]\"?\s+(?=[A-Z\"])|\n", text)), len(text)]
    left, right = start, end
    while len(text[left:right].split()) < words and (left > 0 or right < len(text)):
        if right >= len(text) or (left > 0 and draw.random() < 0.5):
            left = max(place for place in ends if place < left)
        else:
            right = min(place for place in ends if place > right)
    return left, right


def written_questions(articles: "Dataset", words: int = 70) -> "Dataset":
    """Load the questions that were written for this course one by one, and find their answers in the articles.

    Args:
        articles: the test split of `articles()`.
        words: about how long the passage around an answer is.

    Returns:
        Columns `question`, `context`, `answers` and `article`, as `questions` gives them.

    Raises:
        LabError: when none of the articles is there.
    """
    from datasets import Dataset

    entries = files.read_yaml(WRITTEN)
    by_hash = {text_hash(text)[:8]: row for row, text in enumerate(articles["text"])}
    draw, rows = random.Random(0), []
    for entry in entries:
        if (row := by_hash.get(entry["article"])) is not None:
            text = articles[row]["text"]
            rows += [
                {"question": question, **_around(text, answer, words, draw), "article": row}
                for question, answer in entry["questions"].items()
            ]
    if not rows:
        raise LabError('Our questions are about the test split: written_questions(tasks.articles()["test"]).')
    return Dataset.from_list(rows)


def _around(text: str, answer: str, words: int, draw: random.Random) -> dict[str, Any]:
    place = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text)
    if place is None:
        raise LabError(f"The answer {answer!r} does not stand in its article: correct {WRITTEN}.")
    left, right = _passage(text, *_sentence(text, *place.span()), words, draw)
    return {
        "context": text[left:right],
        "answers": {"text": [answer], "answer_start": [place.start() - left]},
    }


__all__ = ["ANSWERS", "ENTITIES", "TAGS", "articles", "names", "questions", "written_questions"]
ENTITIES = ("person", "place", "company", "other")
TAGS = ["O", *(f"{prefix}-{kind}" for kind in ENTITIES for prefix in "BI")]
MERGED = {"person": "person", "geo-loc": "place", "facility": "place", "company": "company"}


def names() -> "Dataset":
    """Load tweets whose names of persons, places, companies and other things are marked word by word.

    Returns:
        Columns `text`, `tokens` (words), `tags` (one number per word, into TAGS) and `label` (1 when the tweet has a
        name). Ritter's ten kinds are merged into four, because most of them occur a few dozen times.

    Source: Ritter et al. 2011, "Named Entity Recognition in Tweets: An Experimental Study", EMNLP.
    """
    from datasets import ClassLabel, Dataset, Features, List, Value

    content = (assets.path("tweet_entities") / "ner.txt").read_text(encoding="utf-8")
    rows = [_tweet(block) for block in re.split(r"\n\s*\n", content) if block.strip()]
    features = Features(
        text=Value("string"), tokens=List(Value("string")), tags=List(ClassLabel(names=TAGS)),
        label=ClassLabel(names=["no name", "name"]),
    )  # fmt: skip
    return Dataset.from_list(rows, features=features)


def _tweet(block: str) -> dict[str, Any]:
    pairs = [line.split("\t") for line in block.split("\n") if line.strip()]
    words, tags = [word for word, _ in pairs], [TAGS.index(_merged(tag)) for _, tag in pairs]
    return {"text": " ".join(words), "tokens": words, "tags": tags, "label": int(any(tags))}


def _merged(tag: str) -> str:
    prefix, _, kind = tag.partition("-")
    return f"{prefix}-{MERGED.get(kind, 'other')}" if kind else "O"


def articles() -> "DatasetDict":
    """Load the BBC articles with their headlines, without copies, split by article.

    Returns:
        Splits `train`, `validation` and `test` with columns `text`, `label` (the topic) and `headline`.
    """
    return split(sources.packaged("topics"))
