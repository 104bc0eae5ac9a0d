"""A focus timer: 25 minutes of work, 5 of rest. The browser ticks, this machine's clock knows the time."""

import math
import time
from typing import Any

from ..core import settings
from . import page


def static_text(work: float = 25, rest: float = 5) -> str:
    """Say what the timer does, where it cannot run."""
    return (
        f"**Focus timer**: {work:g} minutes of work, {rest:g} minutes of rest. Run this cell, say what will be "
        "different when the time is up, and press Start (Tab and Space do it too). Run it again to begin anew."
    )


def show(work: float = 25, rest: float = 5) -> None:
    """Show a timer that alternates between so many minutes of work and of rest, or print what it does."""
    if not all(isinstance(each, int | float) and 1 / 60 <= each <= 180 for each in (work, rest)):
        raise settings.LabError(f"timer: work={work!r}, rest={rest!r} should be minutes, at most 180.")
    if settings.is_interactive():
        page.show(_widget(work * 60, rest * 60))
    else:
        print(static_text(work, rest).replace("**", ""))


def _face(spent: float, work: float, rest: float) -> tuple[str, str]:
    at = spent % (work + rest)
    name, left, task = "Work", work - at, "One thing only."
    if left <= 0:
        name, left, task = "Rest", left + rest, "Stand up and look far away."
    return "{} {:02d}:{:02d}".format(name, *divmod(math.ceil(left), 60)), task


def _widget(work: float, rest: float) -> Any:
    import ipywidgets

    face, said = ipywidgets.HTML(), ipywidgets.HTML()
    button = ipywidgets.Button(button_style="primary", tooltip="Start or pause the timer")
    # It only says "look again": a hidden tab ticks late. Hidden, because its buttons have no names to read out.
    ticks = ipywidgets.Play(interval=1000, max=10**6, layout={"display": "none"})
    spent, since = 0.0, None  # seconds; since when it runs, None while it stands still

    def look(_: Any = None) -> None:
        nonlocal spent, since
        now = time.monotonic()
        spent, since = spent + now - (since or now), now if ticks.playing else None
        shown, task = _face(spent, work, rest)
        if since is None:
            task = "Paused." if spent else "Say what will be different when the time is up, then press Start."
        face.value = f'<span role="timer" style="font-size:1.6em">{shown}</span>'
        said.value = f'<span role="status">{task}</span>'
        button.description = "Pause" if ticks.playing else "Start"

    ticks.observe(look, ["playing", "value"])
    button.on_click(lambda _: setattr(ticks, "playing", not ticks.playing))
    look()
    return ipywidgets.VBox([face, button, said, ticks])
