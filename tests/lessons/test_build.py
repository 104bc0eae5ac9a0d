"""The notebooks on disk are what the manuscripts build, and building never loses a learner's work."""

import json

import nbformat
import pytest

from labhelpers.core import answers, timetable
from labhelpers.core.settings import LabError, current
from labhelpers.lesson import quiz
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring

READY = [day for day in timetable.lessons() if day["status"] == "ready"]
IDS = [day["id"] for day in READY]


def lesson_path(day):
    return current().root / "lessons" / f"{day['lesson']}.ipynb"


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_notebook_on_disk_equals_a_fresh_build(day):
    manuscript = manuscripts.read(day)
    hint = "Run `make build`. (A lesson you are working in differs too: keep your copy under another name.)"
    assert lesson_path(day).read_text(encoding="utf-8") == authoring.notebook_text(day, manuscript), hint
    sealed = (answers.FOLDER / f"{day['id']}.json").read_text(encoding="utf-8")
    assert sealed == authoring.answers_text(manuscript), hint


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


@pytest.mark.parametrize("day", READY, ids=IDS)
def test_exercises_can_be_read_without_scrolling_sideways(day):
    cells = nbformat.read(lesson_path(day), as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    comments = [line for line in code.splitlines() if line.startswith("#")]
    assert comments
    too_long = [line for line in comments if len(line) > 100]  # what fits beside the file list at 1280 pixels
    assert not too_long


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


def test_manuscript_mistakes_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(manuscripts, "folder", lambda: tmp_path)
    day = {"id": "day99", "lesson": "draft"}
    with pytest.raises(LabError, match="has no manuscript"):
        manuscripts.read(day)
    cell = '# %% tags=["exercise"] exercise="day99/x" answer="x" minutes=1 difficulty=1\nx = ...\n'
    (tmp_path / "draft.py").write_text(cell, encoding="utf-8")
    with pytest.raises(LabError, match="<solution>"):
        manuscripts.read(day)
    (tmp_path / "draft.py").write_text(cell + "# <solution>\nx = 1\n# </solution>\n", encoding="utf-8")
    with pytest.raises(LabError, match="misconceptions"):
        manuscripts.read(day)
