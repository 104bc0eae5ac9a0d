"""Helpers for a four-week, hands-on course in fine-tuning language models. README.md here is the map of the rooms.

Importing this package costs nothing: each room loads its heavy libraries when a function needs them.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# What a lesson cell may import from here by one word, and where it lives.
_PUBLIC = {
    "cards": "training.cards",
    "data": "data",
    "exercise": "lesson.exercise",
    "explorers": "models.explorers",
    "memory": "models.memory",
    "metrics": "training.metrics",
    "models": "models",
    "planner": "models.planner",
    "plots": "display.plots",
    "production": "production",
    "progress": "progress",
    "project": "lesson.project",
    "quiz": "lesson.quiz",
    "recorded_runs": "training.recorded_runs",
    "report": "progress.report",
    "settings": "lesson.session",
    "tasks": "data.tasks",
    "timetable": "core.timetable",
    "tracking": "training.tracking",
    "training": "training",
    "widgets": "display.widgets",
}
# Words that notebooks of before the rooms use; an edited copy of one goes on working.
_FORMER = {
    "doctor": "tools.doctor",
    "guides": "tools.authoring.guides",
    "own_files": "core.files",
    "project_checks": "lesson.project.checks",
    "project_data": "lesson.project.data",
    "project_report": "lesson.project.report",
    "start": "tools.start_page",
    "timer": "display.timer",
}


def __getattr__(name: str) -> Any:
    place = _PUBLIC.get(name) or _FORMER.get(name)
    if place is None:
        raise AttributeError(f"labhelpers has no {name!r}. Lessons import one of: {', '.join(__dir__())}.")
    return importlib.import_module(f"labhelpers.{place}")


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
