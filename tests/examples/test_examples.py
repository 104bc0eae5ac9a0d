"""Every program to take away runs on two files, saves what loads again, and imports nothing of the course."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from labhelpers.core.settings import current
from labhelpers.data import samples

FOLDER = current().root / "lessons" / "examples"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py"))
TRAINERS = [
    name for name in PROGRAMS if re.search("beginner|intermediate", name) and name != "qlora_intermediate"
]
CHATS = ["sft", "qlora_intermediate"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two small files of real texts, and two of conversations; the second of each has another form or size."""
    ours, folder = samples.write(), tmp_path_factory.mktemp("tables")
    sentences, headlines = (
        pd.read_csv(ours / "sentences.csv"),
        pd.read_json(ours / "headlines.jsonl", lines=True),
    )
    # A label may be called None, and an empty cell is no label.
    few = sentences.groupby("label").head(6).replace("negative", "None")
    few.loc[len(sentences)] = ["nobody rated this", ""]
    few.to_csv(folder / "two.csv", index=False)
    headlines.groupby("label").head(6).to_json(folder / "five.jsonl", lines=True, orient="records")
    chat = pd.read_json(ours / "chat.jsonl", lines=True)
    for name, rows in (("chat", chat.head(4)), ("longer", chat.tail(6))):
        rows.to_json(folder / f"{name}.jsonl", lines=True, orient="records")
    return folder


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a program as `python program.py options…` in an empty folder; what it printed."""

    def start(program, *options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{program}.py", *map(str, options)])
        runpy.run_path(str(FOLDER / f"{program}.py"), run_name="__main__")
        return capsys.readouterr().out

    return start


def differs(printed):
    """By how much a model that was loaded again differs from the one that was saved."""
    found = re.search(r"it differs by (\S+)\.$", printed, re.M)
    return float(found[1]) if found else 0.0 if "the same" in printed else 1.0


@pytest.mark.parametrize("file", ["two.csv", "five.jsonl"])
@pytest.mark.parametrize("program", TRAINERS)
def test_a_trainer_saves_what_loads_again(run, tables, tmp_path, program, file):
    printed = run(program, "--data", tables / file, "--epochs", 1, "--output", tmp_path / "model")
    assert differs(printed) < 1e-3
    weights = list((tmp_path / "model").glob("*.safetensors"))
    if (names := tmp_path / "model" / "labels.json").is_file() and file == "two.csv":
        assert names.read_text() == '["None", "positive"]'
    assert weights and not list((tmp_path / "model").glob("*.bin"))
    if program in ("full_beginner", "lora_beginner"):
        printed = run(
            "evaluate", "--model", tmp_path / "model", "--data", tables / file, "--baseline", tables / file
        )
        assert re.search(r"the model: \d+\.\d% right \(95 % interval", printed) and "word counts: " in printed


@pytest.mark.parametrize("file", ["chat.jsonl", "longer.jsonl"])
@pytest.mark.parametrize("program", CHATS)
def test_a_chat_trainer_saves_what_loads_again(run, tables, tmp_path, program, file):
    printed = run(program, "--data", tables / file, "--epochs", 1, "--output", tmp_path / "model")
    assert differs(printed) < 1e-2
    assert list((tmp_path / "model").glob("*.safetensors"))


@pytest.mark.parametrize("file", ["two.csv", "five.jsonl"])
def test_the_six_looks_are_taken(run, tables, file):
    printed = run("debug", "--data", tables / file)
    assert [line[0] for line in printed.splitlines() if line[:1].isdigit()] == list("123456")


@pytest.mark.parametrize("file", ["two.csv", "five.jsonl"])
def test_tuning_judges_with_fresh_rows_and_seeds(run, tables, file):
    printed = run("tune", "--data", tables / file, "--trials", 2, "--epochs", 1)
    assert "learning_rate" in printed and "Found minus usual" in printed


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_file_that_is_missing_or_has_other_columns_gets_the_next_step(run, tmp_path, program):
    (tmp_path / "odd.csv").write_text("words,stars\ngood,5\n")
    (tmp_path / "odd.jsonl").write_text('{"words": "good"}\n')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "labels.json").write_text("[]")
    model = ("--model", tmp_path / "model") if program == "evaluate" else ()
    for file in ("missing.csv", "odd.jsonl" if program in CHATS else "odd.csv"):
        with pytest.raises(SystemExit, match=r"[Gg]ive .*(text|messages)"):
            run(program, "--data", file, *model)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_stands_alone_and_is_short(program):
    text = (FOLDER / f"{program}.py").read_text(encoding="utf-8")
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "labhelpers" not in imported and not imported & set(PROGRAMS)
    assert len(text.splitlines()) <= 80


def test_the_readme_says_when_to_take_each():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\.py\]", text, re.M)) == PROGRAMS
    assert all(Path(FOLDER, f"{name}.py").is_file() for name in PROGRAMS)
