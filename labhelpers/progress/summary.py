"""A learner's progress in one small file for an instructor: shown first, written only after a yes.

It holds ids, counts and days. It holds no text of the learner's, no clock time, no folder, and no name unless given.
"""

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from ..core import answers, files, timetable
from ..core.settings import LabError, current
from ..display.words import counted
from . import checklists, journal, standing

FORMAT, VERSION = "fine-tuning-course-progress", 1
LONGEST_NAME = 80
# What went wrong first, in words of ours. A reply that the author foresaw is named by the author's own fragment of it.
ERROR, UNKNOWN_NAME, OTHER = "the answer raised an error", "the answer uses an unknown name", "another reply"
WHAT_STAYS = (
    "Not in it: your answers, your journal, your reports, what the checks said to you, clock times, folders."
)
CHECKSUM = (
    "The checksum notices a change by accident, such as a broken download. It is no signature: who wants to "
    "cheat can."
)


def collect(name: str | None = None) -> dict[str, Any]:
    """Gather what the summary says, everything but its checksum, without writing anything."""
    own, attempts = _identity(), checklists.attempts()
    tried: dict[str, list[checklists.Attempt]] = {}
    for attempt in attempts:
        tried.setdefault(str(attempt.exercise_id), []).append(attempt)
    lessons = [day["id"] for day in timetable.lessons() if day["id"] in answers.built()]
    exercises = [record for lesson in lessons for record in answers.exercises(lesson)]
    questions = [question for lesson in lessons for question in answers.questions(lesson)]
    return {
        "format": FORMAT,
        "version": VERSION,
        "course": _course(),
        "learner": {"id": own["id"], "name": _usable(name)},
        "exported": date.today().isoformat(),
        "serial": own["exports"] + 1,
        "days": sorted(map(str, standing.learning_days(attempts))),
        "ticked": _ticked(),
        "exercises": {r["id"]: _exercise(r, tried[r["id"]]) for r in exercises if r["id"] in tried},
        "quiz": {q["id"]: _question(tried[q["id"]]) for q in questions if q["id"] in tried},
    }


def preview(document: dict[str, Any]) -> list[str]:
    """Say in words everything that a summary holds: every value of the document is in one of the lines."""
    learner, course = document["learner"], document["course"]
    named = f"Name: {learner['name']}" if learner["name"] else "No name (add one with --name)"
    lines = [
        f"{named}. Learner number {learner['id']}: random, kept in your progress folder, so that a later summary "
        "replaces this one.",
        f"Summary {document['serial']} of yours, made on {document['exported']}; {document['format']}, version "
        f"{document['version']}; course {course['version']}, commit {course['commit'] or 'unknown'}.",
        f"Days on which you worked: {', '.join(document['days']) or 'none yet'}.",
    ]
    lines += [f"Ticked, {lesson}: {', '.join(ids)}" for lesson, ids in document["ticked"].items()]
    lines += [f"Exercise {id}: {_in_words(entry)}" for id, entry in document["exercises"].items()]
    lines += [f"Quiz {id}: {_quiz_in_words(entry)}" for id, entry in document["quiz"].items()]
    return lines


