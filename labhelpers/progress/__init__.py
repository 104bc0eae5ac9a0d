"""The learner's own files: checklists, journal, plan, where you stand, reports."""

from .checklists import (
    Attempt,
    attempts,
    checklist,
    keep_page,
    passed,
    read,
    record_attempt,
    tick,
    tick_all,
    write_journal,
)  # fmt: skip

__all__ = [
    "Attempt", "attempts", "checklist", "keep_page", "passed", "read", "record_attempt", "tick", "tick_all", "write_journal",
]  # fmt: skip
