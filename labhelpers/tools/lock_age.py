"""Tells how old the locked versions are."""

import datetime
import re
import subprocess
from pathlib import Path

HEADER = re.compile(r"^# Locked on (\d{4}-\d\d-\d\d)", re.M)


def sentence(path: Path, today: datetime.date | None = None) -> str:
    """Say how long ago the versions were locked.

    Args:
        path: a lock file.
        today: the day to count from; None for today.

    Returns:
        Such as "locked 23 days ago (2026-10-29); `make drift` tells what moved since".
    """
    locked = date(path)
    if locked is None:
        return "locked on an unknown day: no date in the file, and git knows none"
    days = ((today or datetime.date.today()) - locked).days
    if days < 0:
        return (
            f"locked on {locked}, which is {_days(-days)} ahead of this machine's clock: is the clock right?"
        )
    when = ("today", "yesterday")[days] if days < 2 else f"{_days(days)} ago"
    return f"locked {when} ({locked}); `make drift` tells what moved since"


def date(path: Path) -> datetime.date | None:
    """Find the day on which the versions were locked.

    Args:
        path: a lock file.

    Returns:
        The day in its header, else the day of its last commit, else None.
    """
    try:
        found = HEADER.search(path.read_text(encoding="utf-8"))
        return datetime.date.fromisoformat(found[1] if found else _committed(path))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _committed(path: Path) -> str:
    command = ["git", "log", "-1", "--format=%as", "--", path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=10).stdout.strip()


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
