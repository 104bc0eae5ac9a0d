"""The project of Weeks 3 and 4: made without harm, judged by what it does, rebuilt by a stranger."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from labhelpers import production
from labhelpers.core.settings import LabError, current
from labhelpers.production import checks, rebuild, scaffold, trial

DAYS = [f"day{number}" for number in range(11, 17)]
NAME = re.compile(r"(?:def )?(\w+)[(:/]")  # of what a stub stands for
ALL_FILES = [path.relative_to(scaffold.source()).as_posix() for path in scaffold._sources()]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A project as somebody gets it on Day 11."""
    return production.new(tmp_path_factory.mktemp("place") / "mine")


@pytest.fixture
def solved(untouched, tmp_path):
    """A copy of it with every gap filled by ours."""
    import shutil

    folder = tmp_path / "solved"
    shutil.copytree(untouched, folder)
    scaffold.fill(folder)
    return folder


def git(folder, *command):
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout


def dvc(folder, *command):
    done = trial.run(folder, [*rebuild.DVC, *command], 600)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def test_a_new_project_is_one_commit_with_the_raw_data_in_dvc(untouched):
    assert git(untouched, "log", "--format=%s").split("\n")[0] == "Start the project"
    assert not git(untouched, "status", "--porcelain")
    tracked = git(untouched, "ls-files").split()
    assert "data/raw/sentences.csv.dvc" in tracked and "data/raw/sentences.csv" not in tracked
    assert (untouched / "data/raw/sentences.csv").is_file()


def test_somebody_whom_git_does_not_know_keeps_a_blank_identity(tmp_path, monkeypatch, capsys):
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = production.new(tmp_path / "project")
    assert "git config user.name" in capsys.readouterr().out
    assert not (tmp_path / "none").exists() and "Course learner" in git(made, "log", "--format=%an")


def test_nothing_is_made_where_something_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(LabError, match="Name another folder"):
        production.new(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["note.txt"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"task": "translate"}, "classify, generate"),
        ({"at": "day7"}, "day11 to day20"),
        ({"data": "nowhere.csv"}, "nowhere.csv is no"),
    ],
)
def test_a_wrong_wish_is_told_and_nothing_made(tmp_path, options, told):
    with pytest.raises(LabError, match=re.escape(told)):
        production.new(tmp_path / "mine", **options)
    assert not (tmp_path / "mine").exists()


def test_never_inside_another_repository():
    with pytest.raises(LabError, match="outside of it"):
        production.new(current().root / "workspace-project")


@pytest.mark.parametrize("at", [*DAYS, None])
@pytest.mark.parametrize("name", ALL_FILES)
def test_each_file_can_be_read_on_each_day(name, at):
    text = scaffold.render((scaffold.source() / name).read_text(encoding="utf-8"), at)
    assert "<gap" not in text and "solution>" not in text
    if name.endswith(".py"):
        nodes = ast.walk(ast.parse(text, name))
        open_ = [node for node in nodes if isinstance(node, ast.Expr) and ast.unparse(node) == "..."]
        assert at or open_ == []
    elif at is None:
        assert "..." not in re.sub(r'"[^"\n]*"', "", text)


def test_what_is_not_written_is_not_wrong(untouched, capsys):
    found = checks.findings(untouched)
    assert {one.state for one in found} == {"open"} and len(found) == len(checks.PIECES)
    assert production.check(untouched) and "not written yet" in capsys.readouterr().out


def test_every_gap_is_judged():
    gaps = {piece for name in ALL_FILES for piece in _pieces(name)}
    assert gaps == {(piece.file, piece.name) for piece in checks.PIECES} | {(".gitignore", "models")}


def _pieces(name):
    for _, stub, _ in scaffold.gaps(scaffold.source() / name):
        yield name, NAME.search(stub)[1]


def test_our_own_answers_pass(solved, quick):
    found = checks.findings(solved)
    assert {one.state for one in found} == {"right"}, [one for one in found if one.problem]


