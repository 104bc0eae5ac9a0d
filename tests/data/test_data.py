"""Data: what a learner loads, what is refused and why, and splits that never leak and never move."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from labhelpers import data
from labhelpers.core.settings import LabError
from labhelpers.data import assets

ROOT = Path(__file__).parents[2]


def make(rows, names=("negative", "positive"), **columns):
    """A small data set from (text, label) pairs."""
    texts, labels = zip(*rows, strict=True)
    features = Features(text=Value("string"), label=ClassLabel(names=list(names)))
    for name in columns:
        features[name] = Value("int64")
    return Dataset.from_dict({"text": texts, "label": labels, **columns}, features=features)


def numbered(count):
    """Different texts, a quarter of them positive."""
    return [(f"sentence number {n}", int(n % 4 == 0)) for n in range(count)]


@pytest.fixture
def write(tmp_path):
    """Write a file of the learner's and return its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# --- the course's own data ---------------------------------------------------------------------------------------


def test_sentiment_has_the_ratings_of_every_person():
    dataset = data.load("sentiment")
    assert len(dataset) == 10_072
    assert dataset.features["label"].names == ["negative", "positive"]
    row = dataset[0]
    assert set(row) == {"text", "label", "rating", "ratings", "source"}
    assert row["rating"] == pytest.approx(sum(row["ratings"]) / len(row["ratings"]))
    assert min(abs(rating) for rating in dataset["rating"]) >= 0.5
    assert all(
        (rating > 0) == label for rating, label in zip(dataset["rating"], dataset["label"], strict=True)
    )
    assert len({len(ratings) for ratings in dataset["ratings"]}) > 3, "not everybody rated every sentence"


def test_neutral_sentences_are_a_third_class_that_moves_no_number():
    dataset = data.load("sentiment", neutral=True)
    assert len(dataset) == 10_605
    assert dataset.features["label"].names == ["negative", "positive", "neutral"]
    assert Counter(dataset["label"])[2] == 10_605 - 10_072


@pytest.mark.parametrize(("name", "size"), [("amazon", 2_985), ("editorials", 2_970), ("tweets", 3_432)])
def test_other_rated_sentences_share_the_columns(name, size):
    dataset = data.load(name)
    assert len(dataset) == size
    assert dataset.column_names == data.load("sentiment").column_names
    assert not any("\r" in text or not text.strip() for text in dataset["text"])


def test_topics_keep_the_headline_apart_from_the_text():
    dataset = data.load("topics")
    assert len(dataset) == 2_225
    assert Counter(dataset["label"]) == {0: 510, 1: 386, 2: 417, 3: 511, 4: 401}
    assert dataset.features["label"].names == ["business", "entertainment", "politics", "sports", "tech"]
    assert dataset[0]["headline"] == "Ad sales boost Time Warner profit"
    assert dataset[0]["text"].startswith("Quarterly profits")
    assert any("£15.8m signing" in text for text in dataset["text"]), "the one file in the older encoding"


def test_topics_have_copies_that_a_split_must_not_see(capsys):
    splits = data.split(data.load("topics"))
    assert sum(map(len, splits.values())) < 2_225 - 98
    assert data.leaks(splits) == []
    assert "duplicates removed" in capsys.readouterr().out


def test_unknown_name_lists_the_choices():
    with pytest.raises(
        LabError, match=r"no data set 'sentimnt'.*sentiment, amazon, editorials, tweets, topics"
    ):
        data.load("sentimnt")


def test_spam_comes_as_it_was_packaged():
    """With rows glued together: taking them apart is a part of the weekend's lesson."""
    messages = data.load("spam")
    assert len(messages) == 4837
    assert messages.features["label"].names == ["ham", "spam"]
    assert sum(messages["label"]) == 638
    assert max(map(len, messages["text"])) > 28_000


@pytest.mark.parametrize("name", ["topics", "spam", "reviews.csv"])
def test_neutral_is_only_for_rated_sentences(name):
    with pytest.raises(LabError, match="neutral=True"):
        data.load(name, neutral=True)


