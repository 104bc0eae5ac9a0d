"""Judges a learner's project by running what they wrote; each reply names the first thing that is wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.settings import LabError
from . import rebuild, recorded, scaffold, trial

Problem = str | None
NOTHING = "Something gives None back: does a way through the function end without `return`?"
MARKS = {"right": "✔", "wrong": "✘", "open": "○"}


@dataclass(frozen=True)
class Finding:
    """What was found about one piece of the project."""

    day: str
    file: str
    piece: str
    state: str  # "right", "wrong" or "open": still as delivered
    problem: str = ""


def check(folder: str | Path, day: str | None = None, fresh_clone: bool = False) -> bool:
    """Judge a project and print a line for each piece; nothing in it is changed.

    Args:
        folder: a project that `new` made.
        day: only what this day fills, such as "day13"; all if omitted.
        fresh_clone: also clone it into an empty folder, run the whole pipeline there, and compare the metrics.

    Returns:
        Whether nothing is wrong (what is not written yet is not wrong).

    Raises:
        LabError: when there is no project in the folder.
    """
    found = findings(folder, day)
    for one in found:
        print(f"{MARKS[one.state]} {one.file} · {one.piece}" + (f": {one.problem}" if one.problem else ""))
    rebuilt, told = rebuild.outcome(Path(folder)) if fresh_clone else (True, "")
    if fresh_clone:
        print(f"{MARKS['right' if rebuilt else 'wrong']} fresh clone: {told}")
    return rebuilt and all(one.state != "wrong" for one in found)


def findings(folder: str | Path, day: str | None = None) -> list[Finding]:
    """Judge each piece in a copy of the project."""
    folder = project_in(folder)
    untouched = set(scaffold.open_pieces(folder))
    with trial.copied(folder) as copy:
        return [_judge(copy, piece, untouched) for piece in PIECES if day in (None, piece.day)]


def project_in(folder: str | Path) -> Path:
    """The folder, if a project is in it."""
    folder = Path(folder).expanduser()
    if not (folder / "dvc.yaml").is_file():
        raise LabError(f"{folder} holds no project (no dvc.yaml). Make one: lab project new {folder}")
    return folder


@dataclass(frozen=True)
class Piece:
    """A gap of the project, and how to judge what stands there."""

    day: str
    file: str
    name: str
    judge: Callable[[Path], Problem]


def _judge(copy: Path, piece: Piece, untouched: set[tuple[str, str]]) -> Finding:
    if (piece.file, piece.name) in untouched:
        return Finding(piece.day, piece.file, piece.name, "open", "not written yet")
    try:
        problem = piece.judge(copy)
    except trial.Trouble as trouble:
        problem = f"{trouble} {NOTHING}" if "NoneType" in str(trouble) else str(trouble)
    return Finding(piece.day, piece.file, piece.name, "wrong" if problem else "right", problem or "")


def _first(found: dict[str, Any], *expected: tuple[str, Any, str]) -> Problem:
    """The sentence of the first value that is not what it should be."""
    return next((sentence for name, wanted, sentence in expected if found.get(name) != wanted), None)


def written(copy: Path) -> Problem:
    """`files.write` replaces in one step."""
    code = """
import os, pathlib
from src import files
found, place = {}, pathlib.Path("probe") / "deep" / "a.txt"
files.write(place, "one")
found["made"] = place.is_file() and place.read_text(encoding="utf-8") == "one"
files.write(place, "zwei \\u00e4")
found["second"] = place.read_text(encoding="utf-8") if place.is_file() else None
found["alone"] = [path.name for path in place.parent.glob("*")]
def killed(*args, **options):
    raise KeyboardInterrupt
os.replace = os.rename = pathlib.Path.replace = pathlib.Path.rename = killed
try:
    files.write(place, "three")
    found["moved"] = False
except KeyboardInterrupt:
    found["moved"] = True
found["kept"] = place.read_text(encoding="utf-8") if place.is_file() else None
"""
    found = trial.answer(copy, code)
    return _first(
        found,
        ("made", True, "it does not write the file, or not in a folder that is not there yet."),
        ("second", "zwei ä", "a second call does not replace the text (write it as UTF-8)."),
        ("moved", True, "it writes into the file itself: a kill leaves half of it. Write beside it, then os.replace."),
        ("kept", "zwei ä", "a kill just before the move has already lost the old text."),
        ("alone", ["a.txt"], "something is left beside the file when it is done."),
    )  # fmt: skip


def explained(copy: Path) -> Problem:
    """`config.explain` names the key and what to write."""
    code = """