def test_filling_leaves_what_somebody_wrote(untouched, tmp_path):
    import shutil

    folder = tmp_path / "mine"
    shutil.copytree(untouched, folder)
    path = folder / "src/files.py"
    path.write_text(path.read_text().replace("    ...", "    path.write_text(text)"), encoding="utf-8")
    changed = scaffold.fill(folder)
    assert "src/files.py" not in changed and "path.write_text(text)" in path.read_text(encoding="utf-8")


def test_a_day_opens_the_project_and_keeps_what_was_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAB_PROJECT", str(tmp_path / "mine"))
    folder = production.ready("day13")
    assert folder == tmp_path / "mine" and "finetune_model" in (folder / "dvc.yaml").read_text(
        encoding="utf-8"
    )
    (folder / "src/files.py").write_text("# mine\n", encoding="utf-8")
    capsys.readouterr()
    production.ready("day14")
    assert "src/config.py" in capsys.readouterr().out
    assert (folder / "src/files.py").read_text(encoding="utf-8") == "# mine\n"


def test_our_version_is_shown_after_an_attempt(untouched, solved):
    with pytest.raises(LabError, match="Try once"):
        production.reference(untouched, "src/files.py")
    assert "os.replace" in production.reference(solved, "src/files.py")
    with pytest.raises(LabError, match=r"src/config\.py"):
        production.reference(solved, "src/none.py")


