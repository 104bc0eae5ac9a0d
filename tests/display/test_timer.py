"""The focus timer: 25 minutes of work, 5 of rest, by keyboard too, and plain text without a browser."""

import re

import pytest

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.display import timer


class Learner:
    """Sits before the timer: sees it, presses its buttons, and lets time pass."""

    def __init__(self, box):
        self.now = 1000.0
        self.face, self.button, self.said, self.ticks = box.children

    def monotonic(self):
        return self.now

    def sees(self):
        return re.sub("<[^>]*>", "", self.face.value)

    def press(self, name):
        assert self.button.description == name and self.button.tooltip
        self.button.click()

    def wait(self, seconds, looks=True):
        """Let time pass; a browser ticks once a second, and a tab in the background or a busy kernel later."""
        self.now += seconds
        if looks:
            self.ticks.value += 1


@pytest.fixture
def learner(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda thing, **_: shown.append(thing))
    timer.show()
    learner = Learner(shown[0])
    monkeypatch.setattr(timer, "time", learner)
    return learner


def test_it_starts_pauses_and_goes_on(learner):
    assert learner.sees() == "Work 25:00" and "then press Start" in learner.said.value
    learner.press("Start")
    assert learner.ticks.playing and "One thing only" in learner.said.value
    learner.wait(61)
    assert learner.sees() == "Work 23:59"
    learner.press("Pause")
    assert not learner.ticks.playing and "Paused" in learner.said.value
    learner.wait(500)
    learner.press("Start")
    learner.wait(59)
    assert learner.sees() == "Work 23:00"


def test_the_rest_follows_and_then_the_next_round(learner):
    learner.press("Start")
    learner.wait(25 * 60)
    assert learner.sees() == "Rest 05:00" and "Stand up" in learner.said.value
    learner.wait(5 * 60)
    assert learner.sees() == "Work 25:00" and "One thing" in learner.said.value


def test_a_hidden_tab_loses_no_time(learner):
    learner.press("Start")
    learner.wait(24 * 60, looks=False)
    learner.wait(30)
    assert learner.sees() == "Work 00:30"


def test_it_is_read_out_once_per_change_and_reached_by_keyboard(learner):
    assert 'role="timer"' in learner.face.value and 'role="status"' in learner.said.value
    assert learner.ticks.layout.display == "none", "its own buttons have no names"
    changes = []
    learner.said.observe(changes.append, "value")
    learner.press("Start")
    for _ in range(30):
        learner.wait(1)
    assert len(changes) == 1


@pytest.mark.parametrize("bad", [0, -1, 1e9, "25", None, float("nan")])
def test_lengths_that_make_no_sense_are_named(bad):
    with pytest.raises(LabError, match="work="):
        timer.show(bad)
    with pytest.raises(LabError, match="rest="):
        timer.show(25, bad)


def test_without_a_browser_it_says_what_it_does(capsys):
    timer.show()
    out = capsys.readouterr().out
    assert "25 minutes of work, 5 minutes of rest" in out and "*" not in out