# --- the learner's own files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"good, really",pos\nbad,neg\n'),
        ("a.csv", '\ufefftext,label\r\n"good, really", pos \r\nbad,neg\r\n'),
        ("a.tsv", "text\tlabel\ngood, really\tpos\nbad\tneg\n"),
        ("a.jsonl", '{"text": "good, really", "label": "pos"}\n\n{"text": "bad", "label": "neg"}\n'),
    ],
)
def test_three_kinds_of_file(write, name, content):
    dataset = data.load(write(name, content))
    assert dataset.features["label"].names == ["neg", "pos"]
    assert dataset[:] == {"text": ["good, really", "bad"], "label": [1, 0]}


def test_columns_can_have_other_names_and_numbers_keep_their_order(write):
    path = write("a.jsonl", "\n".join(json.dumps({"review": f"t{n}", "stars": n}) for n in (10, 2, 1)))
    dataset = data.load(path, text="review", label="stars")
    assert dataset.features["label"].names == ["1", "2", "10"]
    assert dataset["label"][:] == [2, 1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "Text,label\nx,a\ny,b\n", r"no column 'text'; it has 'Text', 'label'.*text='Text'"),
        ("a.csv", "text,lable\nx,a\ny,b\n", r"no column 'label'.*label='lable'"),
        ("a.csv", "text;label\nx;a\ny;b\n", "separated by ';'"),
        (
            "a.csv",
            "text,label\nx,a\n ,b\n,a\n",
            r"no text in 'text' in 2 rows \(line 3, 4\).*drop_empty=True",
        ),
        ("a.csv", "text,label\n,a\n,b\n", "Every row"),
        ("a.csv", "text,label\nx,a\ny,a\n", "the label 'a'.*at least two classes"),
        ("a.csv", "text,label\nx,a\ny,\nz\n", r"no label in 'label' in 2 rows \(line 3, 4\)"),
        ("a.csv", "text,label\nx, and more,a\ny,b\n", "more fields on line 2.*double quotes"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", "", "has no rows"),
        (
            "a.csv",
            "text,label\n" + "".join(f"t{n},id{n}\n" for n in range(30)),
            "30 different values in 30 rows",
        ),
        (
            "a.csv",
            b"text,label\nx,a\ncaf\xe9,b\n",
            r"byte 0xe9 on line 3.*encoding=\"cp1252\" gives 'café,b'",
        ),
        (
            "a.csv",
            "text\tlabel\nx, y\ta\nz\tb\n".encode("utf-16"),
            r'UTF-16.*tabs.*encoding="utf-16", separator="\\t"',
        ),
        ("a.tsv", "text\tlabel\nx\ta\nz\tb\n".encode("utf-16"), r'data.load\(…, encoding="utf-16"\)'),
        ("a.csv", "text,label\nx,a\nz,b\n".encode("utf-16-le"), r"control sign '.x00' on line 1.*utf-16-le"),
        (
            "a.csv",
            "text,label\n“It cost 20 € – too much…”,a\nx,b\n".encode("cp1252"),
            r'cp1252" gives .“It cost 20 €',
        ),
        (
            "a.csv",
            "text,label\nОтличный товар,плюс\nУжасное качество,минус\n".encode("cp1251"),
            r'cp1251" gives .Отличный',
        ),
        ("a.csv", b"PK\x03\x04\x14\0", "an Excel workbook"),
        ("a.csv", "text,label,text\nx,a,y\nz,b,w\n", "2 columns named 'text'"),
        ("a.jsonl", '{"text": "x", "label": "a", "text": "y"}\n', "'text' twice on line 1"),
        ("a.csv", 'text,label\na,x\n"open,y\n' + "b,x\nc,y\n" * 9, "opens a field on line 3 .*up to line 21"),
        (
            "a.tsv",
            'label\ttext\nx\ta\ny\t"Broken\nx\tb\ny\tcalled "it"\n' + "x\tc\ny\td\n",
            "on line 3 .*up to line 5",
        ),
        (
            "a.tsv",
            'label\ttext\nx\ta\ny\t"Broken\nx\tb\ny\tcalled"\n' + "x\tc\ny\td\n",
            "on line 3 .*rows below it",
        ),
        ("a.csv", "text;label\nA, b and c;x\nB;y\n", "separated by ';', not by ','.*separator=';'"),
        ("a.csv", "A fine film, really.;pos\nB.;neg\n", "separated by ';'"),
        ("a.csv", "A film.,pos\nA play.,neg\nA book.,pos\n", "first line .*looks like data.*text,label"),
        ("a.csv", "The bike works like a charm.,good\nB.,bad\n", "looks like data"),
        (
            "a.csv",
            "text,label\nx,Positive\ny,positive\nz,bad\n",
            r"differ only.*'Positive' \(line 2\) and 'positive' \(line 3\)",
        ),
        ("a.csv", "text,label\nx,1.0\ny,1\nz,0\n", "'1.0' .line 2. and '1' .line 3."),
        ("a.csv", "text,label\nx,pos\u200b\ny,pos\nz,neg\n", r"pos.u200b"),
        ("a.csv", "text,label\nx,cafe\u0301\ny,caf\u00e9\nz,no\n", "differ only"),
        ("a.csv", "text,label\nx,very\u00a0good\ny,very good\nz,no\n", "differ only"),
        ("a.jsonl", '{"text": "x", "label": "true"}\n{"text": "y", "label": true}\n', "differ only"),
        (
            "a.csv",
            "text,label\nx,nan\ny,pos\nz,neg\n",
            r"no label .*line 2\) \('nan' usually means.*drop_empty=True",
        ),
        ("a.csv", "text,label\nx,None\ny,N/A\nz,neg\nw,pos\n", "'N/A', 'None' usually"),
        ("a.csv", "text,label\nnan,a\ny,b\n", r"no text .*line 2"),
        (
            "a.jsonl",
            '{"text": "x", "label": "a"}\n{"text": "\\ud83d", "label": "b"}\n',
            "half of a character on line 2",
        ),
        ("a.jsonl", '{"text": "x", "label": ["a"]}\n', "a list or an object in 'label'"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": "y" "label"}\n', "no valid JSON on line 2"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n[1]\n', "has a list on line 2"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": 5, "label": "b"}\n', r"other than a text.*line 2"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text": "y", "label": null}\n', r"no label.*line 2"),
        ("a.txt", "text,label\n", r"is not a .csv, .tsv, .jsonl file"),
    ],
)
def test_wrong_file_names_the_place_and_the_next_step(write, name, content, message):
    with pytest.raises(LabError, match=message) as caught:
        data.load(write(name, content))
    assert "\n" not in str(caught.value)