# What people write instead, and words of the reply. (file, ours, theirs, reply)
WRONG = [
    ("src/tracking.py", '{f"{name}.{inner}": each for inner, each in flat(value).items()}', "flat(value)", "no name has a dot"),
    ("src/tracking.py", "each for inner, each in flat(value).items()}", "each for inner, each in value.items()}", "can call itself"),
    ("src/tracking.py", 'text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)', "text = str(value)", "Join its parts"),
    ("src/tracking.py", 'found[str(name)] = value if isinstance(value, str | int | float | bool) else text', 'if value is not None:\n                found[str(name)] = value if not isinstance(value, list) else text', "has vanished"),
    ("src/tracking.py", "value if isinstance(value, str | int | float | bool) else text", "text", "Wanted: {'a.r': 8"),
    ("src/tracking.py", '_git(folder, "rev-parse", "HEAD")', '_git(folder, "rev-parse", "--short", "HEAD")', "keep all 40"),
    ("src/tracking.py", '_git(folder, "rev-parse", "HEAD")', '_git(".", "rev-parse", "HEAD")', "the commit of `folder`"),
    ("src/tracking.py", 'str(changes != "").lower()', 'str(changes != "")', "small letters"),
    ("src/tracking.py", '"none" if changes is None else str(changes != "").lower()', "str(bool(changes)).lower()", "claims to know"),
    ("src/tracking.py", '"status", "--porcelain", "--", *BY_HAND', '"status", "--porcelain"', "Ask only about BY_HAND"),
    ("src/tracking.py", 'commit or "none"', "commit", "without a commit"),
    ("src/tracking.py", '"params": _fingerprint(Path(folder) / "params.yaml")', '"params": _fingerprint(Path("params.yaml"))', "other settings"),
    ("src/tracking.py", 'for name in numbers if name != "step"}', "for name in numbers}", "metric of its own"),
    ("src/tracking.py", "for name, value in row.items() if isinstance(value, int | float)}", "for name, value in row.items()}", "A text is no metric"),
    ("src/tracking.py", 'step=row["step"])', "step=history.index(row))", "is no step"),
    ("src/tracking.py", 'for name in numbers if name != "step"}', 'for name in numbers if "loss" in name}', "Every number of every row"),
    ("src/tracking.py", 'mlflow.log_artifacts(str(folder), "adapter")', "mlflow.log_artifacts(str(folder))", "second argument"),
    ("src/tracking.py", "    if pickles :=", "    mlflow.log_artifacts(str(folder), 'adapter')\n    if pickles :=", "Look first"),
    ("src/tracking.py", 'Path(folder).rglob("*")', 'Path(folder).glob("*")', "`Path.rglob` looks there"),
    ("src/tracking.py", "    if not files:", "    if False:", "logged in silence"),
    ("src/tracking.py", "if path.suffix in PICKLES", "if path.suffix == '.pkl'", "args.bin went in"),
    ("src/tracking.py", "int(1000 * (time.time() - 3600 * hours))", "int(time.time() - 3600 * hours)", "counts milliseconds"),
    ("src/tracking.py", "attributes.status = 'RUNNING' and ", "", "has FINISHED"),
    ("src/tracking.py", "experiment_names=[_experiment()]", "search_all_experiments=bool(_experiment())", "another experiment"),
    ("src/tracking.py", "attributes.start_time < {before}", "attributes.start_time > {before}", "which way"),
    ("src/tracking.py", "[each.info.run_id for each in found]", "found", "An id is `run.info.run_id`"),
    ("src/tracking.py", "3600 * hours", "3600 * 12", "other hours than 12"),
    ("src/files.py", "    os.replace(part, path)\n", "    shutil.copy(part, path)\n    part.unlink()\n", "writes into the file itself"),
    ("src/files.py", "    path.parent.mkdir(parents=True, exist_ok=True)\n    part = path.with", "    part = path.with", "It stopped: FileNotFoundError"),
    ("src/files.py", "    part = path.with_name(f\".{path.name}.part\")", "    part = path.with_name(f\".{path.name}.part\")\n    path.unlink(missing_ok=True)", "already lost the old text"),
    ("src/config.py", 'key, found = ".".join(map(str, problem["loc"]))', 'key, found = problem["loc"][-1]', "Name the key"),
    ("src/config.py", 'return f"{key} is missing. Add it."', 'return f"{key} is wrong.\\nSee src/config.py."', "more than one line"),
    ("src/config.py", 'return f"{key} is missing. Add it."', 'return f"nobody reads {key}. Is it misspelt? Take it out, or use a key of src/config.py."', "says the same of an unknown key"),
    ("src/config.py", "is the text {found!r}. Write a number; 2e-4 needs a dot, 2.0e-4, to be one in YAML.", "is no number.", "Show what was found"),
    ("src/config.py", "return f\"{key} is {found!r}. {problem['msg']}.\"", "return f\"{key}: {problem['msg']}.\"", "Show the value"),
    ("src/data/prepare_finetuning_data.py", '(keys != "") & ~keys.duplicated()', '(keys != "") & ~keys.duplicated(keep="last")', "The first of equal texts stays"),
    ("src/data/prepare_finetuning_data.py", '(keys != "") & ~keys.duplicated()', '(keys != "") & ~table.duplicated()', "Compare what `key` gives"),
    ("src/data/prepare_finetuning_data.py", '(keys != "") & ~keys.duplicated()', '~table["text"].str.lower().str.split().str.join(" ").duplicated() & (keys != "")', "KeyError"),
    ("src/models/checkpoints.py", 'for part in ("train", "validation")]\n    return hashlib', 'for part in ("train",)]\n    return hashlib', "other validation texts"),
    ("src/models/checkpoints.py", 'chosen.model_dump_json(include={"task", "model", "finetune"})', "chosen.model_dump_json()", "evaluate.resamples"),
    ("src/models/checkpoints.py", ".read_bytes() for part", ".stat().st_size.to_bytes(8) for part", "other training texts"),
    ("src/data/prepare_finetuning_data.py", "    full = table[[all", "    full = table[[any", "still there"),
    ("src/data/prepare_finetuning_data.py", "    full = table[[all", "    table['seen'] = 1\n    full = table[[all", "it changes the table"),
    ("src/models/checkpoints.py", "hashlib.sha256(b\"\\0\".join(parts)).hexdigest()[:12]", "str(id(parts)) + str(__import__('time').time_ns())", "two calls give two"),
    ("src/models/checkpoints.py", 'include={"task", "model", "finetune"}', 'include={"task", "model"}', "another learning rate"),
    ("src/models/checkpoints.py", "if path.stat().st_size]", "]", "checkpoint-30"),
    ("src/models/checkpoints.py", 'folder.glob("checkpoint-*/trainer_state.json") if path.stat().st_size]', 'folder.glob("checkpoint-*/") for path in [path / "x"]]', "checkpoint-30"),
    ("src/models/checkpoints.py", "return str(max(whole", "return (max(whole", "Trainer wants a str"),
    ("src/models/checkpoints.py", 'key=lambda path: int(path.name.partition("-")[2])', "key=str", "As text, 9 is larger than 10"),
    ("src/evaluation/summary.py", '"gain": float(gain.mean())', '"gain": gain.astype("float32").mean()', "plain numbers"),
    ("src/evaluation/summary.py", "gain_low, gain_high = interval(gain, resamples)", "gain_low, gain_high = (float(end - table.baseline_score.mean()) for end in (low, high))", "item by item"),
    ("src/evaluation/summary.py", '"examples": len(table),', "", "Wanted: baseline, examples"),
    ("src/evaluation/summary.py", 'gain = (table["score"] - table["baseline_score"])', 'gain = (table["baseline_score"] - table["score"])', "fine-tuned minus baseline"),
    ("src/evaluation/summary.py", "low, high = interval(table", "low, high = (end / 2 for end in interval(table", "It stopped"),
    ("src/registry.py", "parts += [(one[shared].mean(axis=1).var()", "parts += [(0 * one[shared].mean(axis=1).var()", "seeds are left out"),
    ("src/registry.py", "if min(len(champion), len(challenger)) < 2:", "if not min(len(champion), len(challenger)):", "one seed"),
    ("src/registry.py", "    if len(shared) < len(champion.columns) or", "    if not len(shared) or False and", "different items"),
    ("src/registry.py", "challenger[shared].mean() - champion[shared].mean()", "champion[shared].mean() - challenger[shared].mean()", "challenger minus champion"),
    ("src/registry.py", 'if found["low"] > 0:', 'if found["mean"] > -1:', "no better takes the place"),
    ("src/registry.py", 'version, "held", reason)', 'version, "held", "no")', "does not tell the difference"),
    ("src/registry.py", 'return _crown(name, version, "the first")', "return False", "there is no champion"),
    ("src/registry.py", "return _crown(name, version, reason)", "return bool(client.set_registered_model_alias(name, CHAMPION, version))", "tell each change once"),
    ("src/registry.py", "            raise ValueError(f\"{name} has had", "            return None\n            raise ValueError(f\"{name} has had", "nothing to go back to"),
    ("src/registry.py", '_crown(name, earlier[-1], f"back from version {now.version}")', "mlflow.MlflowClient().set_registered_model_alias(name, CHAMPION, earlier[-1])", "does not tell the step back"),
    ("src/registry.py", "        return earlier[-1]", "        return True", "champion now"),
    ("src/registry.py", "_crown(name, earlier[-1]", "_crown(name, now.version", "the champion before"),
    ("dvc.yaml", "      - src/tracking.py\n", "", "reads src/tracking.py"),
    ("dvc.yaml", "params: [task, model, finetune]", "params: [task, model, finetune, evaluate]", "never uses"),
    ("dvc.yaml", "params: [task, model, finetune]", "params: [task, finetune]", "uses model"),
    ("dvc.yaml", "outs: [models/adapter]", "outs: []", "makes models/adapter"),
    ("dvc.yaml", "      - data/finetuning/validation.jsonl\n", "      - data/finetuning/validation.jsonl\n      - data/finetuning/test.jsonl\n", "test split"),
    ("dvc.yaml", "params: [task, model, evaluate]", "params: [task, evaluate]", "uses model"),
    ("dvc.yaml", "      - data/finetuning/test.jsonl\n", "", "reads data/finetuning/test.jsonl"),
    ("dvc.yaml", "      - src/evaluation/summary.py\n", "", "reads src/evaluation/summary.py"),
    ("dvc.yaml", "      - predictions.csv\n", "", "makes predictions.csv"),
    ("dvc.yaml", "cmd: python -m src.evaluation.evaluate", "cmd: python -m src.models.finetune", "does not run src.evaluation.evaluate"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs", "reply"), WRONG)
def test_a_wrong_answer_gets_its_own_reply(solved, quick, name, ours, theirs, reply):
    path = solved / name
    text = path.read_text(encoding="utf-8")
    assert ours in text
    path.write_text(text.replace(ours, theirs, 1), encoding="utf-8")
    (problem, *_) = [checks._judge(solved, piece, set()).problem for piece in tried(name, ours)[:1]]
    assert reply in problem, problem


def tried(name, ours):
    """The pieces of a file in whose solution these words of ours stand."""
    gaps = scaffold.gaps(scaffold.source() / name)
    holders = [NAME.search(stub)[1] for _, stub, solution in gaps if ours in solution]
    return [piece for piece in checks.PIECES if piece.file == name and piece.name in holders]


def test_each_piece_of_week_3_is_tried_with_wrong_answers():
    found = Counter(piece for name, ours, *_ in WRONG for piece in tried(name, ours)[:1])
    assert [piece.name for piece in checks.PIECES if piece.day < "day16" and found[piece] < 2] == []


def test_an_endless_answer_is_stopped(solved, monkeypatch):
    path = solved / "src/models/base.py"
    path.write_text("while True: pass\n", encoding="utf-8")
    monkeypatch.setattr(trial, "SECONDS", 8)
    piece = next(piece for piece in checks.PIECES if piece.name == "last_checkpoint")
    with pytest.raises(trial.Trouble, match="stopped after"):
        trial.answer(solved, "from src.models import base\nfound = 1", 5)
    assert piece.day == "day13"


def test_the_planted_fault_shows_in_a_fresh_clone_alone(untouched, tmp_path):
    import shutil

    folder = tmp_path / "mine"
    shutil.copytree(untouched, folder)
    ignored = (folder / ".gitignore").read_text(encoding="utf-8")
    scaffold.fill(folder)
    (folder / ".gitignore").write_text(ignored, encoding="utf-8")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    assert "in no commit" in rebuild.problem(folder)
    git(folder, "add", "--all"), git(folder, "commit", "-qm", "All of it")
    assert "is here and not in git: it is ignored by .gitignore:2:models/" in rebuild.problem(folder)


def test_an_absolute_path_is_found(solved):
    path = solved / "params.yaml"
    text = path.read_text(encoding="utf-8").replace("raw: data/raw", f"raw: {solved}/data/raw")
    path.write_text(text, encoding="utf-8")
    git(solved, "add", "--all"), git(solved, "commit", "-qm", "My own path")
    assert "params.yaml holds the path of this very folder" in rebuild.problem(solved)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate: 1.0e-3", "learning_rate: 1e-3", "2.0e-4"),
        ("raw: data/raw/sentences.csv", "raw: data/raw/none.csv", "prepare.raw"),
        ("task: classify", "task: [classify", "not YAML"),
        ("  epochs: ", "  epoch: ", "nobody reads finetune.epoch."),
    ],
)
def test_bad_settings_end_in_one_line(solved, old, new, told):
    path = solved / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    done = trial.run(solved, [sys.executable, "-m", "src.data.prepare_finetuning_data"])
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (['{"text": "a", "label": null}'] * 20, "0 rows can be used"),
        (['{"words": "a"}'], "label"),
        ([], "text"),
    ],
)
def test_raw_data_that_cannot_be_used_ends_in_one_line(solved, rows, told):
    (solved / "data/raw/own.jsonl").write_text("\n".join(rows), encoding="utf-8")
    path = solved / "params.yaml"
    path.write_text(path.read_text().replace("sentences.csv", "own.jsonl"), encoding="utf-8")
    done = trial.run(solved, [sys.executable, "-m", "src.data.prepare_finetuning_data"])
    last = [line for line in done.stderr.splitlines() if not line.startswith("prepare:")]
    assert done.returncode == 2 and len(last) == 1 and told in last[0], done.stderr


