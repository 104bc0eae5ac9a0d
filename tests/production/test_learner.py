"""A learner who types what the lessons of Weeks 3 and 4 say ends with a repository that a stranger rebuilds."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from labhelpers.production import checks, rebuild, scaffold, trial
from labhelpers.tools import cli

# What somebody writes first on each day, and how the answer begins to help: file, ours, theirs, words of the reply.
FIRST_TRIES = {
    "day11": ("src/tracking.py", '{f"{name}.{inner}": each for inner, each in flat(value).items()}', "flat(value)", "no name has a dot"),
    "day12": ("dvc.yaml", "params: [task, model, finetune]", "params: [task, finetune]", "uses model of params.yaml"),
    "day13": ("src/files.py", 'part.write_text(text, encoding="utf-8")\n    os.replace(part, path)', 'path.write_text(text, encoding="utf-8")', "writes into the file itself"),
    "day14": ("dvc.yaml", "      - data/finetuning/train.jsonl\n      - data/finetuning/test.jsonl", "      - data/finetuning/test.jsonl", "reads data/finetuning/train.jsonl"),
    "day15": ("src/registry.py", 'if found["low"] > 0:', 'if found["mean"] > -1:', "no better takes the place"),
    "day18": ("src/evaluation/behaviour.py", "stats.t.ppf(0.975, len(sums) - 1)", "1.96", "not 1.96"),
    "day19": ("src/serving/app.py", '"max_length": 2000,', '"max_length": 20_000,', "a text of 2,001 characters comes through"),
    "day20": ("src/publish.py", "-math.floor(math.log10(half))", "2 * (half > -1)", "half the interval's width sets the decimals"),
}  # fmt: skip
DAYS = [*FIRST_TRIES, "day21"]
TINY = {
    "classify": {"rows": 60, "max_length": 24, "epochs": 1},
    "generate": {"rows": 16, "max_length": 192, "epochs": 1, "answer_tokens": 4},
}


def lab(*words):
    """The command `lab project …`: its exit code and what it says."""
    done = CliRunner().invoke(cli.app, ["project", *map(str, words)])
    return done.exit_code, done.output + (f"{done.exception}" if done.exit_code else "")


def git(folder, *command):
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder, message):
    git(folder, "add", "--all"), git(folder, "commit", "-qm", message)


def dvc(folder, *command):
    done = trial.run(folder, [*rebuild.DVC, *command], 600)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def python(folder, *words):
    done = trial.run(folder, [sys.executable, *words], 300)
    assert not done.returncode, done.stdout + done.stderr


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def set_values(folder, **values):
    """Change settings in params.yaml, as with an editor."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text, found = re.subn(rf"^(  {key}: )\S+", rf"\g<1>{value}", text, flags=re.M)
        assert found == 1, key
    path.write_text(text, encoding="utf-8")


def a_day(folder, day):
    """Untouched, each piece of the day is called by its name; a first try is told what is wrong; then it is right."""
    pieces = [piece for piece in checks.PIECES if piece.day == day]
    code, said = lab("check", folder, "--day", day)
    assert code == 0 and said.count("not written yet") == len(pieces), said
    assert all(f"○ {piece.file} · {piece.name}" in said for piece in pieces)
    name, ours, theirs, reply = FIRST_TRIES[day]
    scaffold.fill(folder, DAYS[DAYS.index(day) + 1])
    edit(folder / name, ours, theirs)
    code, said = lab("check", folder, "--day", day)
    assert code == 1 and f"✘ {name}" in said and reply in said, said
    code, shown = lab("reference", name, "--folder", folder)
    assert code == 0 and ours in shown
    edit(folder / name, theirs, ours)
    code, said = lab("check", folder, "--day", day)
    assert code == 0 and said.count("✔") == len(pieces), said


def ran(said):
    """The stages that ran, of the three."""
    return re.findall(r"Running stage '(\w+)'", said)


def the_pipeline_runs(folder):
    """All of it once, then nothing; then what depends on what changed, and nothing else."""
    assert ran(dvc(folder, "repro")) == ["prepare_data", "finetune_model", "evaluate_model"]
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert found["score_low"] <= found["score"] <= found["score_high"] and found["examples"] > 3
    assert "% interval" in (folder / "report.md").read_text(encoding="utf-8")
    commit(folder, "First result")
    said = dvc(folder, "repro")
    assert ran(said) == [] and len(re.findall(r"Stage '\w+' didn't change, skipping", said)) == 3
    for change, first in (({"validation": 0.2}, "prepare_data"), ({"lora_r": 2}, "finetune_model")):
        set_values(folder, **change)
        assert ran(dvc(folder, "repro", "--dry"))[0] == first
        git(folder, "checkout", "params.yaml")
    set_values(folder, resamples=500)
    assert ran(dvc(folder, "repro")) == ["evaluate_model"]
    again = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert again["score"] == found["score"] and again["examples"] == found["examples"]
    commit(folder, "Fewer resamples")