def test_missing_file_suggests_its_neighbour(write):
    path = write("reviews.csv", "text,label\n")
    with pytest.raises(LabError, match=r"no file .*review\.csv\. In that folder: reviews\.csv"):
        data.load(path.with_name("review.csv"))


def test_the_ways_out_that_messages_offer_work(write):
    path = write("a.csv", b"text,label\ncaf\xe9,a\n,b\ntea,b\n")
    dataset = data.load(path, encoding="cp1252", drop_empty=True)
    assert dataset["text"][:] == ["café", "tea"]
    path = write("b.csv", "text\tlabel\nx, y\ta\n'z\tb\n".encode("utf-16"))
    assert data.load(path, encoding="utf-16", separator="\t")["text"][:] == ["x, y", "'z"]
    path = write("c.csv", "text;label\nA, b and c;x\nB;y\n")
    assert data.load(path, separator=";")["text"][:] == ["A, b and c", "B"]
    path = write("d.tsv", 'label\ttext\ny\t"Broken\nx\tcalled "it"\n')
    assert data.load(path, quotes=False)["text"][:] == ['"Broken', 'called "it"']
    path = write("e.csv", "text,label\nx,N/A\ny,a\nz,b\n")
    assert data.load(path, drop_empty=True)["text"][:] == ["y", "z"]
    with pytest.raises(LabError, match="'klingon' is unknown"):
        data.load(path, encoding="klingon")


