"""Judges the five functions of Day 11, of which `src/tracking.py` is made."""

from pathlib import Path

from . import trial

Problem = str | None


def flattened(copy: Path) -> Problem:
    """`tracking.flat` gives dotted names and readable values."""
    code = """
from src import tracking
deep = {"a": {"r": 8, "b": {"c": {"d": 0.5}}, "fast": True}, "r": 4, "names": ["x", "y"], "no": None}
before = repr(deep)
found = {"flat": tracking.flat(deep), "same": repr(deep) == before}
"""
    told = trial.answer(copy, code)
    found = told["flat"]
    if not isinstance(found, dict):
        return f"it gives {found!r} back. A dictionary is wanted: does it end with `return`?"
    if any(isinstance(value, dict) for value in found.values()):
        return "a dictionary is still among the values. Blocks may hold blocks: the function can call itself."
    if not any("." in name for name in found):
        return "no name has a dot. The name of each block stands in front: `a.b.c.d`."
    if "no" not in found:
        return (
            'the setting that is None has vanished. "Not set" is a choice, too: keep it as the text "None".'
        )
    if "[" in str(found.get("names")):
        return f"the list became {found['names']!r}. Join its parts with a comma and a blank."
    wanted = {"a.r": 8, "a.b.c.d": 0.5, "a.fast": True, "r": 4, "names": "x, y", "no": "None"}
    if found != wanted:
        return f"it gives {found}. Wanted: {wanted}."
    return None if told["same"] else "it changes the dictionary that it was given."


def traced(copy: Path) -> Problem:
    """`tracking.lineage` names code, data and settings of the folder that it is given."""
    code = """
import pathlib, subprocess, tempfile
from src import tracking
me = ["-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "commit.gpgsign=false"]
def git(folder, *words):
    return subprocess.run(["git", "-C", folder, *me, *words], capture_output=True, text=True).stdout.strip()
found = {}
with tempfile.TemporaryDirectory() as folder:
    place = pathlib.Path(folder)
    (place / "params.yaml").write_text("seed: 1")
    found["outside"] = tracking.lineage(folder)
    git(folder, "init", "-q")
    found["no commit"] = tracking.lineage(folder)
    git(folder, "add", "."), git(folder, "commit", "-qm", "one")
    found["head"], found["clean"] = git(folder, "rev-parse", "HEAD"), tracking.lineage(folder)
    (place / "results.json").write_text("{}")
    (place / "dvc.lock").write_text("a")
    found["results"] = tracking.lineage(place)
    (place / "params.yaml").write_text("seed: 2")
    (place / "dvc.lock").write_text("b")
    found["edited"] = tracking.lineage(place)
"""
    found = trial.answer(copy, code)
    outside, bare, clean, results, edited = (
        found[name] for name in ("outside", "no commit", "clean", "results", "edited")
    )
    tags = ["dvc_lock", "git_commit", "git_dirty", "params"]
    if not isinstance(clean, dict) or sorted(clean) != tags:
        return f"it gives {clean!r} back. Wanted is a dictionary with the keys {', '.join(tags)}."
    questions = (
        (clean["git_commit"] == found["head"][:7], "seven letters may name two commits one day: keep all 40."),
        (clean["git_commit"] != found["head"], "it does not name the commit of `folder`. `_git(folder, …)` asks there."),
        (clean["git_dirty"] in (True, False, "True", "False"), "a tag is a text, and searched in small letters: 'true', 'false'."),
        (clean["git_dirty"] != "false", "a tree without a change is not 'false'. git's answer is empty then, and that means clean."),
        (results["git_dirty"] != "false", "results that a program wrote make it 'true'. Ask only about BY_HAND."),
        (edited["git_dirty"] != "true", "an edited params.yaml does not make it 'true'."),
        (outside["git_dirty"] != "none", "outside a repository it claims to know the tree. `_git` gives None there."),
        ({outside["git_commit"], bare["git_commit"]} != {"none"}, "without a commit the tag is the text 'none'."),
        (clean["dvc_lock"] != "none", "without a dvc.lock its tag is the text 'none'."),
        (results["dvc_lock"] == edited["dvc_lock"], "another dvc.lock has the same fingerprint."),
        (results["params"] == edited["params"], "other settings have the same fingerprint."),
    )  # fmt: skip
    return next((sentence for wrong, sentence in questions if wrong), None)


STORE = """
import pathlib, time, mlflow
from src import tracking
mlflow.set_tracking_uri("sqlite:///probe.db")
mlflow.set_experiment("probe")
client = mlflow.MlflowClient()
"""