def a_stranger_has_it(folder, shelf):
    """A remote that git names, a clone in an empty folder: `dvc pull` brings the files, and a run the number."""
    dvc(folder, "remote", "add", "--default", "shelf", str(shelf))
    dvc(folder, "push")
    commit(folder, "A shelf for the data")
    clone = shelf.with_name("clone")
    git(shelf, "clone", "--quiet", str(folder), str(clone))
    dvc(clone, "pull")
    for name in ("predictions.csv", "models/adapter/adapter_model.safetensors", "data/finetuning/test.jsonl"):
        assert (clone / name).read_bytes() == (folder / name).read_bytes(), name
    it_is_rebuilt(folder)


def it_is_rebuilt(folder):
    code, said = lab("check", folder, "--day", "day14", "--rebuild")
    assert code == 0 and "✔ fresh clone: rebuilt; score" in said, said


@pytest.mark.parametrize("task", ["classify", pytest.param("generate", marks=pytest.mark.heavy)])
def test_the_lessons_of_week_3_are_played(tmp_path, quick_stages, task):
    folder = tmp_path / "project"
    code, said = lab("new", folder, "--task", task)
    assert code == 0 and f"lab project check {folder}" in said
    set_values(folder, **TINY[task])
    for day in ("day11", "day12", "day13"):
        a_day(folder, day)
    commit(folder, "Scripts that stand alone")
    code, said = lab("check", folder, "--day", "day14", "--fresh-clone")
    assert code == 1 and "is here and not in git: it is ignored by .gitignore" in said
    a_day(folder, "day14")
    commit(folder, "A pipeline, and src/models in git")
    the_pipeline_runs(folder)
    a_day(folder, "day15")
    commit(folder, "Promotion by evidence")
    a_stranger_has_it(folder, tmp_path / "shelf")


def test_week_4_ends_with_a_release_that_rebuilds(tmp_path, quick_stages):
    folder = tmp_path / "project"
    assert lab("new", folder, "--at", "day18")[0] == 0
    set_values(folder, **TINY["classify"])
    dvc(folder, "repro")
    commit(folder, "What Week 3 leaves")
    for day in ("day18", "day19", "day20"):
        a_day(folder, day)
        commit(folder, f"The pieces of {day}")
    python(folder, "-m", "src.serving.model", "--source", "models/adapter")
    assert (folder / "models/served/model.safetensors").is_file()
    place = folder / "docs" / "words.yaml"
    words = dict.fromkeys(yaml.safe_load(place.read_text(encoding="utf-8")), "One sentence of mine.")
    place.write_text(yaml.safe_dump(words | {"model_licence": "mit"}), encoding="utf-8")
    python(folder, "-m", "src.publish")
    commit(folder, "Cards and report, made from the run")
    git(folder, "tag", "--annotate", "v1.0.0", "--message", "First release")
    code, said = lab("check", folder, "--final")
    assert code == 0 and said.splitlines()[-1] == "8 of 8 points", said


def test_weekend_3_is_played_with_a_file_of_ones_own(tmp_path, quick_stages):
    own, folder = tmp_path / "complaints.csv", tmp_path / "own"
    rows = [
        f'"{word}, number {at}",{label}'
        for at in range(24)
        for word, label in (("late again", "parcel"), ("charged twice", "money"))
    ]
    own.write_text("\n".join(["complaint,team", *rows, ",money", rows[0]]) + "\n", encoding="utf-8")
    assert lab("new", folder, "--data", own, "--at", "day16")[0] == 0
    done = trial.run(folder, ["python", "-m", "src.data.prepare_finetuning_data"])
    assert done.returncode == 2 and "with the columns text and label" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    raw = folder / "data/raw/complaints.csv"
    edit(raw, "complaint,team", "text,label")
    dvc(folder, "add", "data/raw/complaints.csv")
    set_values(folder, **TINY["classify"])
    commit(folder, "The columns have the names that the script asks for")
    the_pipeline_runs(folder)
    it_is_rebuilt(folder)  # without a remote, from this folder's own cache