def test_latin_1_never_loads_garbage(write):
    path = write("a.csv", "text,label\nIt cost 20 €,a\nx,b\n".encode("cp1252"))
    with pytest.raises(LabError, match=r"control sign '.x80' on line 2.*cp1252"):
        data.load(path, encoding="latin-1")
    assert data.load(path, encoding="cp1252")["text"][0] == "It cost 20 €"


def test_what_spreadsheets_add_does_no_harm(write):
    path = write("a.csv", "sep=;\r\ntext;label;\r\nx, y;a;\r\nz;b;;\r\n;;\r\n")
    assert data.load(path, drop_empty=True)["text"][:] == ["x, y", "z"]
    with pytest.raises(LabError, match=r"no text in 'text' in 1 row .line 5."):
        data.load(path)


def test_case_of_the_ending_does_not_matter(write):
    assert len(data.load(write("A.CSV", "text,label\nx,a\ny,b\n"))) == 2
    assert (
        len(data.load(str(write("B.Jsonl", '{"text": "x", "label": "a"}\n{"text": "y", "label": "b"}\n'))))
        == 2
    )


def test_texts_of_several_lines_and_labels_that_are_words_stay_whole(write):
    content = 'text,label\n"Are you coming?\nWell, yes","yes"\n"He said ""no"", twice\n\nno",no\n'
    assert data.load(write("a.csv", content))["text"][0] == "Are you coming?\nWell, yes"


# --- duplicates and splits ---------------------------------------------------------------------------------------


def test_hash_ignores_case_spaces_and_unicode_form():
    assert data.text_hash("A  good\tfilm ") == data.text_hash("a good film")
    assert data.text_hash("caf\u00e9 ﬁne") == data.text_hash("cafe\u0301 fine")
    assert data.text_hash("a good film") != data.text_hash("a good film!")
    with pytest.raises(LabError, match="None"):
        data.text_hash(None)


def test_deduplicate_keeps_one_copy_and_no_contradiction(capsys):
    dataset = make([("Good", 1), ("bad", 0), ("good ", 1), ("so so", 1), ("So so", 0), ("new", 1)])
    assert data.deduplicate(dataset)["text"][:] == ["Good", "bad", "new"]
    assert (
        capsys.readouterr().out == "6 rows: 1 duplicate removed, 2 with conflicting labels dropped, 3 kept.\n"
    )


def test_deduplicate_without_labels():
    assert len(data.deduplicate(Dataset.from_dict({"text": ["a", "A", "b"]}))) == 2


def test_split_is_stratified_and_complete():
    splits = data.split(make(numbered(400)))
    assert {name: len(part) for name, part in splits.items()} == {"train": 320, "validation": 40, "test": 40}
    assert [sum(part["label"]) for part in splits.values()] == [80, 10, 10]
    assert len({text for part in splits.values() for text in part["text"]}) == 400


def test_split_does_not_depend_on_the_order_of_rows_or_on_the_process():
    rows = numbered(100)
    shuffled = random.Random(1).sample(rows, len(rows))
    first, second = data.split(make(rows)), data.split(make(shuffled))
    assert {name: part["text"][:] for name, part in first.items()} == {
        n: p["text"][:] for n, p in second.items()
    }
    assert data.split(make(rows), seed=1)["test"]["text"][:] != first["test"]["text"][:]
    # Written down once: the same rows on every machine and with every LAB_SEED.
    assert sorted(first["test"]["text"])[:3] == [f"sentence number {n}" for n in (24, 40, 54)]


def test_copies_never_reach_two_splits():
    rows = numbered(60)
    splits = data.split(make(rows + [(text.upper() + " ", label) for text, label in rows]))
    assert data.leaks(splits) == []
    assert sum(map(len, splits.values())) == 60


