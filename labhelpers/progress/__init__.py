"""The learner's own files: checklists, journal, plan, where you stand, reports."""

from .checklists import Attempt, attempts, checklist, passed, read, record_attempt, tick, tick_all
from .journal import keep_page, write_journal

__all__ = [
    "Attempt", "attempts", "checklist", "keep_page", "passed", "read", "record_attempt", "tick", "tick_all", "write_journal",
]  # fmt: skip
