"""A focus timer for the notebook: work for 25 minutes, rest for 5, all of it by keyboard if you like."""

import html
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..core import settings
from ..core.settings import LabError

LONGEST = 180  # minutes


@dataclass(frozen=True)
class Clock:
    """A round of work and rest.

    Attributes:
        work, rest: lengths in seconds.
        resting: whether this is the break.
        left: seconds left of this phase when it was last started or stopped.
        since: monotonic time at which it was started; None while it stands still.
        rounds: finished rounds of work.
    """

    work: float
    rest: float
    resting: bool = False
    left: float = 0.0
    since: float | None = None
    rounds: int = 0

    def remaining(self, now: float) -> float:
        """Seconds left of this phase, never below zero."""
        return max(0.0, self.left - (now - self.since if self.since is not None else 0.0))

    def started(self, now: float) -> "Clock":
        """The clock running from here."""
        return replace(self, since=now)

    def paused(self, now: float) -> "Clock":
        """The clock standing still."""
        return replace(self, left=self.remaining(now), since=None)

    def turned(self, now: float) -> "Clock":
        """The clock at the beginning of its other phase, running if it ran."""
        length = self.work if self.resting else self.rest
        rounds = self.rounds + (not self.resting and self.remaining(now) == 0)
        since = None if self.since is None else now
        return replace(self, resting=not self.resting, left=length, since=since, rounds=rounds)


def clock(work: float = 25, rest: float = 5) -> Clock:
    """Set a clock.

    Args:
        work, rest: minutes.

    Returns:
        A clock at the beginning of the work, standing still.

    Raises:
        LabError: when a length is not between a second and three hours.
    """
    for name, minutes in (("work", work), ("rest", rest)):
        number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if not number or not 1 / 60 <= minutes <= LONGEST:
            raise LabError(f"timer: {name}={minutes!r} should be minutes, at most {LONGEST}, such as 25.")
    return Clock(work * 60.0, rest * 60.0, left=work * 60.0)


def static_text(work: float = 25, rest: float = 5) -> str:
    """Say what the timer does, where it cannot run.

    Args:
        work, rest: minutes.
    """
    return (
        f"**Focus timer**: {work:g} minutes of work, {rest:g} minutes of rest. Before you start, say what will be "
        "different when the time is up. In JupyterLab, run this cell, then press Start; Tab and Space do it too."
    )


def show(work: float = 25, rest: float = 5) -> None:
    """Show the focus timer; print what it does without a browser.

    Args:
        work, rest: minutes.

    Raises:
        LabError: when a length cannot be used.
    """
    begin = clock(work, rest)
    if not settings.is_interactive():
        print(static_text(work, rest).replace("**", ""))
        return
    from IPython.display import display

    display(_widget(begin))


def face(state: Clock, now: float) -> str:
    """Write the time left, such as "Work 24:59".

    Args:
        state: the clock.
        now: monotonic time.
    """
    minutes, seconds = divmod(int(state.remaining(now) + 0.999), 60)
    return f"{'Rest' if state.resting else 'Work'} {minutes:02d}:{seconds:02d}"


def _widget(begin: Clock) -> Any:
    """Buttons, which a keyboard reaches with Tab and presses with Space, a face and a line that is read out."""
    import ipywidgets

    state = [begin]
    face_, said = ipywidgets.HTML(), ipywidgets.HTML()
    go = ipywidgets.Button(description="Start", button_style="primary", tooltip="Start or pause the timer")
    skip = ipywidgets.Button(description="Skip", tooltip="Go to the break, or back to work")
    reset = ipywidgets.Button(description="Reset", tooltip="Begin again")
    running = [threading.Event()]

    def draw() -> None:
        large = "font-size:1.6em;font-variant-numeric:tabular-nums"
        face_.value = f'<span role="timer" style="{large}">{face(state[0], time.monotonic())}</span>'
        go.description = "Start" if state[0].since is None else "Pause"

    def say(text: str) -> None:
        said.value = f'<span role="status">{html.escape(text)}</span>'

    def become(new: Clock, text: str) -> None:
        state[0] = new
        say(text)
        draw()

    def press(_: Any) -> None:
        now = time.monotonic()
        if state[0].since is not None:
            running[0].set()
            become(state[0].paused(now), "Paused.")
            return
        running[0] = halt = threading.Event()
        become(state[0].started(now), _announcement(state[0]))
        threading.Thread(target=_run, args=(state, halt, become, draw), daemon=True).start()

    def turn(_: Any) -> None:
        become(new := state[0].turned(time.monotonic()), _announcement(new))

    def clear(_: Any) -> None:
        running[0].set()
        become(replace(begin, rounds=state[0].rounds), "Set back.")

    for button, action in ((go, press), (skip, turn), (reset, clear)):
        button.on_click(action)
    become(begin, "Say what will be different when the time is up, then press Start.")
    return ipywidgets.VBox([face_, ipywidgets.HBox([go, skip, reset]), said])


def _run(state: list[Clock], halt: threading.Event, become: Callable[[Clock, str], None], draw: Any) -> None:
    """Redraw the face each second, and turn to the other phase when one is over, until somebody halts it."""
    while not halt.wait(1.0):
        now = time.monotonic()
        if state[0].remaining(now) == 0:
            become(new := state[0].turned(now), _announcement(new))
        else:
            draw()


def _announcement(state: Clock) -> str:
    done = f" Rounds finished: {state.rounds}." if state.rounds else ""
    if state.resting:
        return f"Rest: {state.rest / 60:g} minutes. Stand up and look far away.{done}"
    return f"Work: {state.work / 60:g} minutes. One thing only.{done}"