def test_a_full_disk_is_one_line_and_leaves_the_old_splits(solved):
    limits = pytest.importorskip("resource", reason="Windows limits no file")
    module = "src.data.prepare_finetuning_data"
    trial.run(solved, [sys.executable, "-m", module])
    before = {path.name: path.read_bytes() for path in (solved / "data/finetuning").iterdir()}
    limited = f"import resource, runpy; resource.setrlimit({limits.RLIMIT_FSIZE}, (2000, 2000))"
    done = trial.run(
        solved, [sys.executable, "-c", f"{limited}; runpy.run_module({module!r}, run_name='__main__')"]
    )
    assert done.returncode == 2 and "stays as it was" in done.stderr.splitlines()[-1], done.stderr
    assert before == {path.name: path.read_bytes() for path in (solved / "data/finetuning").iterdir()}
    assert [path.name for path in (solved / "data").iterdir() if path.name.startswith(".f")] == []


def test_the_pins_are_those_of_the_course():
    locked = (current().root / "requirements.lock").read_text(encoding="utf-8").lower()
    for line in (scaffold.source() / "requirements.txt").read_text(encoding="utf-8").split():
        assert re.search(rf"^{re.escape(line.lower())}[ ;\\]", locked, re.M) or line.startswith("torch=="), (
            line
        )


