"""The mini project: its log keeps the order of things, its checks see what a reviewer would ask about, its report stays the learner's."""

import json

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from labhelpers.core.settings import LabError
from labhelpers.lesson.project import checks as project_checks
from labhelpers.lesson.project import data as project_data
from labhelpers.lesson.project import log as project
from labhelpers.lesson.project import report as project_report
from labhelpers.lesson.project.checks import State
from labhelpers.training.training_arguments import check_name

LABELS = ("ham", "spam")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty workspace and progress folder."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("LAB_PROFILE", "cpu")


def split_of(*texts):
    """Texts with the labels ham, spam, ham, spam …"""
    features = Features(text=Value("string"), label=ClassLabel(names=list(LABELS)))
    return Dataset.from_dict({"text": list(texts), "label": [at % 2 for at in range(len(texts))]}, features)


def three_splits(train=("one", "two"), validation=("three", "four"), test=("five", "six")):
    return DatasetDict(train=split_of(*train), validation=split_of(*validation), test=split_of(*test))


def row(split, text, label="ham"):
    return {"split": split, "text": text, "label": label}


def sound_rows():
    return [row(split, f"{split} {label}", label) for split in project.SPLITS for label in LABELS]


def run(method, setting, seed, score=0.9):
    return {"kind": "run", "method": method, "setting": setting, "seed": seed, "score": score}


def sound_log():
    """A project as it should be: planned, measured against baselines, compared fairly, chosen, tested once."""
    runs = [run("lora", "1e-3", seed, 0.95) for seed in (1, 2, 3)] + [run("lora", "5e-4", 1, 0.9)]
    runs += [run("full", "5e-5", seed, 0.93) for seed in (1, 2, 3)] + [run("full", "1e-4", 1, 0.9)]
    return [
        {"kind": "plan", "question": "q", "metric": "F1", "margin": 0.02, "time": "2026-01-01"},
        *({"kind": "baseline", "name": name, "score": 0.5} for name in project_checks.BASELINES), *runs,
        {"kind": "choice", "method": "lora", "setting": "1e-3"}, {"kind": "opened", "method": "lora", "setting": "1e-3"},
        {"kind": "test", "score": 0.94, "baseline": 0.9, "difference": 0.04, "low": 0.01, "high": 0.07},
    ]  # fmt: skip


def open_titles(state):
    return [finding.title for finding in project_checks.check(state) if not finding.passed]


# --- checks ------------------------------------------------------------------------------------------------------


def test_an_empty_project_fails_every_check():
    findings = project_checks.check(State())
    assert len(findings) == len(project_checks.CHECKS)
    for finding in findings:
        assert not finding.passed, finding.title
        assert len(finding.step) > 20, f"{finding.title} says no next step"


def test_a_sound_project_passes_every_check():
    assert open_titles(State(sound_rows(), sound_log(), [])) == []


def without(kind, **having):
    return [e for e in sound_log() if e["kind"] != kind or any(e.get(k) != v for k, v in having.items())]


def moved(kind, place):
    log = without(kind)
    log.insert(place, next(entry for entry in sound_log() if entry["kind"] == kind))
    return log


def changed(kind, **fields):
    return [entry | fields if entry["kind"] == kind else entry for entry in sound_log()]


BROKEN = {
    "a copy in the test split": ({"rows": [*sound_rows(), row("test", "TRAIN,  ham!")]}, "No text in two splits"),
    "a copy but for its number": (
        {"rows": [*sound_rows(), row("train", project_data.clean("call 0123 now")), row("test", project_data.clean("Call 4567 now!"))]},
        "No text in two splits"
    ),
    "one text, two labels": ({"rows": [*sound_rows(), row("train", "train ham", "spam")]}, "No text with two labels"),
    "no spam to validate on": (
        {"rows": [r for r in sound_rows() if r["text"] != "validation spam"]}, "Each class in each split"
    ),
    "no plan": ({"entries": without("plan")}, "Planned before the first run"),
    "a plan without a margin": ({"entries": changed("plan", margin=None)}, "Planned before the first run"),
    "a plan after the runs": ({"entries": moved("plan", 5)}, "Planned before the first run"),
    "no majority": ({"entries": without("baseline", name="majority")}, "Both baselines"),
    "no TF-IDF": ({"entries": without("baseline", name="tf-idf")}, "Both baselines"),
    "one method": ({"entries": without("run", method="full")}, "Two methods"),
    "one setting more for LoRA": ({"entries": without("run", setting="1e-4")}, "Equal trials"),
    "two seeds": ({"entries": without("run", setting="5e-5", seed=3)}, "Three seeds"),
    "one seed three times": (
        {"entries": [*without("run", setting="5e-5"), *[run("full", "5e-5", 1)] * 3]}, "Three seeds"
    ),
    "no choice": ({"entries": without("choice")}, "Chosen on validation"),
    "chosen after the test": ({"entries": moved("choice", len(sound_log()) - 1)}, "Chosen on validation"),
    "chosen one that was not trained": ({"entries": changed("choice", setting="1e-2")}, "Chosen on validation"),
    "chosen the lesser one": (
        {"entries": changed("choice", method="full", setting="5e-5")}, "Chosen on validation"
    ),
    "test not opened": ({"entries": without("opened")}, "Tested once"),
    "test opened again": (
        {"entries": [*sound_log(), {"kind": "opened", "method": "full", "setting": "5e-5"}]}, "Tested once"
    ),
    "no test result": ({"entries": without("test")}, "Tested once"),
    "a question unanswered": ({"unwritten": ["The verdict"]}, "Report complete"),
    "no report": ({"unwritten": None}, "Report complete"),
}  # fmt: skip


