"""A report that two write: the course its generated part, the learner everything else, which stays byte for byte."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from . import markdown
from .markdown import Document

# The generated part, unless a mark of the learner's parts lies in it: then an end mark has wandered, and it is left alone.
BLOCK = re.compile(
    r"<!--[ \t]*generated: begin (?P<digest>[0-9a-f]{12})[ \t]*-->"
    r"(?P<content>(?:(?!<!--[ \t]*(?:generated|yours):).)*)"
    r"<!--[ \t]*generated: end[ \t]*-->",
    re.DOTALL,
)
NOTES = "notes"
MOVED = "*Moved here from the generated part, which is made again each time:*"


@dataclass(frozen=True)
class Part:
    """A part of the report that only the learner can write.

    Attributes:
        name: what its marks are called.
        title: its heading.
        prompt: what stands in it until the learner writes.
    """

    name: str
    title: str
    prompt: str

    def text(self) -> str:
        """The empty part, with its heading and its marks."""
        return f"## {self.title}\n\n<!-- yours: begin {self.name} -->\n{self.prompt}\n<!-- yours: end {self.name} -->"


def refresh(
    document: Document, title: str, body: str, parts: Sequence[Part], earlier: str = ""
) -> tuple[Document, int]:
    """Put a new generated part into a report and keep every character that somebody else wrote.

    Lines typed into the old generated part move to the notes. Where the marks of the generated part are damaged, what
    lies between them counts as the learner's and stays; the new part then goes to the end.

    Args:
        document: the report as it is on disk; an empty one is started.
        title: heading of a new report.
        body: the generated part, Markdown with "\\n" line ends.
        parts: the learner's parts; one whose marks are both gone is added at the end.
        earlier: the generated part of last time, so that its old numbers are not taken for the learner's lines.

    Returns:
        The report, in the encoding and with the line ends it had, and the number of lines moved to the notes.
    """
    if not document.text.strip("\ufeff \r\n"):
        document = markdown.with_text(document, f"# {title}")
    moved: list[str] = []
    fresh = _written(document, _block(document, body))

    def renew(match: re.Match[str]) -> str:
        moved.extend(_typed_lines(match, _written(document, body), _written(document, earlier)))
        return fresh

    text, found = BLOCK.subn(renew, document.text)
    document = Document(text, document.encoding)
    if not found:
        document = markdown.with_text(document, _block(document, body))
    for part in parts:
        if not re.search(_mark("begin|end", part.name), document.text):
            document = markdown.with_text(document, part.text())
    return (_with_notes(document, moved) if moved else document), len(moved)


def unwritten(document: Document, parts: Sequence[Part]) -> list[str]:
    """List the titles of the learner's parts in which nothing but the prompt stands.

    Args:
        document: a report.
        parts: the learner's parts; the notes are not asked for.
    """
    titles = []
    for part in parts:
        pair = re.search(
            _mark("begin", part.name) + "(.*?)" + _mark("end", part.name), document.text, re.DOTALL
        )
        words = pair[1].split() if pair else ["?"]
        if part.name != NOTES and words in ([], part.prompt.split()):
            titles.append(part.title)
    return titles


def readable(document: Document) -> str:
    """Give the report without its marks, as a person reads it."""
    return re.sub(r"<!--[ \t]*(?:generated|yours):[^\r\n]*?-->\r?\n?", "", document.text.lstrip("\ufeff"))


def _block(document: Document, body: str) -> str:
    # The digest of what will be read back tells next time whether somebody has typed in here.
    content = f"\n{_written(document, body)}\n".replace("\r\n", "\n")
    return f"<!-- generated: begin {_digest(content)} -->\n{body}\n<!-- generated: end -->"


def _typed_lines(block: re.Match[str], *bodies: str) -> list[str]:
    """List the lines of a generated part that we have not written: empty ones do not count."""
    content = block["content"].replace("\r\n", "\n")
    if _digest(content) == block["digest"]:
        return []
    ours: Counter[str] = Counter()
    for body in bodies:
        ours |= Counter(line.rstrip("\r") for line in body.split("\n"))
    typed = []
    for line in content.split("\n"):
        ours[line] -= 1
        if ours[line] < 0 and line.strip():
            typed.append(line)
    return typed


def _with_notes(document: Document, lines: Sequence[str]) -> Document:
    """Add lines at the end of the notes, or of the report where the notes have no end."""
    ends = list(re.finditer(_mark("end", NOTES), document.text))
    if not ends:
        return markdown.with_text(document, "\n".join([MOVED, "", *lines]))
    # At the beginning of the line, so that no line of the learner's is cut in two.
    at = document.text.rfind("\n", 0, ends[-1].start()) + 1
    added = _written(document, "\n".join(["", MOVED, "", *lines, "", ""]))
    return Document(document.text[:at] + added + document.text[at:], document.encoding)


def _written(document: Document, text: str) -> str:
    """Turn our text into what this file can hold: its line ends and, in an old one-byte encoding, UTF-8 in bytes."""
    if document.encoding == "latin-1" and any(ord(character) > 255 for character in text):
        text = text.encode().decode("latin-1")
    return text.replace("\n", document.newline)


def _mark(which: str, name: str) -> str:
    return rf"<!--[ \t]*yours: (?:{which}) {re.escape(name)}[ \t]*-->"


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
