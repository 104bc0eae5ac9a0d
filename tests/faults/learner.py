"""What a learner has written down, and whether all of it is still there."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from labhelpers.progress import markdown

BEGUN = "# Foundations\n\nmine, with spaces at the end  \n- [x] read <!-- id: D04-T1 -->\n- [ ] buy milk\n"
JOURNAL = "# Journal\n\n## 2026-11-18 · Day 3\n\nBefore the fault: é, 漢字.\n"
ATTEMPT = '{"exercise_id": "day03/x", "passed": true, "feedback": "", "time": "2026-11-18T10:00:00+01:00"}\n'


@dataclass(frozen=True)
class Work:
    """The bytes of the learner's files at one moment."""

    checklist: bytes
    journal: bytes
    attempts: bytes


def begin(progress: Path) -> Work:
    """Give the learner some earlier work."""
    progress.mkdir(parents=True, exist_ok=True)
    for name, text in (("week1.md", BEGUN), ("journal.md", JOURNAL), ("exercises.jsonl", ATTEMPT)):
        (progress / name).write_text(text, encoding="utf-8")
    return look(progress)


def look(progress: Path) -> Work:
    """Read the learner's files."""
    return Work(*((progress / name).read_bytes() for name in ("week1.md", "journal.md", "exercises.jsonl")))


def assert_nothing_lost(before: Work, after: Work) -> None:
    """Each file still holds all it held; what came since is whole, but for the line that was being written."""
    assert _untick(after.checklist).startswith(_untick(before.checklist))
    assert ticked(before) <= ticked(after)
    assert after.journal.startswith(before.journal) and after.journal.endswith(b"\n")
    assert after.attempts.startswith(before.attempts)
    torn = [line for line in after.attempts.splitlines() if not _is_whole(line)]
    assert len(torn) <= 1, torn


def ticked(work: Work) -> set[str]:
    """Ids with a tick."""
    return {id for id, done in markdown.boxes(work.checklist.decode("utf-8")).items() if done}


def _untick(content: bytes) -> bytes:
    return re.sub(rb"\[[xX]\](.*<!-- id:)", rb"[ ]\1", content)


def _is_whole(line: bytes) -> bool:
    try:
        return set(json.loads(line)) >= {"exercise_id", "passed", "feedback", "time"}
    except ValueError:
        return False