def curved(copy: Path) -> Problem:
    """`tracking.log_history` logs every number at its step, under its name."""
    code = f"""{STORE}
rows = [{{"loss": 0.7, "epoch": 0.1, "step": 10}}, {{"eval_loss": 0.6, "epoch": 0.1, "step": 10}},
        {{"train_loss": 0.55, "note": "resumed", "epoch": 0.2, "step": 20}}]
with mlflow.start_run() as run:
    try:
        tracking.log_history(rows)
        said = ""
    except mlflow.MlflowException as refused:
        said = str(refused)[:90]
points = {{key: [[each.step, each.value] for each in client.get_metric_history(run.info.run_id, key)]
          for key in client.get_run(run.info.run_id).data.metrics}}
found = {{"said": said, "points": points}}
"""
    told = trial.answer(copy, code)
    points = told["points"]
    if told["said"]:
        return f"MLflow refuses it: {told['said']} … A text is no metric: log what is an int or a float."
    if not points:
        return "nothing was logged. `mlflow.log_metrics({…}, step=…)` writes into the open run."
    if "step" in points:
        return "`step` became a metric of its own. It is the x axis: `step=row['step']`."
    if not {"loss", "eval_loss", "train_loss", "epoch"} <= points.keys():
        return (
            f"only {sorted(points)} arrived. Every number of every row is wanted, under the Trainer's name."
        )
    if points["loss"] != [[10, 0.7]] or points["train_loss"] != [[20, 0.55]]:
        return f"the loss of step 10 lies at {points['loss']}. A row's number, or its epoch, is no step."
    return None


def packed(copy: Path) -> Problem:
    """`tracking.log_adapter` keeps the files, and refuses pickles and emptiness."""
    code = f"""{STORE}
def listed(run_id, folder=None):
    for each in client.list_artifacts(run_id, folder):
        yield from listed(run_id, each.path) if each.is_dir else [each.path]
def tried(*names):
    place = pathlib.Path("probe-adapter") / str(time.time_ns())
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("weights")
    with mlflow.start_run() as run:
        try:
            tracking.log_adapter(place)
            error = ""
        except Exception as raised:
            error = f"{{type(raised).__name__}}: {{raised}}"
    return [error, sorted(listed(run.info.run_id))]
found = [tried("a.json", "b/model.safetensors"), tried("m.safetensors", "args.bin"),
         tried("m.safetensors", "deep/optimizer.pt"), tried()]
"""
    fine, pickle, deep, empty = trial.answer(copy, code)
    questions = (
        (fine[1] == ["a.json", "b/model.safetensors"], "the files lie at the top. Give the second argument: log_artifacts(folder, 'adapter')."),
        (fine[1] != ["adapter/a.json", "adapter/b/model.safetensors"], f"of a.json and b/model.safetensors arrived {fine[1]}. {fine[0]}"),
        ("adapter/args.bin" in pickle[1] and not pickle[0], "args.bin went in. It is a pickle: whoever opens it runs the code inside."),
        (not pickle[0].startswith("ValueError"), "a folder with a pickle is not refused. Raise ValueError: it was not saved the way somebody thinks."),
        (pickle[1], "it refuses, but after files were logged. Look first, then log."),
        ("args.bin" not in pickle[0], "the error does not name the file."),
        (not deep[0].startswith("ValueError"), "a pickle in a subfolder goes in. `Path.rglob` looks there, too."),
        (not empty[0].startswith("FileNotFoundError"), "a folder that is not there is logged in silence. Raise FileNotFoundError."),
        ("save_pretrained" not in pickle[0] or "save_pretrained" not in empty[0], "the errors do not tell the way out: save_pretrained."),
    )  # fmt: skip
    return next((sentence for wrong, sentence in questions if wrong), None)


def forsaken(copy: Path) -> Problem:
    """`tracking.abandoned` lists this experiment's old runs that say RUNNING."""
    code = f"""{STORE}
tracking._open(".")
here, made = mlflow.get_experiment_by_name(tracking._experiment()).experiment_id, {{}}
for name, age, ended, drawer in (("old", 30, False, here), ("young", 1, False, here), ("done", 30, True, here),
                                 ("elsewhere", 30, False, "0"), ("nearly", 11.9, False, here)):
    run = mlflow.MlflowClient().create_run(drawer, start_time=int(1000 * (time.time() - 3600 * age)))
    made[run.info.run_id] = name
    if ended:
        mlflow.MlflowClient().set_terminated(run.info.run_id)
def named(given):
    given = list(given) if isinstance(given, list | tuple) else [given]
    return sorted(made.get(each, "?") if isinstance(each, str) else type(each).__name__ for each in given)
found = [named(tracking.abandoned()), named(tracking.abandoned(hours=0.5))]
"""
    twelve, half = trial.answer(copy, code)
    if strange := set(twelve + half) - {"old", "young", "done", "elsewhere", "nearly"}:
        return f"a list of run ids is wanted, and it gives or holds {sorted(strange)[0]}. An id is `run.info.run_id`."
    replies = {
        "done": "a run that has FINISHED is among them. Ask for the status in the filter, too.",
        "elsewhere": "a run of another experiment is among them: `experiment_names=[_experiment()]`.",
        "young": "a run that began an hour ago is listed after 12 hours. Where do the hours come in, and which way?",
        "nearly": "a run of 11.9 hours is listed. If nobody says otherwise, it is 12.",
    }
    for name, reply in replies.items():
        if name in twelve:
            return reply
    if twelve != ["old"]:
        return "a run of 30 hours that says RUNNING was not found. MLflow counts milliseconds since 1970."
    return None if half == ["nearly", "old", "young"] else "other hours than 12 make no difference."