from pydantic import ValidationError
from src import config
good = {"learning_rate": 1e-3, "epochs": 1.0, "batch_size": 8, "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.0,
        "seed": 0}
def told(**change):
    values = {key: value for key, value in (good | change).items() if value is not None}
    try:
        config.Finetune.model_validate(values)
    except ValidationError as error:
        problem = dict(error.errors()[0], loc=("finetune", *error.errors()[0]["loc"]))
        said = config.explain(problem)
        return said if isinstance(said, str) else repr(said)
found = [told(learning_rat=1.0), told(seed=None), told(learning_rate="2e-4"), told(lora_r=-3)]
"""
    unknown, missing, text, negative = trial.answer(copy, code)
    for said, key in zip(
        (unknown, missing, text, negative), ("learning_rat", "seed", "learning_rate", "lora_r"), strict=True
    ):
        if f"finetune.{key}" not in said:
            return (
                f"for a mistake in finetune.{key} it says {said!r}. Name the key, with its section and a dot."
            )
    if "\n" in unknown + missing + text + negative:
        return "it says more than one line. One line is read, five are not."
    if "2e-4" not in text or (text.count("2") < 2 and "dot" not in text):
        return f"for the text '2e-4' it says {text!r}. Show what was found, and how the number is written."
    if (
        len(
            {
                said.replace(key, "")
                for said, key in ((unknown, "learning_rat"), (missing, "seed"), (negative, "lora_r"))
            }
        )
        < 3
    ):
        return "it says the same of an unknown key, a missing one and a wrong value. Each has another cure."
    return (
        None if "-3" in negative else f"for lora_r = -3 it says {negative!r}. Show the value that was found."
    )


def cleaned(copy: Path) -> Problem:
    """`prepare.clean` leaves out empty rows and copies."""
    code = """
import pandas as pd
from src.data import prepare_finetuning_data as prepare
rows = [("Good film", "a"), ("  ", "a"), ("good  FILM", "b"), ("Bad film", "b"), ("fine", ""), ("fine", "b")]
table = pd.DataFrame(rows, columns=["text", "label"])
before = table.copy()
kept = prepare.clean(table)
chat = lambda ask, say: [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]
talks = pd.DataFrame({"messages": [chat("Why?", "So."), chat("why?", "Because."), chat("How?", "Thus.")]})
found = {"table": isinstance(kept, pd.DataFrame), "same": table.equals(before), "texts": list(kept["text"]),
         "labels": list(kept["label"]), "talks": len(prepare.clean(talks))}
"""
    found = trial.answer(copy, code)
    texts = found.get("texts", [])
    if "  " in texts or "" in found.get("labels", []):
        return "an empty text, or a row without a label, is still there."
    if "good  FILM" in texts and "Good film" in texts:
        return "'Good film' and 'good  FILM' are both still there. Compare what `key` gives, not the texts."
    return _first(
        found,
        ("texts", ["Good film", "Bad film", "fine"], f"it keeps {texts}. The first of equal texts stays, in the old order."),
        ("labels", ["a", "b", "b"], "the labels no longer belong to their texts."),
        ("talks", 2, "it cannot tell copies among conversations. `key` knows both forms."),
        ("same", True, "it changes the table that it was given."),
    )  # fmt: skip


SPLITS = """
import json, pathlib
folder = pathlib.Path("data/finetuning")
folder.mkdir(parents=True, exist_ok=True)
for part in ("train", "validation", "test"):
    (folder / f"{part}.jsonl").write_text(json.dumps({"text": part, "label": "a"}) + "\\n", encoding="utf-8")
from src import config
from src.models import checkpoints
chosen = config.load(pathlib.Path("params.yaml"))
def other(section, **change):
    return chosen.model_copy(update={section: getattr(chosen, section).model_copy(update=change)})
"""


def fingerprinted(copy: Path) -> Problem:
    """`checkpoints.fingerprint` changes with settings and data, and with nothing else."""
    code = f"""{SPLITS}
