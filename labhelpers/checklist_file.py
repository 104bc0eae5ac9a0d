"""Reads and changes Markdown checklists that people also edit by hand; what it does not change stays byte for byte."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# A list item with a box and an id comment: "- [x] Some text <!-- id: D04-T5 -->".
LINE = re.compile(
    r"^(?P<before>\ufeff?[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[)(?P<box>[ \t]*[xX]?[ \t]*)(?P<after>\](?P<text>[^\r\n]*?)"
    r"<!--[ \t]*id:[ \t]*(?P<id>[\w.-]+)[ \t]*-->)",
    re.MULTILINE,
)
MENTION = re.compile(r"<!--[ \t]*id:[ \t]*([\w.-]+)[ \t]*-->")


@dataclass(frozen=True)
class Document:
    """A text with the encoding that gives its bytes back exactly."""

    text: str
    encoding: str = "utf-8"

    @property
    def newline(self) -> str:
        """The line end this file uses."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def to_bytes(self) -> bytes:
        """Encode the text as it was read, byte-order mark included."""
        return self.text.encode(self.encoding)


def decode(raw: bytes) -> Document:
    """Read bytes as UTF-8, as UTF-16 where a byte-order mark says so, and else one character per byte.

    Args:
        raw: the whole file.

    Returns:
        A Document whose `to_bytes()` equals `raw`. A byte-order mark stays in the text as its first character.
    """
    marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    for encoding in (marks.get(raw[:2]), "utf-8", "latin-1"):
        try:
            document = Document(raw.decode(encoding), encoding) if encoding else None
        except UnicodeDecodeError:
            continue
        if document and document.to_bytes() == raw:
            return document
    raise AssertionError("latin-1 decodes every byte")


def boxes(text: str) -> dict[str, bool]:
    """List the ids that have a box and whether it is ticked; the first line of an id counts.

    Args:
        text: a Markdown checklist.
    """
    found: dict[str, bool] = {}
    for match in LINE.finditer(text):
        found.setdefault(match["id"], match["box"].strip() != "")
    return found


def line_of(text: str, id: str) -> int | None:
    """Give the line number (from 1) of the first mention of an id, box or no box."""
    match = next((match for match in MENTION.finditer(text) if match[1] == id), None)
    return text.count("\n", 0, match.start()) + 1 if match else None


def with_box(document: Document, id: str, done: bool) -> Document:
    """Tick or clear the box of one id, and change nothing else.

    Args:
        document: a checklist in which the id has a box.
        id: such as "D04-T5".
        done: True ticks.

    Returns:
        The same document if the box is already so.
    """
    match = next(match for match in LINE.finditer(document.text) if match["id"] == id)
    if (match["box"].strip() != "") == done:
        return document
    text = document.text[: match.start("box")] + ("x" if done else " ") + document.text[match.end("box") :]
    return Document(text, document.encoding)


def with_text(document: Document, text: str) -> Document:
    """Append text in the document's own line ends and encoding, after a blank line.

    Args:
        document: any text file.
        text: lines separated by "\\n".

    Returns:
        The longer document. Where an old one-byte encoding cannot hold the text, it goes in as UTF-8.
    """
    end = document.newline
    start = document.text.rstrip("\r\n")
    gap = document.text[len(start) :]
    missing = 0 if start in ("", "\ufeff") else max(0, 2 - gap.count("\n"))
    added = end * missing + text.rstrip("\n").replace("\n", end) + end
    if document.encoding == "latin-1" and any(ord(character) > 255 for character in added):
        added = added.encode().decode("latin-1")
    return Document(document.text + added, document.encoding)


def template(week: dict[str, Any], label: Any) -> str:
    """Write the checklist of a week as Markdown.

    Args:
        week: from the timetable.
        label: function that names a day, such as "Day 4".
    """
    lines = [
        f"# {week['title']}",
        "",
        "Tick a box here or in the lesson; keep the id comments. Notes are welcome.",
    ]
    for day in week["days"]:
        lines += section(f"{label(day)} · {day['title']}", items(day))
    lines += section("At the end of the week", week.get("checkpoints") or [])
    return "\n".join(lines) + "\n"


def items(day: dict[str, Any]) -> list[dict[str, str]]:
    """List what can be ticked for a day: its checklist and its milestone."""
    milestone = {"id": day.get("milestone_id"), "text": f"Milestone: {day.get('milestone')}"}
    return [*(day.get("checklist") or []), *([milestone] if day.get("milestone_id") else [])]


def section(title: str, entries: Iterable[dict[str, str]]) -> list[str]:
    """Write a heading with one open box per entry; nothing when there are no entries."""
    lines = [f"- [ ] {' '.join(entry['text'].split())} <!-- id: {entry['id']} -->" for entry in entries]
    return ["", f"## {title}", "", *lines] if lines else []