@pytest.mark.parametrize("change, title", BROKEN.values(), ids=BROKEN)
def test_each_fault_is_found_by_its_own_check(change, title):
    sound = {"rows": sound_rows(), "entries": sound_log(), "unwritten": []}
    assert title in open_titles(State(**sound | change))


def test_the_lesser_one_may_be_chosen_with_a_reason():
    log = changed("choice", method="full", setting="5e-5", reason="no new library to maintain")
    assert open_titles(State(sound_rows(), log, [])) == []


def test_a_run_repeated_counts_once():
    log = [*sound_log(), *(entry for entry in sound_log() if entry["kind"] == "run")]
    assert open_titles(State(sound_rows(), log, [])) == []


# --- what lies on disk -------------------------------------------------------------------------------------------


def test_splits_come_back_without_the_test():
    project.keep("spam", three_splits())
    splits = project.splits("spam")
    assert list(splits) == ["train", "validation"]
    assert splits["validation"]["text"][:] == ["three", "four"]
    assert splits["train"].features["label"].names == list(LABELS)
    assert [row["split"] for row in project.rows("spam")] == [
        "train",
        "train",
        "validation",
        "validation",
        "test",
        "test",
    ]


def test_test_split_waits_for_the_choice():
    project.keep("spam", three_splits())
    with pytest.raises(LabError, match="Choose on validation first"):
        project.open_test("spam")
    project.note("spam", "choice", method="lora", setting="1e-3")
    assert project.open_test("spam")["text"][:] == ["five", "six"]
    assert [entry["kind"] for entry in project.entries("spam")] == ["choice", "opened"]


def test_running_a_notebook_twice_writes_nothing_twice():
    project.keep("spam", three_splits())
    for _ in range(2):
        project.note("spam", "plan", metric="F1", margin=0.02)
        project.note("spam", "run", method="lora", setting="1e-3", seed=1, score=0.123456789, seconds=3)
        project.note("spam", "choice", method="lora", setting="1e-3")
        project.open_test("spam")
    assert [entry["kind"] for entry in project.entries("spam")] == ["plan", "run", "choice", "opened"]
    project.note("spam", "run", method="lora", setting="1e-3", seed=1, score=0.2)
    assert project.latest("spam", "run")["score"] == 0.2


def test_a_summary_holds_the_last_of_each_thing():
    project.keep("spam", three_splits())
    for score in (0.1, 0.2):
        project.note("spam", "baseline", name="tf-idf", score=score)
        project.note("spam", "run", method="lora", setting="1e-3", seed=1, score=score)
    found = project.summary("spam")
    assert found["counts"]["train"] == {"ham": 1, "spam": 1}
    assert found["baselines"] == {"tf-idf": {"score": 0.2}}
    assert found["runs"] == [{"method": "lora", "setting": "1e-3", "seed": 1, "score": 0.2}]
    assert found["choice"] is None and found["test"] is None


def test_going_back_to_an_old_plan_is_a_change_too():
    project.keep("spam", three_splits())
    for margin in (0.02, 0.01, 0.02):
        project.note("spam", "plan", margin=margin)
    assert project.latest("spam", "plan")["margin"] == 0.02


