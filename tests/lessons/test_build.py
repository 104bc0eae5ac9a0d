"""The notebooks on disk are what the manuscripts build, and building never loses a learner's work."""

import json
import re

import nbformat
import pytest

from labhelpers.core import answers, timetable
from labhelpers.core.settings import LabError, current
from labhelpers.lesson import quiz
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring

READY = [day for day in timetable.lessons() if day["status"] == "ready"]
IDS = [day["id"] for day in READY]
WIDTH = 96  # characters beside the file browser in a window of 1280 pixels


@pytest.fixture
def draft(tmp_path, monkeypatch):
    """Write a manuscript and return the entry of its lesson."""
    monkeypatch.setattr(manuscripts, "folder", lambda: tmp_path)

    def write(text):
        (tmp_path / "draft.py").write_text(text, encoding="utf-8")
        return {"id": "day99", "lesson": "draft"}

    return write


def lesson_path(day):
    return current().root / "lessons" / f"{day['lesson']}.ipynb"


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_notebook_on_disk_equals_a_fresh_build(day):
    manuscript = manuscripts.read(day)
    hint = "Run `make build`. (A lesson you are working in differs too: keep your copy under another name.)"
    assert lesson_path(day).read_text(encoding="utf-8") == authoring.notebook_text(day, manuscript), hint
    sealed = (answers.FOLDER / f"{day['id']}.json").read_text(encoding="utf-8")
    assert sealed == authoring.answers_text(manuscript), hint


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_every_function_or_class_is_tried_on_inputs_of_a_generator(day):
    lacking = [
        record["id"]
        for record in answers.exercises(day["id"])
        if re.search(rf"^(def|class) {record['answer']}\b", record["solution"], re.M)
        and "def inputs(" not in record["check"]
    ]
    assert lacking == []


def test_readme_shows_the_timetable():
    assert (current().root / "README.md").read_text(encoding="utf-8") == authoring.readme_text(), (
        "Run `make build`."
    )


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_learner_notebook_is_valid_and_shows_no_solution(day):
    notebook = nbformat.read(lesson_path(day), as_version=4)
    nbformat.validate(notebook)
    sources = "\n".join(cell.source for cell in notebook.cells)
    for record in manuscripts.read(day).exercises.values():
        assert record["solution"] not in sources
    assert "<solution>" not in sources


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_cells_are_short_and_lesson_has_its_anatomy(day):
    cells = nbformat.read(lesson_path(day), as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert max(len(source.splitlines()) for source in code) <= 20
    for call in ("settings.start(", "predict(", "record(", "quiz.ask(", "progress.checklist("):
        assert any(call in source for source in code), f"no cell calls {call}…)"
    assert 3 <= len(manuscripts.read(day).exercises) <= 6
    assert 3 <= len(manuscripts.read(day).questions) <= 5


@pytest.mark.parametrize("variant", ["learner", "solved"])
@pytest.mark.parametrize("day", READY, ids=IDS)
def test_code_fits_a_laptop_and_speaks_to_readers_only(day, variant):
    text = authoring.notebook_text(day, manuscripts.read(day), variant)
    cells = nbformat.reads(text, as_version=4).cells
    lines = [line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > WIDTH] == []
    assert [line for line in lines if re.search(r"# (fmt|isort|noqa)\b", line)] == []
    assert "<!-- asked" not in text


def test_words_to_tools_are_left_out_of_the_notebook(draft):
    day = draft("""\
# %% [markdown]
# <!-- asked: D99-T1 -->
# Words.

# %%
# fmt: off
values = [1,
          2]  # two of them
# fmt: on
long = values  # fmt: skip
values  # noqa: B018
""")
    words, code = manuscripts.read(day).cells
    assert words.source == "Words."
    assert code.source == "values = [1,\n          2]  # two of them\nlong = values\nvalues"


DRAWING = """\
# %%
import torch
from labhelpers import plots

scores = {"a": [1, 2], "b": [2, 3]}

# %% MARK
means = [sum(rows) / len(rows) for rows in scores.values()]
title = f"Up to {max(means):.1f}"
figure = plots.bars(
    list(scores),
    means,
    title=title,
)
plots.show(figure, alt=title)

# %%
NEXT
"""


def is_folded(draft, mark="", following="title = 1", edit=lambda text: text):
    day = draft(edit(DRAWING.replace("MARK", mark).replace("NEXT", following)))
    cells = manuscripts.read(day).cells
    assert authoring.folded(cells) <= {1}
    return authoring.folded(cells) == {1}


def test_a_cell_that_only_draws_is_folded(draft):
    assert is_folded(draft)
    assert not is_folded(draft, 'tags=["open"]')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title = f", "import math\ntitle = f"),
        ("means = [", "torch.manual_seed(0)\nmeans = ["),
        ("means = [", "def mean(rows): ...\n\n\nmeans = ["),
        ("list(scores),", "kinds(scores),"),
        ("plots.show(figure", "print(figure"),
        (
            "figure = plots.bars(\n    list(scores),\n    means,\n    title=title,\n)",
            "figure = plots.bars(list(scores), means)",
        ),
    ],
    ids=["imports", "calls a library", "defines", "calls the lesson's own", "shows no figure", "is short"],
)
def test_a_cell_that_does_more_stays_open(draft, old, new):
    assert not is_folded(draft, edit=lambda text: text.replace(old, new))


