"""`lab mutate` tells a narrow check from one that holds: wrong answers that nobody listed, right ones in another form."""

import json
import os
from unittest import mock

import pytest

from labhelpers.core import answers
from labhelpers.tools.authoring import mutants, verify

RECORD = {
    "id": "day99/share",
    "answer": "share",
    "solution": "def share(right, of=1.0):\n    return of * sum(right) / len(right)",
    "hints": [],
    "misconceptions": [],
}
NARROW = (
    "def check(answer):\n    return None if answer([1, 0]) == 0.5 else 'no'\n"
    "def trial(answer, *args):\n    return answer(*args)\n"
)
INPUTS = "def inputs(draw):\n    yield [1]\n    yield [0, 0, 1], 100.0\n    yield draw.integers(0, 2, 9).tolist(), 2.0\n"


def tried(check, monkeypatch, tmp_path):
    """What `try_out` logs about an exercise with this check."""
    log = tmp_path / "log"
    monkeypatch.setattr(answers, "exercise", lambda _: {**RECORD, "check": check})
    with mock.patch.dict(os.environ, LAB_RUN_LOG=str(log)):
        mutants.try_out("day99/share", {})
    return json.loads(log.read_text().splitlines()[-1])


def test_a_check_with_inputs_kills_every_mutant_and_takes_every_form(monkeypatch, tmp_path):
    found = tried(NARROW + INPUTS, monkeypatch, tmp_path)
    assert found["killed"] >= 5 and found["equal"] >= 3
    assert found["survivors"] == found["refused"] == []


def test_a_check_that_knows_one_form_only_is_told_of(monkeypatch, tmp_path):
    strict = (
        "def check(answer):\n    return None if answer.__name__ == 'share' else 'Call it share.'\n" + INPUTS
    )
    assert tried(strict, monkeypatch, tmp_path)["refused"]


def test_the_table_names_what_survived_and_what_was_refused():
    outcome = {"killed": 1, "equal": 0, "survivors": ["`+` → `-`"], "refused": ["tuple"]}
    table = mutants.table([{"exercise": "day99/share", "generator": True, **outcome}])
    assert "accepted though different, day99/share: `+` → `-`" in table
    assert "refused though right, day99/share: tuple" in table


def test_mutants_change_one_place_each_and_never_repeat():
    texts = [name for name, _ in mutants.mutants("def f(x, n=2):\n    return x < n and x >= 0")]
    assert "`x < n` → `x <= n`" in texts and "`x >= 0` → `x > 0`" in texts
    assert len(texts) == len(set(texts)) > 5


@pytest.mark.parametrize("lesson", ["weekend1_sunday", "weekend2_saturday"])
def test_no_wrong_answer_passes_in_the_lessons_that_train_nothing(lesson):
    events = mutants.run(lesson)
    assert sum(event["killed"] for event in events) > 40
    assert [event for event in events if event["survivors"] or event["refused"]] == []


@pytest.mark.heavy
def test_over_the_course_98_of_100_wrong_answers_are_refused_and_right_forms_accepted():
    events = [event for lesson in verify.ready() for event in mutants.run(lesson)]
    print(mutants.table(events))
    survivors, refused = (sum(len(event[key]) for event in events) for key in ("survivors", "refused"))
    killed, equal = (sum(event[key] for event in events) for key in ("killed", "equal"))
    assert killed / (killed + survivors) >= 0.98
    assert equal / (equal + refused) >= 0.98