def test_leaks_name_the_text_and_the_splits():
    train = make([("Good film", 1), ("bad", 0)])
    test = make([("good  FILM", 1), ("new", 1)])
    assert data.leaks(DatasetDict(train=train, test=test)) == [data.Leak("Good film", ("train", "test"))]


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (make(numbered(100)), {"fractions": (0.8, 0.1)}, "three positive shares"),
        (make(numbered(100)), {"fractions": (0.8, 0.2, 0.2)}, "add up to 1"),
        (make(numbered(8)), {}, "8 different texts with 2 labels are too few"),
        (make([*numbered(40), ("rare", 2)], "abc"), {}, "'c' has 1 different texts"),
        (
            make([*numbered(40), *((f"rare {n}", 2) for n in range(7))], "abc"),
            {},
            "'c' has 7 .* at least 10: .*0.6, 0.2",
        ),
        (
            make([*numbered(40), *((f"rare {n}", 2) for n in range(4))], "abc"),
            {"fractions": (0.6, 0.2, 0.2)},
            "at least 5: ",
        ),
        (make([(text, 0) for text, _ in numbered(40)]), {}, "at least two labels"),
        (Dataset.from_dict({"text": ["a"] * 20}), {}, "no column 'label'; it has text"),
    ],
)
def test_split_refuses_what_it_cannot_divide(dataset, options, message):
    with pytest.raises(LabError, match=message):
        data.split(dataset, **options)


@pytest.mark.parametrize(
    "fractions, least", [((0.8, 0.1, 0.1), 10), ((0.6, 0.2, 0.2), 5), ((0.7, 0.2, 0.1), 10)]
)
def test_the_least_a_label_needs_is_enough_for_every_split(fractions, least):
    for more in range(12):
        sizes = (least, least + more, least + more // 3, 60 + more)
        rows = [(f"{label} {n}", label) for label, size in enumerate(sizes) for n in range(size)]
        splits = data.split(make(rows, "abcd"), fractions, seed=more)
        assert all(set(part["label"]) == {0, 1, 2, 3} for part in splits.values())


@pytest.mark.parametrize("count", [20, 23, 31])
def test_smallest_sets_still_give_every_label_to_every_split(count):
    splits = data.split(make([(f"t{n}", n % 2) for n in range(count)]))
    assert all(len(set(part["label"])) == 2 for part in splits.values())


# --- tokens --------------------------------------------------------------------------------------------------------


def test_tokenize_cuts_and_keeps_only_what_the_model_takes():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(assets.path("minilm"))
    splits = data.split(make(numbered(40)))
    tokens = data.tokenize(splits, tokenizer, max_length=5)
    assert set(tokens["train"].column_names) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert max(map(len, tokens["train"]["input_ids"])) == 5
    assert tokens["test"]["labels"][:] == splits["test"]["label"][:]
    assert len(data.tokenize(splits["test"], tokenizer, max_length=5)) == len(splits["test"])
    for wrong in (0, 100_000, 2.5, True):
        with pytest.raises(LabError, match="max_length"):
            data.tokenize(splits, tokenizer, max_length=wrong)


# --- saved and prepared ------------------------------------------------------------------------------------------


def small_course_set(monkeypatch, rows=400):
    """Let "sentiment" be a small set, so that preparing it is quick."""
    monkeypatch.setattr("labhelpers.data.sources.course_set", lambda name, neutral: make(numbered(rows)))


def texts(splits):
    """The texts of every split, in order."""
    return {name: part["text"][:] for name, part in splits.items()}


def test_prepared_makes_once_and_then_loads(monkeypatch, capsys):
    monkeypatch.setenv("LAB_PROFILE", "cpu")
    small_course_set(monkeypatch)
    first = data.prepared("sentiment")
    assert "making them now" in capsys.readouterr().out
    second = data.prepared("sentiment")
    assert capsys.readouterr().out == ""
    assert texts(first) == texts(second)


def test_prepared_gives_what_was_saved(monkeypatch):
    own = data.split(make([(f"mine {n}", n % 2) for n in range(50)]))
    data.save(own, "sentiment")
    assert texts(data.prepared("sentiment")) == texts(own)


def test_smoke_takes_a_sample_and_leaves_the_full_set_alone(monkeypatch, tmp_path):
    small_course_set(monkeypatch, rows=2_000)
    monkeypatch.setenv("LAB_PROFILE", "cpu")
    full = data.prepared("sentiment")
    monkeypatch.setenv("LAB_PROFILE", "smoke")
    small = data.prepared("sentiment")
    assert {name: len(part) for name, part in small.items()} == {"train": 480, "validation": 60, "test": 60}
    assert [sum(part["label"]) / len(part) for part in small.values()] == [0.25, 0.25, 0.25]
    data.save(small, "sentiment")
    monkeypatch.setenv("LAB_PROFILE", "cpu")
    assert texts(data.prepared("sentiment")) == texts(full)


def test_smoke_also_limits_a_full_set_that_day_2_saved(monkeypatch):
    data.save(data.split(make(numbered(1_000))), "sentiment")
    assert sum(map(len, data.prepared("sentiment").values())) == 600


def cut_arrow(folder):
    """Cut the data file of a split short."""
    file = next((folder / "train").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:-400])


