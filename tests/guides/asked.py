"""What was asked of the course, and where it stands: asked.txt lists the ids, anchors in curriculum/ name their places."""

import re
from pathlib import Path

from labhelpers.core import timetable
from labhelpers.core.settings import current

# `<!-- asked: G-017, G-018 -->` in Markdown and in a manuscript's prose, `# asked: DAY-P01` in YAML.
ANCHOR = re.compile(r"(?:<!--|#) asked: (?P<ids>[\w-]+(?:, [\w-]+)*)")
IN_PROSE = re.compile(r"^<!-- asked: .*? -->\n| <!-- asked: .*? -->", re.M)


def ids() -> list[str]:
    """Every id that was asked for, in the order of the list."""
    text = Path(__file__).with_name("asked.txt").read_text(encoding="utf-8")
    words = re.sub(r"^#.*", "", text, flags=re.M).split()
    return [id for word in words for id in _spread(word)]


def _spread(word: str) -> list[str]:
    """`A-08..10` is A-08, A-09 and A-10."""
    if ".." not in word:
        return [word]
    stem, first, last = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)", word).groups()
    return [f"{stem}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]


def without_anchors(text: str) -> str:
    """A page as its readers see it."""
    return IN_PROSE.sub("", text)


def places() -> dict[str, set[str]]:
    """id → the files that name it in an anchor."""
    root = current().root
    found: dict[str, set[str]] = {}
    for path in [root / "progress" / "README.md", *(root / "curriculum").rglob("*.*")]:
        if path.suffix in (".md", ".py", ".yaml"):
            for match in ANCHOR.finditer(path.read_text(encoding="utf-8")):
                for id in match["ids"].split(", "):
                    found.setdefault(id, set()).add(path.relative_to(root).as_posix())
    return found


def visible() -> set[str]:
    """Ids that readers see, and that need no anchor: claims of the myths, rows of the paths, checkpoints of a week."""
    folder = current().root / "curriculum"
    pages = "".join(path.read_text(encoding="utf-8") for path in (folder / "guides").glob("myths_*.md"))
    rows = re.findall(r"\bid: ([\w-]+)", (folder / "paths.yaml").read_text(encoding="utf-8"))
    points = (point["id"] for week in timetable.weeks() for point in week.get("checkpoints", []))
    return {*re.findall(r"`(C-\w+)`", pages), *rows, *points}