def test_the_project_imports_nothing_of_the_course():
    for path in scaffold.source().rglob("*.py"):
        assert not re.search(r"^\s*(from|import) labhelpers", path.read_text(encoding="utf-8"), re.M), path
    assert Path(scaffold.source() / "src").is_dir()


def test_luck_is_no_evidence_and_a_clear_gain_is():
    import importlib.util

    import numpy as np
    import pandas as pd

    spec = importlib.util.spec_from_file_location("registry", scaffold.source() / "src/registry.py")
    registry = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(registry)
    draw = np.random.default_rng(1)

    def model(chance):
        rows = [draw.random(200) < np.clip(chance + draw.normal(0, 0.02), 0, 1) for _ in range(3)]
        return pd.DataFrame(np.array(rows, float))

    lucky = clear = 0
    for _ in range(200):
        easy = np.clip(0.75 + draw.normal(0, 0.2, 200), 0.02, 0.98)
        lucky += registry.evidence(model(easy), model(easy))["low"] > 0
        clear += registry.evidence(model(easy - 0.25), model(easy))["low"] > 0
    assert lucky <= 10 and clear >= 180


TOGETHER = """
import pathlib, sys, time
import mlflow
from src import registry
mlflow.set_tracking_uri("sqlite:///probe.db")
compare = registry.evidence
def slowly(*both):
    pathlib.Path(f"here-{sys.argv[1]}").touch()
    last = time.monotonic() + 3
    while len(list(pathlib.Path().glob("here-*"))) < 2 and time.monotonic() < last:
        time.sleep(0.02)  # until the other has compared, too; with a lock it never does
    return compare(*both)
registry.evidence = slowly
registry.promote("probe", sys.argv[1])
"""


def test_two_processes_promote_at_once_and_one_of_them_meets_the_other(solved, quick):
    (solved / "together.py").write_text(TOGETHER, encoding="utf-8")
    code = f"""{checks.STORE}
import subprocess, sys
twin = trained(0.95)
registry.promote("probe", weak)
both = [subprocess.Popen([sys.executable, "together.py", str(each)]) for each in (strong, twin)]
found = {{"ended": [each.wait(120) for each in both], "versions": list(registry.history("probe")["version"])}}
winner = str(champion())
loser = ({{str(strong), str(twin)}} - {{winner}}).pop()
found["first"], found["winner"] = str(weak), winner
found["held"] = f"against version {{winner}}" in client.get_model_version("probe", loser).tags.get("held", "")
found["back"] = registry.roll_back("probe")
found["told"] = list(registry.history("probe")["version"])
"""
    found = trial.answer(solved, code, 200)
    first, winner = found["first"], found["winner"]
    assert found["ended"] == [0, 0] and found["versions"] == [first, winner] and found["held"]
    assert found["back"] == first and found["told"] == [first, winner, first]