def lose_split(folder):
    """Lose the list of splits."""
    (folder / "dataset_dict.json").unlink()


def scribble(folder):
    """Overwrite a description."""
    (folder / "train" / "state.json").write_text("{")


@pytest.mark.parametrize("damage", [cut_arrow, lose_split, scribble])
def test_damaged_folder_is_set_aside_and_made_again(monkeypatch, tmp_path, capsys, damage):
    small_course_set(monkeypatch)
    before = texts(data.prepared("sentiment"))
    folder = tmp_path / "workspace/data/sentiment-smoke"
    damage(folder)
    capsys.readouterr()
    assert texts(data.prepared("sentiment")) == before
    assert "set aside as broken-sentiment-smoke" in capsys.readouterr().out
    assert folder.with_name("broken-sentiment-smoke").is_dir()


def test_prepared_without_anything_lists_what_is_there():
    data.save(data.split(make(numbered(40))), "mine")
    with pytest.raises(LabError, match=r"Nothing is saved as 'yours'\. Saved: mine"):
        data.prepared("yours")


def test_save_refuses_what_it_cannot_keep(tmp_path):
    for name in ("../up", "", "a/b", 3):
        with pytest.raises(LabError, match="cannot name a data set"):
            data.save(DatasetDict(train=make(numbered(4))), name)
    with pytest.raises(LabError, match="got Dataset"):
        data.save(make(numbered(4)), "x")
    (tmp_path / "workspace").write_text("a file in the way")
    with pytest.raises(LabError, match=r"Could not \w+ .*workspace/data/x"):
        data.save(DatasetDict(train=make(numbered(4))), "x")


def test_save_that_fails_leaves_the_old_splits(monkeypatch):
    old = data.split(make(numbered(40)))
    data.save(old, "mine")
    with monkeypatch.context() as patch:

        def full(*_args):
            raise OSError(28, "No space left on device")

        patch.setattr(DatasetDict, "save_to_disk", full)
        with pytest.raises(LabError, match="No space left"):
            data.save(data.split(make(numbered(80))), "mine")
    assert texts(data.prepared("mine")) == texts(old)


# --- formats -----------------------------------------------------------------------------------------------------

TEXT_LABEL = {"text": "A fine film.", "label": 1}
NAMES = ["negative", "positive"]
INSTRUCTION = {"instruction": "Name the city.", "input": "Paris is in France.", "output": "Paris"}
ANSWER = {
    "question": "Name the city.",
    "context": "Paris is in France.",
    "answers": {"text": ["Paris"], "answer_start": [0]},
}
CHAT = {
    "messages": [
        {"role": "user", "content": "Name the city.\n\nParis is in France."},
        {"role": "assistant", "content": "Paris"},
    ]
}