def test_other_splits_begin_a_new_log():
    project.keep("spam", three_splits())
    project.note("spam", "baseline", name="majority", score=0.5)
    project.keep("spam", three_splits(train=("seven", "eight")))
    assert project.entries("spam") == []
    project.keep("spam", three_splits())
    assert project.latest("spam", "baseline")["score"] == 0.5


def test_a_damaged_line_costs_that_line_only():
    project.keep("spam", three_splits())
    project.note("spam", "baseline", name="majority", score=0.5)
    with open(project.folder("spam") / "log.jsonl", "a") as log:
        log.write('{"kind": "run", "meth')
    project.note("spam", "baseline", name="tf-idf", score=0.9)
    assert [entry["name"] for entry in project.entries("spam")] == ["majority", "tf-idf"]


@pytest.mark.parametrize("call, says", [
    (lambda: project.folder("../spam"), "cannot name a project"),
    (lambda: project.note("spam", "guess"), "no such kind"),
    (lambda: project.note("spam", "run", method="lora", setting="1e-3"), "say also seed="),
    (lambda: project.note("spam", "plan"), "has no splits yet"),
    (lambda: project.splits("spam"), "has no splits yet"),
    (lambda: project.keep("spam", DatasetDict(train=split_of("one", "two"))), "no split 'validation'"),
])  # fmt: skip
def test_mistakes_are_explained(call, says):
    with pytest.raises(LabError, match=says):
        call()


# --- the report --------------------------------------------------------------------------------------------------


def answered(text):
    for part in project_report.PARTS[:6]:
        text = text.replace(part.prompt, f"My words about {part.title}.")
    return text


def test_report_keeps_the_learners_words_and_renews_its_own():
    project.keep("spam", three_splits())
    path = project_report.write("spam")
    assert "Report complete. 6 parts" in path.read_text()
    notes = path.with_name("mini_project_notes.md")
    notes.write_text(answered(notes.read_text()))
    project.note("spam", "baseline", name="tf-idf", score=0.9123)
    text = project_report.write("spam").read_text()
    assert all(f"My words about {part.title}." in text for part in project_report.PARTS[:6])
    assert "| tf-idf | 91.2 |" in text
    assert "pass: Report complete" in text


OLD_REPORT = """\
# Mini project

<!-- generated: begin 0123456789ab -->
*Project “spam”, profile cpu.*

A line that somebody typed into the generated part.
<!-- generated: end -->

## The question

<!-- yours: begin question -->
Do grandmothers get other spam than I do?
<!-- yours: end question -->

Ünder no mark at all.

## The data

<!-- yours: begin data -->
*Write here: what was wrong with the raw texts, what you did about it, and what you left as it was.*
<!-- yours: end data -->
"""


def test_a_report_of_the_older_course_loses_no_word():
    """It held both the course's part and the learner's; a copy stays, and the words become the notes."""
    project.keep("spam", three_splits())
    path = project_report.path()
    path.parent.mkdir(parents=True)
    path.write_text(OLD_REPORT, encoding="utf-8")
    text = project_report.write("spam").read_text(encoding="utf-8")
    for words in ("Do grandmothers get other spam than I do?", "Ünder no mark at all."):
        assert words in text
        assert words in path.with_name("mini_project_notes.md").read_text(encoding="utf-8")
    assert OLD_REPORT in {other.read_text(encoding="utf-8") for other in path.parent.glob("mini_project*.md")}
    assert "The question" not in project_report.state("spam").unwritten
    assert "The data" in project_report.state("spam").unwritten


def test_report_of_a_finished_project_tells_it_all():
    project.keep("spam", three_splits())
    for entry in sound_log():
        fields = {key: value for key, value in entry.items() if key not in ("kind", "time")}
        project.note("spam", entry["kind"], **fields)
    text = project_report.write("spam").read_text()
    assert "| lora | 1e-3 | 3 | 95.0 | 95.0 | 95.0 |" in text
    assert "Chosen on validation: lora with 1e-3." in text
    assert (
        "a difference of +4.0 points, 95 % interval +1.0 to +7.0. The plan asked for 2.0 points: these data cannot tell"
        in text
    )


@pytest.mark.parametrize(
    "low, high, says", [(0.03, 0.05, "kept"), (-0.01, 0.01, "not reached"), (0.0, 0.05, "cannot tell")]
)
def test_a_verdict_needs_the_whole_interval(low, high, says):
    assert says in project_report.words(low, high, 0.02)


