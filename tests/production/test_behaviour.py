"""The project's behavioural suite: it rings for eight ill models, stays silent on healthy ones, and its judge is awake."""

import re

import pytest

from labhelpers import production
from labhelpers.production import checks, scaffold, trial

TRAIN = """
import contextlib, io, re
from pathlib import Path
import pandas as pd
from src import config
from src.data import prepare_finetuning_data as prepare
raw = Path("data/raw/sentences.csv")
rows = pd.read_csv(raw, dtype=str)
rows[rows["text"].str.len() <= {longest}].to_csv(raw, index=False)
text = Path("params.yaml").read_text(encoding="utf-8")
for key, value in dict(rows=2000, validation=0.2, test=0.2, epochs=1, batch_size=8, learning_rate="5.0e-3").items():
    text = re.sub(rf"{{key}}: \\S+", f"{{key}}: {{value}}", text)
Path("params.yaml").write_text(text, encoding="utf-8")
prepare.main(Path("params.yaml"))
from src.evaluation import behaviour, ward
from src.evaluation.behaviour import Probe, probes
from src.models import trainers
from tests import test_model_behaviour as reference
chosen, trained = config.load(Path("params.yaml")), []
for seed in range({seeds}):
    recipe = chosen.finetune.model_copy(update=dict(seed=seed))
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = trainers.make(chosen.model_copy(update=dict(finetune=recipe)), Path("checkpoints"))
        trainer.train()
    trained.append((trainer.model.eval(), trainer.processing_class, ["negative", "positive"], 128))
held_out = pd.read_json(reference.HELD_OUT, lines=True)
suite = reference.suite(held_out)
ills = ward.ill(*trained[0])
caught = lambda tests: sorted(name for name, model in ills.items() if behaviour.alarms(model, tests))
only = lambda *names: {{name: suite[name] for name in names}}
found = {{
  "caught": caught(suite), "table": behaviour.measured(ward.reader(*trained[0]), suite)["rate"].to_dict(),
  "false": [behaviour.alarms(ward.reader(*one), suite) for one in trained],
  "known": sorted(reference.ILLS) == sorted(ward.ILLS) == sorted(ills),
  "invariances only": caught(only("capitals", "company")),
  "plain words only": caught(only("plain words")),
  "accuracy only": caught({{"accuracy": [one._replace(kind="is") for one in suite["confidence"]]}}),
  "no company": caught(only("plain words", "not", "the end counts", "capitals", "confidence")),
  "no labels": caught(only("capitals", "company", "not")),
  "one template": caught({{name: [one._replace(template="same") for one in test] for name, test in suite.items()
                           if name != "confidence"}}),
}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = production.new(tmp_path_factory.mktemp("place") / "films", at="day19")
    return made


@pytest.mark.parametrize(
    ("longest", "seeds"), [(80, 2), pytest.param(10_000, 5, marks=pytest.mark.heavy)], ids=["short", "all"]
)
def test_eight_of_eight_and_no_false_alarm(folder, tmp_path, longest, seeds):
    import shutil

    bench = tmp_path / "bench"
    shutil.copytree(folder, bench)
    found = trial.answer(bench, TRAIN.format(longest=longest, seeds=seeds), 900)
    assert found["known"]
    assert len(found["caught"]) == 8, found
    assert found["false"] == [[]] * seeds, found
    for thin in (
        "invariances only",
        "plain words only",
        "accuracy only",
        "no company",
        "no labels",
        "one template",
    ):
        assert len(found[thin]) < 8, (thin, found[thin])


# What people write instead, and words of the reply. (file, ours, theirs, reply)
WRONG = [
    ("src/evaluation/behaviour.py", "groupby(list(templates))", "groupby(list(range(len(failures))))", "so many coins"),
    ("src/evaluation/behaviour.py", "stats.t.ppf(0.975, len(sums) - 1)", "1.96", "not 1.96"),
    ("src/evaluation/behaviour.py", "return mean, 0.0, 1.0", "return mean, mean, mean", "with a single template"),
    ("tests/test_model_behaviour.py", '        "capitals": probes("same", PLAIN, str.upper, word=[*GOOD[:2], *BAD[:2]]),\n', "", "Gets away: cased"),
    ("tests/test_model_behaviour.py", "good + bad,", 'good + bad + [one._replace(label="negative") for one in good],', "would ring even for"),
    ("tests/test_model_behaviour.py", '"not": probes("more", PRAISE,', '"not": probes("more", PRAISE[:1],', "Gets away: deaf to not"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs", "reply"), WRONG)
def test_a_weaker_suite_gets_its_own_reply(folder, tmp_path, name, ours, theirs, reply):
    with trial.copied(folder) as copy:
        path = copy / name
        text = path.read_text(encoding="utf-8")
        assert ours in text
        path.write_text(text.replace(ours, theirs, 1), encoding="utf-8")
        (piece,) = (piece for piece in checks.PIECES if piece.day == "day18" and piece.file == name)
        assert reply in checks._judge(copy, piece, set()).problem


def test_what_waits_for_day_18_skips_and_does_not_fail(tmp_path):
    for name in ("src/evaluation/behaviour.py", "tests/test_model_behaviour.py"):
        text = scaffold.render((scaffold.source() / name).read_text(encoding="utf-8"), "day18")
        assert re.search(r"^def (rate|suite)\(.*?^    \.\.\.$", text, re.M | re.S)
