"""The focus timer: 25 minutes of work, 5 of rest, by keyboard too, and plain text without a browser."""

import pytest

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.display import timer


class Time:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(timer, "time", time)
    return time


@pytest.fixture
def box(monkeypatch, time):
    import IPython.display

    shown, threads = [], []
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    monkeypatch.setattr(IPython.display, "display", shown.append)

    class Thread:
        """Remembers what would run beside the notebook."""

        def __init__(self, target, args, daemon):
            assert daemon
            threads.append((target, args))

        def start(self):
            pass

    monkeypatch.setattr(timer.threading, "Thread", Thread)
    timer.show()
    shown[0].threads = threads
    return shown[0]


def buttons(box):
    return {button.tooltip.split()[0]: button for button in box.children[1].children}


def face(box):
    return box.children[0].value.split(">")[1].split("<")[0]


def said(box):
    return box.children[2].value


def let_pass(box, time, seconds, thread=-1):
    """Let the background look once, after some seconds."""
    time.now += seconds
    run, (state, halt, *rest) = box.threads[thread]
    looks = iter([halt.is_set(), True])
    run(state, type("Halt", (), {"wait": lambda self, seconds: next(looks)})(), *rest)


def test_the_clock_counts_down_and_turns():
    clock = timer.clock(25, 5)
    assert timer.face(clock, 0) == "Work 25:00"
    running = clock.started(100)
    assert timer.face(running, 100 + 61) == "Work 23:59"
    assert timer.face(running, 100 + 25 * 60 + 9) == "Work 00:00"
    rest = running.turned(100 + 25 * 60)
    assert (timer.face(rest, 100 + 25 * 60), rest.rounds) == ("Rest 05:00", 1)
    assert timer.face(rest.turned(100 + 30 * 60), 100 + 30 * 60) == "Work 25:00"


def test_a_pause_keeps_the_time_and_a_skipped_round_is_none():
    paused = timer.clock(25, 5).started(0).paused(60)
    assert timer.face(paused, 99_999) == "Work 24:00"
    assert timer.face(paused.started(5000), 5060) == "Work 23:00"
    assert paused.turned(61).rounds == 0 and paused.turned(61).since is None


@pytest.mark.parametrize("bad", [0, -1, 1e9, "25", None, True, float("nan")])
def test_lengths_that_make_no_sense_are_named(bad):
    with pytest.raises(LabError, match="work="):
        timer.clock(bad)
    with pytest.raises(LabError, match="rest="):
        timer.show(25, bad)


def test_without_a_browser_it_says_what_it_does(capsys):
    timer.show()
    out = capsys.readouterr().out
    assert "25 minutes of work, 5 minutes of rest" in out and "*" not in out


def test_it_starts_pauses_and_goes_on(box, time):
    assert face(box) == "Work 25:00"
    press = buttons(box)["Start"]
    press.click()
    assert press.description == "Pause" and "One thing only" in said(box)
    let_pass(box, time, 60)
    assert face(box) == "Work 24:00"
    press.click()
    assert press.description == "Start" and "Paused" in said(box)
    time.now += 500
    press.click()
    let_pass(box, time, 60)
    assert face(box) == "Work 23:00"


def test_the_end_of_the_work_is_announced_once_and_the_rest_begins(box, time):
    buttons(box)["Start"].click()
    let_pass(box, time, 25 * 60)
    assert face(box) == "Rest 05:00" and "Stand up" in said(box) and "finished: 1" in said(box)
    let_pass(box, time, 5 * 60)
    assert face(box) == "Work 25:00"


def test_a_paused_timer_has_nothing_running_any_more(box, time):
    press = buttons(box)["Start"]
    press.click()
    press.click()
    press.click()
    let_pass(box, time, 60, thread=0)
    assert face(box) == "Work 25:00", "the first background task has ended"
    let_pass(box, time, 0, thread=1)
    assert face(box) == "Work 24:00"


def test_skip_and_reset(box, time):
    buttons(box)["Start"].click()
    buttons(box)["Go"].click()
    assert face(box) == "Rest 05:00" and "finished" not in said(box)
    buttons(box)["Begin"].click()
    assert face(box) == "Work 25:00" and buttons(box)["Start"].description == "Start"


def test_it_is_read_out_and_reached_by_keyboard(box):
    import ipywidgets

    assert 'role="timer"' in box.children[0].value and 'role="status"' in said(box)
    assert all(
        isinstance(button, ipywidgets.Button) and button.tooltip for button in box.children[1].children
    )
