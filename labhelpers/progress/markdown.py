"""Markdown checklists that people edit by hand too: the one grammar of a checkbox line; all else stays as it is."""

import re
from collections.abc import Iterable

ID = r"<!--[ \t]*id:[ \t]*(?P<id>[\w.-]+)[ \t]*-->"
# THE checkbox line: "- [x] Some text <!-- id: D04-T5 -->", or without an id where the line is the learner's own.
# `line` writes it; to give it another look, change these two and nothing else.
LINE = re.compile(
    r"^(?P<before>\ufeff?[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[)(?P<box>[ \t]*(?:[xX][ \t]*)?)"
    rf"(?P<after>\](?P<text>[^\r\n]*?)(?:{ID}|(?=\r?$)))",
    re.MULTILINE,
)
MENTION = re.compile(ID)
CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?=[ \r\n]|$)", re.MULTILINE)


def line(entry: dict[str, str]) -> str:
    """Write the open box of an item."""
    return f"- [ ] {' '.join(entry['text'].split())} {comment(entry['id'])}"


def comment(id: str) -> str:
    """Write the comment that says which item a line is."""
    return f"<!-- id: {id} -->"


def section(title: str, entries: Iterable[dict[str, str]]) -> str:
    """Write a heading with one open box per item."""
    return "\n".join([f"## {title}", "", *map(line, entries)])


def is_ticked(match: re.Match[str]) -> bool:
    """Tell whether a LINE is ticked."""
    return match["box"].strip() != ""


def boxes(text: str) -> dict[str, bool]:
    """List the ids that have a box and whether it is ticked; of several boxes with one id, one tick counts."""
    found: dict[str, bool] = {}
    for match in LINE.finditer(text):
        if match["id"]:
            found[match["id"]] = found.get(match["id"], False) or is_ticked(match)
    return found


def with_box(text: str, id: str, done: bool) -> str:
    """Tick or clear each box of one id (in a merge conflict it has one on either side), and change nothing else."""

    def marked(match: re.Match[str]) -> str:
        if match["id"] != id or is_ticked(match) == done:
            return match[0]
        return match["before"] + ("x" if done else " ") + match["after"]

    return LINE.sub(marked, text)


def emptied(text: str) -> str:
    """Give the text with every box empty, to compare the words of two versions."""
    return LINE.sub(r"\g<before> \g<after>", text)


def with_text(text: str, added: str) -> str:
    """Append lines after a blank one, with the line ends that the text has."""
    end, start = newline(text), text.rstrip("\r\n")
    missing = 0 if start in ("", "\ufeff") else max(0, 2 - text[len(start) :].count(end))
    return text + end * missing + added.rstrip("\n").replace("\n", end) + end


def newline(text: str) -> str:
    """Tell the line end that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def line_of(text: str, id: str) -> int | None:
    """Give the line number (from 1) of the first mention of an id, box or no box."""
    match = next((match for match in MENTION.finditer(text) if match["id"] == id), None)
    return _number(text, match) if match else None


def problems(text: str) -> list[tuple[int, str]]:
    """List the numbers of the lines that cannot be understood, each with what is wrong there and what to do."""
    found = []
    for match in CONFLICT.finditer(text):
        if match[0] != "=" * 7 or "<" * 7 in text:  # a row of = alone underlines a heading
            what = "two versions met here (a merge conflict). Keep what is right, delete the marker lines"
            found.append((_number(text, match), what))
    readable = {match.end() for match in LINE.finditer(text)}
    seen: set[str] = set()
    for match in MENTION.finditer(text):
        if match.end() not in readable:
            what = f"the id {match['id']} has no box that can be read. Begin the line with `- [ ]`"
            found.append((_number(text, match), what))
        elif match["id"] in seen:
            what = f"the id {match['id']} stands here again; a tick in either counts. Delete one"
            found.append((_number(text, match), what))
        seen.add(match["id"])
    return sorted(found)


def _number(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1