def test_formats_are_recognised():
    rows = (TEXT_LABEL, INSTRUCTION, ANSWER, CHAT)
    assert [data.format_of(row) for row in rows] == ["text_label", "instruction", "question_answer", "chat"]
    with pytest.raises(LabError, match=r"\['prompt'\] fits none"):
        data.format_of({"prompt": "x"})
    with pytest.raises(LabError, match="A row is a dictionary"):
        data.format_of("text")


def test_one_content_in_three_formats():
    assert data.to_chat(INSTRUCTION) == CHAT
    assert data.to_instruction(CHAT) == INSTRUCTION
    assert data.to_question_answer(INSTRUCTION) == ANSWER
    assert data.to_question_answer(CHAT) == ANSWER
    assert (
        data.to_question_answer(
            {"question": "Name the city.", "context": ANSWER["context"], "answer": "Paris"}
        )
        == ANSWER
    )


def test_label_becomes_words_and_comes_back():
    task = data.to_instruction(TEXT_LABEL, labels=NAMES)
    assert task == {
        "instruction": "Classify the text as one of: negative, positive.",
        "input": "A fine film.",
        "output": "positive",
    }
    assert data.to_text_label(task) == {"text": "A fine film.", "label": "positive"}
    assert data.to_text_label(data.to_chat(TEXT_LABEL, labels=NAMES)) == {
        "text": "A fine film.",
        "label": "positive",
    }
    assert data.to_text_label(TEXT_LABEL) == TEXT_LABEL


def test_question_becomes_an_instruction():
    assert data.to_instruction(ANSWER) == {
        "instruction": "Answer the question with words from the text.",
        "input": "Text: Paris is in France.\nQuestion: Name the city.",
        "output": "Paris",
    }


def test_system_message_comes_first_once():
    messages = data.to_chat(CHAT, system="Be brief.")["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert data.to_chat({"messages": messages}, system="Other.")["messages"] == messages


@pytest.mark.parametrize(
    ("convert", "row", "message"),
    [
        (data.to_instruction, TEXT_LABEL, r"label=1 has no name.*labels=dataset"),
        (data.to_chat, {"text": "x", "label": 7}, "label=7 has no name"),
        (data.to_text_label, {"text": "x", "label": None}, "has no label"),
        (data.to_text_label, {"text": " ", "label": 1}, "text=' ' is not a text|empty"),
        (data.to_text_label, ANSWER, "not a class"),
        (data.to_question_answer, TEXT_LABEL, "has a label, not a question"),
        (data.to_question_answer, INSTRUCTION | {"output": "Rome"}, "does not stand word for word"),
        (
            data.to_question_answer,
            ANSWER | {"answers": {"text": ["France"], "answer_start": [3]}},
            "starts at character 12",
        ),
        (data.to_question_answer, ANSWER | {"answers": {"text": [], "answer_start": []}}, "answer=None"),
        (data.to_chat, INSTRUCTION | {"output": ""}, "output='' is empty"),
        (data.to_chat, {"messages": []}, "give a list"),
        (
            data.to_chat,
            {"messages": [{"role": "robot", "content": "x"}]},
            r"messages\[0\].*Each message needs",
        ),
        (data.to_chat, {"messages": CHAT["messages"][:1]}, "nothing to learn from"),
        (data.to_instruction, {"messages": CHAT["messages"] * 2}, "more than one question"),
    ],
)
def test_rows_that_do_not_fit_are_explained(convert, row, message):
    with pytest.raises(LabError, match=message) as caught:
        convert(row)
    assert "\n" not in str(caught.value)


def test_conversions_work_in_map():
    dataset = make(numbered(8))
    chat = dataset.map(data.to_chat, fn_kwargs={"labels": NAMES}, remove_columns=dataset.column_names)
    assert chat[0]["messages"][1] == {"role": "assistant", "content": "positive"}
    assert data.to_instruction(chat[0])["input"] == "sentence number 0"


def test_importing_data_loads_nothing_heavy():
    code = "import sys, labhelpers.data.tasks; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["torch", "transformers", "datasets", "pandas", "sklearn", "requests", "numpy"]
    result = subprocess.run(
        [sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