def checksum(document: dict[str, Any]) -> str:
    """Digest a summary, its own "checksum" left out, so that an accidental change is noticed (SHA-256)."""
    content = {key: value for key, value in document.items() if key != "checksum"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def text_of(document: dict[str, Any]) -> str:
    """Write a summary as it stands in the file: plain ASCII with its checksum, for people to read too."""
    return json.dumps({**document, "checksum": checksum(document)}, indent=1) + "\n"


def export(
    file: Path | None = None,
    name: str | None = None,
    yes: bool = False,
    say: Callable[[str], Any] = print,
    read: Callable[[str], str] = input,
) -> Path | None:
    """Show the summary, ask, and write it: the learner's yes is the sign-off."""
    document = collect(name)
    path = _target(file, document["learner"]["id"])
    say("This is everything the summary says:\n")
    for line in [*preview(document), "", WHAT_STAYS, CHECKSUM, ""]:
        say(line)
    if not (yes or _agreed(path, read)):
        say("Nothing was written.")
        return None
    files.write(path, text_of(document))
    _keep_identity({"id": document["learner"]["id"], "exports": document["serial"]})
    say(f"Written to {path}. It was sent nowhere: give it to your instructor yourself.")
    return path


def _agreed(path: Path, read: Callable[[str], str]) -> bool:
    try:
        answer = read(f"Write this to {path}? [y/N] ")
    except EOFError as error:
        raise LabError(
            "Nobody answered, so nothing was written. If you agree to what is shown above, add --yes."
        ) from error
    return answer.strip().lower() in ("y", "yes")


def _target(file: Path | None, learner: str) -> Path:
    """Choose the file; what is there and is no summary stays."""
    path = Path(file or ".").expanduser()
    path = path / f"summary-{learner}.json" if path.is_dir() else path
    if path.suffix.lower() != ".json":
        raise LabError(
            f"{path} does not end in .json, by which `lab class` knows a summary. Call it {path}.json."
        )
    if path.exists() and f'"{FORMAT}"'.encode() not in files.read_bytes(path)[:200]:
        raise LabError(
            f"{path} is there already and is no summary, so it stays as it is. Choose another name."
        )
    return path.absolute()


def _ticked() -> dict[str, list[str]]:
    """List the ticked ids of the timetable by lesson; lines that the learner added are the learner's own."""
    done = checklists.read()
    groups = {day["id"]: timetable.items(day) for day in timetable.lessons()}
    groups |= {week["id"]: week.get("checkpoints") or [] for week in timetable.load()["weeks"]}
    found = {name: [item["id"] for item in items if done.get(item["id"])] for name, items in groups.items()}
    return {name: ids for name, ids in found.items() if ids}


def _exercise(record: dict[str, Any], tried: list[checklists.Attempt]) -> dict[str, Any]:
    wrong = [attempt.feedback for attempt in tried if attempt.passed is not True]
    last = journal.as_date(tried[-1].time)
    return {
        "attempts": len(tried),
        "passed_at": _first_right(tried),
        "first_failure": _kind(record, str(wrong[0])) if wrong else None,
        "last": str(last) if last else None,
    }


def _question(tried: list[checklists.Attempt]) -> dict[str, Any]:
    return {"answers": len(tried), "right_at": _first_right(tried)}


def _first_right(tried: list[checklists.Attempt]) -> int | None:
    return next((number for number, attempt in enumerate(tried, 1) if attempt.passed is True), None)


def _kind(record: dict[str, Any], feedback: str) -> str:
    """Name what a check found without repeating what it said: a reply may quote the learner's own names."""
    if feedback.startswith("Trying your answer out raised"):
        return ERROR
    if feedback.startswith("Your answer uses the name"):
        return UNKNOWN_NAME
    foreseen = [fragment for _, fragment in record["misconceptions"] if fragment in feedback]
    return max(foreseen, key=len, default=OTHER)


def _course() -> dict[str, str | None]:
    import subprocess

    from .. import __version__  # Colab imports the course from its folder, where pip knows no version of it

    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, cwd=current().root, capture_output=True, text=True, timeout=10)
        commit = done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return {"version": __version__, "commit": commit or None}


def _usable(name: str | None) -> str | None:
    tidy = unicodedata.normalize("NFC", " ".join((name or "").split()))
    if len(tidy) > LONGEST_NAME or not tidy.isprintable():
        raise LabError(f"--name takes up to {LONGEST_NAME} printable characters. Give a shorter, plain name.")
    return tidy or None


def _identity() -> dict[str, Any]:
    """Read the random number of this learner; one that is missing or damaged is drawn anew."""
    try:
        own = json.loads(files.read_bytes(_identity_file()))
        if re.fullmatch(r"[0-9a-f]{12}", own["id"]) and 0 <= own["exports"] < 10**6:
            return {"id": own["id"], "exports": int(own["exports"])}
    except (ValueError, KeyError, TypeError):
        pass
    return {"id": secrets.token_hex(6), "exports": 0}


def _keep_identity(own: dict[str, Any]) -> None:
    with files.locked():
        files.write(_identity_file(), (json.dumps(own) + "\n").encode())


def _identity_file() -> Path:
    return current().progress / "learner.json"


def _in_words(entry: dict[str, Any]) -> str:
    passed = f"passed at attempt {entry['passed_at']}" if entry["passed_at"] else "not passed"
    first = f"; first stumble: {entry['first_failure']}" if entry["first_failure"] else ""
    return f"{counted(entry['attempts'], 'attempt')}, {passed}{first}; last on {entry['last'] or 'an unknown day'}"


def _quiz_in_words(entry: dict[str, Any]) -> str:
    right = f"right at answer {entry['right_at']}" if entry["right_at"] else "not right yet"
    return f"{counted(entry['answers'], 'answer')}, {right}"
