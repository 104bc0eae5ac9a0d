"""Reads and changes Markdown checklists that people also edit by hand; what it does not change stays byte for byte."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..core import timetable

# A list item with a box and an id comment: "- [x] Some text <!-- id: D04-T5 -->".
LINE = re.compile(
    r"(?:^|(?<=\r))(?P<before>\ufeff?[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[)(?P<box>[ \t]*(?:[xX][ \t]*)?)"
    r"(?P<after>\](?P<text>[^\r\n]*?)<!--[ \t]*id:[ \t]*(?P<id>[\w.-]+)[ \t]*-->)",
    re.MULTILINE,
)
MENTION = re.compile(r"<!--[ \t]*id:[ \t]*([\w.-]+)[ \t]*-->")
CONFLICT = re.compile(r"(?:^|(?<=\r))(?:<{7}|\|{7}|={7}|>{7})(?=[ \r\n]|$)", re.MULTILINE)
# What no text holds: control characters other than tab, line ends, form feed and escape.
NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class Document:
    """A text with the encoding that gives its bytes back exactly; `tail` is a character cut in half at the end."""

    text: str
    encoding: str = "utf-8"
    tail: bytes = b""

    @property
    def newline(self) -> str:
        """The line end this file uses."""
        return next((end for end in ("\r\n", "\n", "\r") if end in self.text), "\n")

    @property
    def is_wide(self) -> bool:
        """Whether a character takes several bytes throughout, as in UTF-16."""
        return self.encoding.startswith(("utf-16", "utf-32"))

    @property
    def is_garbled(self) -> bool:
        """Whether this is no checklist that a program could go on writing: binary data without one line of ours."""
        return bool(NO_TEXT.search(self.text)) and not LINE.search(self.text)

    def to_bytes(self) -> bytes:
        """Encode the text as it was read, byte-order mark included."""
        return self.text.encode(self.encoding, _errors(self.encoding)) + self.tail


def decode(raw: bytes) -> Document:
    """Read bytes as UTF-8, as UTF-16 or UTF-32 where they look like it, and else one character per byte.

    Args:
        raw: the whole file.

    Returns:
        A Document whose `to_bytes()` equals `raw`. A byte-order mark stays in the text as its first character.
    """
    for encoding in (_wide(raw), "utf-8"):
        try:
            document = _decoded(raw, encoding) if encoding else None
        except UnicodeDecodeError:
            continue
        if document and document.to_bytes() == raw:
            return document
    return Document(raw.decode("latin-1"), "latin-1")


def boxes(text: str) -> dict[str, bool]:
    """List the ids that have a box and whether it is ticked; of several boxes with one id, one tick counts.

    Args:
        text: a Markdown checklist.
    """
    found: dict[str, bool] = {}
    for match in LINE.finditer(text):
        found[match["id"]] = found.get(match["id"], False) or match["box"].strip() != ""
    return found


def problems(document: Document) -> list[tuple[int, str]]:
    """List what cannot be understood in a checklist.

    Args:
        document: a checklist.

    Returns:
        Line numbers (from 1), each with what is wrong there and what to do.
    """
    text = document.text
    if document.is_garbled:
        return [
            (_line(text, NO_TEXT.search(text).start()), "this is not text. Open the copy with what wrote it")
        ]
    found = [
        (
            match.start(),
            "two versions met here (a merge conflict). Keep what is right, delete the marker lines",
        )
        for match in CONFLICT.finditer(text)
        if match[0] != "=" * 7 or "<" * 7 in text
    ]
    readable = {match.end() for match in LINE.finditer(text)}
    seen: set[str] = set()
    for match in MENTION.finditer(text):
        if match.end() not in readable:
            found.append(
                (match.start(), f"the id {match[1]} has no box that can be read. Begin the line with `- [ ]`")
            )
        elif match[1] in seen:
            found.append(
                (match.start(), f"the id {match[1]} stands here again; a tick in either counts. Delete one")
            )
        seen.add(match[1])
    return sorted((_line(text, place), what) for place, what in found)


def line_of(text: str, id: str) -> int | None:
    """Give the line number (from 1) of the first mention of an id, box or no box."""
    match = next((match for match in MENTION.finditer(text) if match[1] == id), None)
    return _line(text, match.start()) if match else None


def with_box(document: Document, id: str, done: bool) -> Document:
    """Tick or clear each box of one id, and change nothing else.

    Args:
        document: a checklist in which the id has a box; in a merge conflict it has one on either side.
        id: such as "D04-T5".
        done: True ticks.

    Returns:
        The same document if the boxes are already so.
    """

    def marked(match: re.Match[str]) -> str:
        if match["id"] != id or (match["box"].strip() != "") == done:
            return match[0]
        return match["before"] + ("x" if done else " ") + match["after"]

    return replace(document, text=LINE.sub(marked, document.text))


def with_text(document: Document, text: str) -> Document:
    """Append text in the document's own line ends and encoding, after a blank line.

    Args:
        document: any text file.
        text: lines separated by "\\n".

    Returns:
        The longer document. Where an old one-byte encoding cannot hold the text, it goes in as UTF-8.
    """
    if not text:
        return document
    end = document.newline
    start = document.text.rstrip("\r\n")
    gap = document.text[len(start) :]
    missing = 0 if start in ("", "\ufeff") else max(0, 2 - gap.count(end))
    added = end * missing + text.rstrip("\n").replace("\n", end) + end
    return replace(document, text=document.text + written(document, added))


def written(document: Document, text: str) -> str:
    """Turn a text into characters that the document's encoding holds.

    In an old one-byte encoding that is UTF-8 in bytes; half a UTF-16 character is spelled out where it cannot stand.
    """
    if not document.encoding.startswith("utf-16"):
        text = text.encode("utf-8", "backslashreplace").decode()
    if document.encoding == "latin-1" and any(ord(character) > 255 for character in text):
        return text.encode().decode("latin-1")
    return text


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
        lines += section(timetable.heading(day), timetable.items(day))
    lines += section("At the end of the week", timetable.end_of_week(week))
    return "\n".join(lines) + "\n"


def section(title: str, entries: Iterable[dict[str, str]]) -> list[str]:
    """Write a heading with one open box per entry; nothing when there are no entries."""
    lines = [f"- [ ] {' '.join(entry['text'].split())} <!-- id: {entry['id']} -->" for entry in entries]
    return ["", f"## {title}", "", *lines] if lines else []


def _wide(raw: bytes) -> str | None:
    """Name the encoding with several bytes per character, by its mark or by the zeros between Latin letters."""
    for mark, encoding in MARKS.items():
        if raw.startswith(mark):
            return encoding
    even, odd = raw[:4096:2], raw[1:4096:2]
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(zeros) > 3 and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return encoding
    return None


def _decoded(raw: bytes, encoding: str) -> Document:
    # A character cut in half at the end must not hide the whole ones before it.
    size = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
    whole = len(raw) - len(raw) % size
    return Document(raw[:whole].decode(encoding, _errors(encoding)), encoding, raw[whole:])


def _errors(encoding: str) -> str:
    return "surrogatepass" if encoding.startswith("utf-16") else "strict"


def _line(text: str, place: int) -> int:
    """Count the line (from 1) of a place in a text, whichever line ends it uses."""
    return len(re.findall(r"\r\n|\n|\r", text[:place])) + 1