first = checkpoints.fingerprint(chosen)
found = {{"text": isinstance(first, str) and len(first) > 5, "again": checkpoints.fingerprint(chosen) == first,
  "rate": checkpoints.fingerprint(other("finetune", learning_rate=0.5)) != first,
  "base": checkpoints.fingerprint(other("model", base="another")) != first,
  "judge": checkpoints.fingerprint(other("evaluate", resamples=777)) == first}}
for part in ("train", "validation"):
    path = folder / f"{{part}}.jsonl"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"a"', b'"b"'))
    found[part] = checkpoints.fingerprint(chosen) != first
    path.write_bytes(kept)
"""
    return _first(
        trial.answer(copy, code),
        ("text", True, "it gives no text, or a very short one."),
        ("again", True, "two calls give two fingerprints. Python's own hash() does that between processes, too."),
        ("rate", True, "another learning rate has the same fingerprint: a run would go on from a stranger's checkpoint."),
        ("base", True, "another base model has the same fingerprint."),
        ("train", True, "other training texts of the same length have the same fingerprint."),
        ("validation", True, "other validation texts have the same fingerprint."),
        ("judge", True, "it changes with evaluate.resamples, which no training reads."),
    )  # fmt: skip


def resumed(copy: Path) -> Problem:
    """`checkpoints.last_checkpoint` finds the newest whole one."""
    code = """