def test_checks_are_printed_with_the_next_step(capsys):
    assert not any(finding.passed for finding in project_report.check("spam"))
    printed = capsys.readouterr().out
    assert printed.count("Next:") == len(project_checks.CHECKS)
    assert "0 of 11 checks pass" in printed


# --- preparing the data ------------------------------------------------------------------------------------------


def test_glued_messages_come_apart_with_their_own_labels():
    glued = split_of('he said "hm\nspam\tWIN now\nham\tok', "buy")
    apart = project_data.separate(glued)
    assert list(zip(apart["text"], apart["label"], strict=True)) == [
        ('he said "hm', 0), ("WIN now", 1), ("ok", 0), ("buy", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("raw, clean", [
    ("I am  &lt;#&gt;  inches &amp; tall", "I am 0 inches & tall"),
    ("at &lt;TIME&gt;, call 0871", "at 0, call 0000"),
    ("a\n b", "a b"),
])  # fmt: skip
def test_cleaning_treats_both_kinds_of_number_alike(raw, clean):
    assert project_data.clean(raw) == clean


def test_one_text_of_each_kind_is_kept():
    texts = ["Call 123 now", "hello", "call 123, NOW!", "hello!", "bye"]
    kept = project_data.one_of_each(split_of(*texts))
    assert kept["text"][:] == ["Call 123 now", "hello", "bye"]


@pytest.mark.parametrize("texts", [
    ("1 out of 10", "9 out of 10"), ("C", "C++", "C#"), ("की", "का", "के", "को", "कि"), ("so so 😀", "so so 😡", "so so"),
    ("กา", "กี", "กู"), ("שָׁלוֹם", "שָׁלִים"),
])  # fmt: skip
def test_different_texts_of_any_script_are_no_copies(texts):
    assert len({project.same(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("copies", [
    ("Call now!", "call  NOW"), ("#sale at 5+", "sale, at 5"), ("Straße_1", "STRASSE 1"), ("cafe\u0301", "caf\u00e9"),
])  # fmt: skip
def test_copies_differ_in_case_spaces_and_punctuation(copies):
    assert len({project.same(text) for text in copies}) == 1


def test_a_baseline_that_would_know_no_word_counts_characters(capsys):
    chinese = [
        f"这个{a}{b}{'很好用' if n % 2 else '太差了'}{a}"
        for n, (a, b) in enumerate(zip("红蓝新旧小大高低长短", "炉壶机架椅表灯扇车书", strict=True))
    ]
    assert project_data.units(chinese) == {"analyzer": "char", "ngram_range": (1, 3)}
    assert "share a word" in capsys.readouterr().out
    assert project_data.units(["की", "का", "के", "को"]) != {}
    assert project_data.units(["a good film", "a bad film", "good food"]) == {}
    assert capsys.readouterr().out.count("share a word") == 1


def test_a_project_may_be_named_after_any_file(tmp_path):
    files = (
        "Отзывы.csv",
        "_reviews.csv",
        "my reviews (2).csv",
        "评论.csv",
        "-x.csv",
        "समीक्षा.tsv",
        "!.csv",
        "x" * 200,
    )
    for file in files:
        name = project.named(tmp_path / file)
        project.keep(name, three_splits())
        assert len(project.rows(name)) == 6
        check_name(f"mini-{name}-full")  # as the Sunday lesson names its runs
    assert project.named("spam") == "spam" and project.named("org/my-set") == "my-set"


def test_a_text_that_carries_two_labels_is_dropped():
    assert project_data.one_of_each(split_of("win", "WIN", "a", "b"))["text"][:] == ["a", "b"]


def test_log_is_readable_by_a_person():
    project.keep("spam", three_splits())
    lines = (project.folder("spam") / "splits.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"split": "train", "text": "one", "label": "ham"}


def test_whoever_begins_on_sunday_gets_saturdays_work(tmp_path, capsys):
    texts = [f"{name} number {word}" for word in "abcdefghijklmnopqrst" for name in ("love", "win")]
    lines = ["text,label", *(f"{text},{'spam' if 'win' in text else 'ham'}" for text in texts)]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    project_data.starter(str(tmp_path / "mine.csv"), "mine")
    kinds = [entry["kind"] for entry in project.entries("mine")]
    assert kinds == ["baseline", "baseline", "plan"]
    assert [finding.passed for finding in project_checks.check(project_report.state("mine"))[:5]] == [
        True
    ] * 5
    capsys.readouterr()
    project_data.starter(str(tmp_path / "mine.csv"), "mine")
    assert capsys.readouterr().out == ""
    assert len(project.entries("mine")) == 3