@pytest.mark.parametrize(
    "following", ["print(means)", "def use():\n    return means", "print([one for one in means])"]
)
def test_a_cell_whose_names_are_needed_later_stays_open(draft, following):
    assert not is_folded(draft, following=following)


def test_a_tag_folds_a_table(draft):
    def printed(text):
        return text.replace("plots.show(figure, alt=title)", "print(title)")

    assert not is_folded(draft, edit=printed)
    assert is_folded(draft, 'tags=["fold"]', edit=printed)


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_folded_cells_hide_nothing_that_a_learner_works_with(day):
    folded = [
        cell for cell in nbformat.read(lesson_path(day), as_version=4).cells if cell.metadata.get("cellView")
    ]
    for cell in folded:
        assert cell.cell_type == "code" and cell.metadata.jupyter == {"source_hidden": True}
        assert not re.search(
            r"\b(exercise|widgets|quiz|training|settings)\.|^(import|from|def|class) ", cell.source, re.M
        )


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_computable_quiz_keys_are_computed(day):
    proofs = [question["proof"] for question in answers.questions(day["id"]) if "proof" in question]
    assert proofs, "at least one key is proven by computation"
    for proof in proofs:
        exec(compile(proof, f"<quiz proof of {day['id']}>", "exec"), {})


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_every_choice_of_the_quiz_explains_itself(day):
    for question in answers.questions(day["id"]):
        for index, choice in enumerate(question["choices"]):
            reply = quiz.answer(question["id"], chr(97 + index))
            assert choice["explanation"] in reply
            assert reply.startswith("✔") == choice["right"]


def test_solved_variant_holds_the_solutions():
    day = READY[0]
    manuscript = manuscripts.read(day)
    notebook = authoring.notebook_text(day, manuscript, "solved")
    for record in manuscript.exercises.values():
        assert json.dumps(record["solution"].splitlines()[0])[1:-1] in notebook


def test_learner_edits_survive_a_build(tmp_path, monkeypatch):
    day = READY[0]
    path = tmp_path / "lesson.ipynb"
    path.write_text(lesson_path(day).read_text(encoding="utf-8"), encoding="utf-8")
    assert authoring.keep_edited(path) is None, "an untouched notebook is simply replaced"
    edited = path.read_text(encoding="utf-8").replace("settings.start", "my_own_words = 1; settings.start", 1)
    path.write_text(edited, encoding="utf-8")
    kept = authoring.keep_edited(path)
    assert kept.read_text(encoding="utf-8") == edited
    path.write_text("not even JSON", encoding="utf-8")
    second = authoring.keep_edited(path)
    assert second != kept
    assert second.read_text(encoding="utf-8") == "not even JSON"


def test_address_of_the_repository_brings_badge_and_bootstrap(monkeypatch):
    day = READY[0]
    manuscript = manuscripts.read(day)
    assert "colab" not in authoring.notebook_text(day, manuscript).lower()
    monkeypatch.setitem(timetable.load()["course"], "repository", "https://github.com/someone/course")
    text = authoring.notebook_text(day, manuscript)
    assert "colab.research.google.com/github/someone/course/blob/main/lessons" in text
    assert "clone" in text and "colab.prepare()" in text


def test_manuscript_mistakes_are_named(draft):
    with pytest.raises(LabError, match="has no manuscript"):
        manuscripts.read({"id": "day99", "lesson": "nothing"})
    cell = '# %% tags=["exercise"] exercise="day99/x" answer="x" minutes=1 difficulty=1\nx = ...\n'
    with pytest.raises(LabError, match="<solution>"):
        manuscripts.read(draft(cell))
    with pytest.raises(LabError, match="misconceptions"):
        manuscripts.read(draft(cell + "# <solution>\nx = 1\n# </solution>\n"))