import pathlib
from src.models import checkpoints
place = pathlib.Path("probe-checkpoints")
found = {"none": checkpoints.last_checkpoint(place)}
for step, state in ((9, "{}"), (10, "{}"), (20, None), (30, "")):
    (place / f"checkpoint-{step}").mkdir(parents=True)
    if state is not None:
        (place / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
last = checkpoints.last_checkpoint(place)
found["last"] = pathlib.Path(last).name if last else None
found["type"] = type(last).__name__
"""
    found = trial.answer(copy, code)
    replies = {
        "checkpoint-20": "it takes checkpoint-20, whose trainer_state.json was never written: the kill came first.",
        "checkpoint-30": "it takes checkpoint-30, whose trainer_state.json is empty: the kill came in the middle.",
        "checkpoint-9": "it takes checkpoint-9 before checkpoint-10. As text, 9 is larger than 10.",
    }
    if found["none"] is not None:
        return "where there is no checkpoint it should give None."
    if found["last"] != "checkpoint-10":
        return replies.get(found["last"], f"of 9, 10 and two unfinished ones it takes {found['last']}.")
    return None if found["type"] == "str" else "give the path as text: Trainer wants a str."


def compared(copy: Path) -> Problem:
    """`summary.measured` pairs the two models' answers."""
    code = """
import numpy as np, pandas as pd
from src.evaluation import summary
draw = np.random.default_rng(0)
easy = draw.random(400) < 0.5
score = np.where(draw.random(400) < 0.02, ~easy, easy).astype(float)
base = np.where(draw.random(400) < 0.02, ~easy, easy).astype(float)
table = pd.DataFrame({"score": score, "baseline_score": base})
one = summary.measured(table, 500)
paired = summary.interval(score - base, 500)
found = {"given": sorted(one)}
if len(one) == 8 and "gain_high" in one:
    found |= {"score": abs(one["score"] - score.mean()) < 1e-9,
      "gain": abs(one["gain"] - (score - base).mean()) < 1e-9, "n": one["examples"] == 400,
      "plain": all(isinstance(value, int | float) for value in one.values()),
      "inside": one["score_low"] < score.mean() < one["score_high"],
      "paired": abs(one["gain_high"] - one["gain_low"] - (paired[1] - paired[0])) < 0.01}
"""
    keys = ["baseline", "examples", "gain", "gain_high", "gain_low", "score", "score_high", "score_low"]
    found = trial.answer(copy, code)
    if found.get("given") != keys:
        return f"its keys are {found.get('given')}. Wanted: {', '.join(keys)}."
    return _first(
        found,
        ("plain", True, "its values are not plain numbers: json cannot write NumPy's. Wrap them in float()."),
        ("score", True, "`score` is not the mean of the column."),
        ("gain", True, "`gain` is not the mean difference, fine-tuned minus baseline."),
        ("n", True, "`examples` is not the number of rows."),
        ("inside", True, "the interval of the score does not hold the score."),
        ("paired", True, "the interval of the gain is not that of the differences, item by item. Both models answered the same items."),
    )  # fmt: skip


def judged(copy: Path) -> Problem:
    """`registry.evidence` covers seeds and items, and refuses what it cannot compare."""
    code = """
import numpy as np, pandas as pd
from src import registry
draw = np.random.default_rng(0)
def model(seeds, chance, spread, items=120):
    rows = [(draw.random(items) < np.clip(chance + draw.normal(0, spread), 0, 1)).astype(float) for _ in range(seeds)]
    return pd.DataFrame(rows, columns=[f"text {at}" for at in range(items)])
easy = np.clip(0.75 + draw.normal(0, 0.25, 120), 0.05, 0.95)
one, other = model(3, easy - 0.1, 0), model(3, easy, 0)
plain = registry.evidence(one, other)
pairs = [(model(3, easy, 0.06), model(3, easy, 0.06)) for _ in range(120)]
found = {"keys": sorted(plain), "mean": abs(plain["mean"] - (other.mean(axis=1).mean() - one.mean(axis=1).mean())) < 1e-9,
  "inside": plain["low"] < plain["mean"] < plain["high"], "items": plain["items"] == 120,
  "order": abs(registry.evidence(one, other[other.columns[::-1]])["mean"] - plain["mean"]) < 1e-9,
  "lucky": sum(registry.evidence(*pair)["low"] > 0 for pair in pairs) <= 9,
  "clear": registry.evidence(model(4, easy - 0.3, 0.01), model(4, easy, 0.01))["low"] > 0}
for name, pair in {"single": (one, other.head(1)), "items differ": (one, other.iloc[:, 1:])}.items():
    try:
        registry.evidence(*pair)
        found[name] = "taken"
    except ValueError:
        found[name] = "refused"
"""
    found = trial.answer(copy, code)
    if found.get("keys") != ["high", "items", "low", "mean"]:
        return f"its keys are {found.get('keys')}. Wanted: mean, low, high, items."
    return _first(
        found,
        ("mean", True, "`mean` is not challenger minus champion, over all seeds and items."),
        ("inside", True, "the interval does not hold the mean."),
        ("items", True, "`items` is not the number of test items."),
        ("order", True, "with the columns in another order the answer differs: match items by name."),
        (
            "single",
            "refused",
            "it compares where a model has one seed: nobody knows what a second would give.",
        ),
        ("items differ", "refused", "it compares two models that answered different items."),
        (
            "lucky",
            True,
            "of 120 challengers that are no better, more than 9 come out above zero: seeds are left out.",
        ),
        ("clear", True, "a challenger that is better by 30 points is not seen."),
    )


STORE = """
import os, pathlib, mlflow, pandas as pd, numpy as np
pathlib.Path("probe.db").unlink(missing_ok=True)
mlflow.set_tracking_uri("sqlite:///probe.db")
mlflow.set_experiment("probe")
from src import registry
draw, client = np.random.default_rng(0), mlflow.MlflowClient()
def trained(chance, seeds=3):
    ids = []
    for _ in range(seeds):
        tags = {"git_dirty": "false", "git_commit": "abc", "dvc_lock": "def", "params": "ghi"}
        with mlflow.start_run(tags=tags) as run:
            table = {"text": [f"text {at}" for at in range(80)], "score": (draw.random(80) < chance).astype(float)}
            pd.DataFrame(table).to_csv("predictions.csv", index=False)
            mlflow.log_artifact("predictions.csv")
            ids.append(run.info.run_id)
    return registry.register(ids, "probe")
champion = lambda: client.get_registered_model("probe").aliases.get("champion")
weak, same, strong = trained(0.4), trained(0.4), trained(0.95)
"""


def promoted(copy: Path) -> Problem:
    """`registry.promote` crowns on evidence and holds with a reason."""
    code = f"""{STORE}
found = {{"first": registry.promote("probe", weak) is True and str(champion()) == str(weak)}}
registry.promote("probe", same)
found["held"] = str(champion()) == str(weak)
found["why"] = "held" in client.get_model_version("probe", same).tags
found["numbers"] = "0." in client.get_model_version("probe", same).tags.get("held", "")
registry.promote("probe", strong)
found["better"] = str(champion()) == str(strong)
registry.promote("probe", strong)
found["history"] = [str(each) for each in registry.history("probe")["version"]] == [str(weak), str(strong)]
"""
    return _first(
        trial.answer(copy, code, 150),
        (
            "first",
            True,
            "where there is no champion the first version should become it, and the answer be True.",
        ),
        ("held", True, "a challenger that is no better takes the place. Only low > 0 may."),
        ("why", True, "a version that is held does not say so: it lacks the tag `held`."),
        ("numbers", True, "the tag `held` does not tell the difference and its interval."),
        ("better", True, "a challenger that is clearly better is not made champion."),
        (
            "history",
            True,
            "the history should tell each change once: use _crown, and leave a champion alone.",
        ),
    )


def rolled_back(copy: Path) -> Problem:
    """`registry.roll_back` returns to the champion before."""
    code = f"""{STORE}
registry._crown("probe", weak, "the first")
try:
    registry.roll_back("probe")
    found = {{"nobody": "taken"}}
except ValueError:
    found = {{"nobody": "refused"}}
registry._crown("probe", strong, "better")
given = registry.roll_back("probe")
found |= {{"back": str(champion()) == str(weak), "given": str(given) == str(weak),
  "told": [str(each) for each in registry.history("probe")["version"]] == [str(weak), str(strong), str(weak)]}}
"""
    return _first(
        trial.answer(copy, code, 150),
        (
            "nobody",
            "refused",
            "with one champion ever there is nothing to go back to: raise a ValueError that says so.",
        ),
        ("back", True, "afterwards the alias does not stand on the champion before."),
        ("told", True, "the history does not tell the step back. _crown writes it."),
        ("given", True, "return the version that is champion now."),
    )


def clustered(copy: Path) -> Problem:
    """`behaviour.rate` counts what comes from one template as one observation."""
    code = """
import numpy as np
from scipy import stats
from src.evaluation import behaviour
def rate(values, templates):
    given = behaviour.rate(np.array(values, float), list(templates))
    return [float(each) for each in given] if isinstance(given, tuple | list) else given
groups = [name for name in "abcd" for _ in range(10)]
values = [float(at < share) for share in (1, 2, 5, 9) for at in range(10)]
means = np.array([0.1, 0.2, 0.5, 0.9])
reach = stats.t.ppf(0.975, 3) * means.std(ddof=1) / 2
made = rate(values, groups)
found = {"three": isinstance(made, list) and len(made) == 3}
if found["three"]:
    half = (made[2] - made[1]) / 2
    found |= {"mean": abs(made[0] - 0.425) < 1e-9, "probes": half > 0.5 * reach, "reach": abs(half - reach) < 1e-6,
      "uneven": abs(rate([1, 1, 1, 0], "aaab")[0] - 0.75) < 1e-9, "one": rate([1, 0, 1, 1], "aaaa") == [0.75, 0.0, 1.0]}
"""
    return _first(
        trial.answer(copy, code),
        ("three", True, "it should give three numbers: the mean, the low and the high end."),
        ("mean", True, "its first number is not the mean of all failures."),
        ("probes", True, "its interval is that of so many coins. Forty probes of four templates are four observations."),
        ("reach", True, "its interval is not the clustered one. Four templates leave t three degrees of freedom, not 1.96."),
        ("uneven", True, "a template with more probes weighs more: count each probe once."),
        ("one", True, "with a single template it should give (mean, 0.0, 1.0): nothing is known about others."),
    )  # fmt: skip


def awake(copy: Path) -> Problem:
    """`suite` would notice eight illnesses of a model that answers each of its own sentences as it wishes."""
    code = """
import re
import pandas as pd
from src.evaluation import behaviour
from tests import test_model_behaviour as mine
if len(behaviour.rate.__doc__ or "") == 0 or behaviour.rate([1.0, 0.0], ["a", "b"]) is None:
    raise SystemExit("write rate in src/evaluation/behaviour.py first")
first = mine.suite(pd.DataFrame({"text": ["a"], "label": ["negative"]}))
names = sorted({one.label for test in first.values() for one in test if one.label}) if first else []
names = names if len(names) > 1 else ["negative", "positive"]
turn = dict(zip(names, names[1:] + names[:1]))
held = pd.DataFrame({"text": [f"held out {at}" for at in range(300)], "label": [names[at % len(names)] for at in range(300)]})
suite = mine.suite(held)
wish = {row.text: row.label if at % 5 else turn[row.label] for at, row in enumerate(held.itertuples())}
every = [one for test in suite.values() for one in test if one.kind != "honest"]
for one in sorted(every, key=lambda one: ("is", "more", "same", "company").index(one.kind)):
    wish.setdefault(one.text, one.label or names[-1])
    if one.other:
        wish.setdefault(one.other, turn[one.label] if one.kind == "more" else wish[one.text])
less = lambda text: re.sub(r"\\b(not|never|no) |n't\\b", "", text, flags=re.I)
begins = {}
for text in wish:
    begins.setdefault(" ".join(text.split()[:6]), wish[text])
def model(pick=lambda text, texts: wish.get(text, names[0]), sure=0.8):
    def read(texts):
        picked = [pick(text, texts) for text in texts]
        rest = (1 - sure) / (len(names) - 1)
        return pd.DataFrame([[1 / len(names) if one is None else sure if one == name else rest for name in names]
                             for one in picked], columns=names)
    return read
ill = {
  "swapped": model(lambda text, texts: turn[wish[text]]),
  "lopsided": model(lambda text, texts: names[0] if wish[text] == names[-1] else wish[text]),
  "fresh head": model(lambda text, texts: names[len(text) % len(names)]),
  "deaf to not": model(lambda text, texts: wish.get(less(text), turn[wish[text]]) if less(text) != text else wish[text]),
  "short": model(lambda text, texts: begins[" ".join(text.split()[:6])]),
  "cased": model(lambda text, texts: None if any(len(word) > 2 and word.isupper() for word in text.split()) else wish[text]),
  "no mask": model(lambda text, texts: None if max(map(len, texts)) > 2 * len(text) + 40 and len(texts) == 2 else wish[text]),
  "too sure": model(sure=0.999),
}
found = {"false": behaviour.alarms(model(), suite), "missed": [name for name in ill if not behaviour.alarms(ill[name], suite)]}
"""
    found = trial.answer(copy, code)
    if found["false"]:
        return f"{found['false'][0]!r} would ring even for a model that answers each sentence as another test wants."
    missed = found["missed"]
    if missed:
        return f"it would notice {8 - len(missed)} of 8 ill models. Gets away: {missed[0]} (src/evaluation/ward.py says what that is)."
    return None


def staged(stage: str) -> Callable[[Path], Problem]:
    """A stage of dvc.yaml declares what its script reads and makes."""

    def judge(copy: Path) -> Problem:
        return rebuild.undeclared(copy, stage)

    return judge


def limited(copy: Path) -> Problem:
    """`app.LIMITS` lets texts of 1 to 2,000 characters in."""
    code = """
from src.serving import app
def fits(text):
    try:
        return bool(app.Question.model_validate({"text": text}))
    except ValueError:
        return False
found = {name: fits(text) for name, text in {"one": "a", "most": "a" * 2000, "inside": " a\\n", "empty": "",
         "long": "a" * 2001, "blank": " \\n\\t"}.items()}
"""
    return _first(
        trial.answer(copy, code),
        ("one", True, "a text of one character is refused."),
        ("most", True, "a text of 2,000 characters is refused."),
        ("inside", True, "a text with a blank in front or a line's end behind is refused."),
        ("empty", False, "an empty text comes through."),
        ("long", False, "a text of 2,001 characters comes through."),
        ("blank", False, "a text of blanks only comes through. `pattern` takes an expression that has to occur."),
    )  # fmt: skip


def refused(copy: Path) -> Problem:
    """`app.explain` names the place and repeats nothing."""
    code = """
from src.serving import app
def told(value):
    try:
        app.Questions.model_validate(value)
    except ValueError as error:
        problem = dict(error.errors()[0])
        return app.explain(problem | {"loc": ("body", *problem["loc"])})
found = [told({"questions": [{"text": "a"}, {"text": 5}]}), told({"questions": "hunter2"}),
         told({"questions": [{"text": "a"}], "hunter2": 1}), told({"questions": [{"text": ["hunter2"]}]})]
"""
    found = trial.answer(copy, code)
    if not all(isinstance(said, str) and said.strip() for said in found):
        return "it does not return a sentence for each problem."
    if any("hunter2" in said for said in found):
        return "it repeats what was sent: a value, or a key that a stranger has chosen. Say what is wanted instead."
    if "questions.1.text" not in found[0]:
        return f"for the second text of a batch it says {found[0]!r}. Name the place: questions.1.text."
    return "it says more than one line." if any("\n" in said for said in found) else None


def joined(copy: Path) -> Problem:
    """`batching.together` takes what waits, and no more than allowed."""
    code = """
import asyncio
from src.serving import batching
def made(count, most):
    queue = asyncio.Queue()
    for at in range(count):
        queue.put_nowait(at)
    return [list(batching.together("first", queue, most)), queue.qsize()]
found = {"alone": made(0, 4), "some": made(2, 4), "many": made(9, 4), "one": made(3, 1)}
"""
    return _first(
        trial.answer(copy, code, 20),
        ("alone", [["first"], 0], "where nobody else waits the batch should be the first entry alone, at once."),
        ("some", [["first", 0, 1], 0], "of two that wait it does not take both, behind the first, in their order."),
        ("many", [["first", 0, 1, 2], 6], "of nine that wait it should take three for a batch of four, and leave six."),
        ("one", [["first"], 3], "with `most` = 1 the batch is the first entry alone."),
    )  # fmt: skip


def shipped(copy: Path) -> Problem:
    """The last stage of the Dockerfile is a service that one may run; the project's own reader judges."""
    code = "import pathlib\nfrom src.serving import dockerfile\nfound = dockerfile.problem(pathlib.Path('Dockerfile').read_text())"
    return trial.answer(copy, code)


def rounded(copy: Path) -> Problem:
    """`publish.shown` gives a score the decimals that its interval deserves."""
    code = """
from src import publish
found = [publish.shown(*case) for case in
         ((0.74167, 0.7012, 0.7811), (0.74167, 0.7376, 0.7452), (71.3, 68.2, 74.6), (0.5, 0.5, 0.5))]
"""
    wanted = ["0.74 (0.70 to 0.78)", "0.742 (0.738 to 0.745)", "71 (68 to 75)", "0.500 (0.500 to 0.500)"]
    for said, right in zip(trial.answer(copy, code), wanted, strict=True):
        if said != right:
            return f"it says {said!r} where {right!r} would be right: half the interval's width sets the decimals."
    return None


PIECES = [
    Piece("day11", "src/tracking.py", "flat", recorded.flattened),
    Piece("day11", "src/tracking.py", "lineage", recorded.traced),
    Piece("day11", "src/tracking.py", "log_history", recorded.curved),
    Piece("day11", "src/tracking.py", "log_adapter", recorded.packed),
    Piece("day11", "src/tracking.py", "abandoned", recorded.forsaken),
    Piece("day12", "dvc.yaml", "finetune_model", staged("finetune_model")),
    Piece("day13", "src/files.py", "write", written),
    Piece("day13", "src/config.py", "explain", explained),
    Piece("day13", "src/data/prepare_finetuning_data.py", "clean", cleaned),
    Piece("day13", "src/models/checkpoints.py", "fingerprint", fingerprinted),
    Piece("day13", "src/models/checkpoints.py", "last_checkpoint", resumed),
    Piece("day13", "src/evaluation/summary.py", "measured", compared),
    Piece("day14", "dvc.yaml", "evaluate_model", staged("evaluate_model")),
    Piece("day15", "src/registry.py", "evidence", judged),
    Piece("day15", "src/registry.py", "promote", promoted),
    Piece("day15", "src/registry.py", "roll_back", rolled_back),
    Piece("day18", "src/evaluation/behaviour.py", "rate", clustered),
    Piece("day18", "tests/test_model_behaviour.py", "suite", awake),
    Piece("day19", "src/serving/app.py", "LIMITS", limited),
    Piece("day19", "src/serving/app.py", "explain", refused),
    Piece("day19", "src/serving/batching.py", "together", joined),
    Piece("day19", "Dockerfile", "final", shipped),
    Piece("day20", "src/publish.py", "shown", rounded),
]
