"""The last look at a project before it goes out: a rubric, each point with the evidence that was found."""

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import checks, rebuild, scaffold, trial

MOST_PAGES = 4
PAGES = ("README.md", "docs/model_card.md", "docs/report.md")


def final(folder: str | Path) -> bool:
    """Judge a finished project in a clone of it, and print a line of evidence for each point.

    Args:
        folder: a project that `new` made.

    Returns:
        Whether every point is met.

    Raises:
        LabError: when there is no project in the folder.
    """
    folder = checks.project_in(folder).absolute()
    left = scaffold.open_pieces(folder)
    points: dict[str, Callable[[Path], tuple[bool, str]]] = {
        "committed, with a version": lambda clone: _version(folder),
        "nothing is left to write": lambda clone: _written(left),
        "the tests are green": _tests,
        "the code is clean": _clean,
        "what only you can say is said": _said,
        "every page shows the measured score": _shows,
        f"the report has at most {MOST_PAGES} pages": _pages,
        "a stranger gets the same number": lambda clone: rebuild.outcome(folder),
    }
    with _cloned(folder) as clone:
        met = [_line(title, judge, clone) for title, judge in points.items()]
    print(f"{sum(met)} of {len(met)} points")
    return all(met)


def _line(title: str, judge: Callable[[Path], tuple[bool, str]], clone: Path) -> bool:
    try:
        good, evidence = judge(clone)
    except trial.Trouble as trouble:
        good, evidence = False, str(trouble)
    print(f"{checks.MARKS['right' if good else 'wrong']} {title}: {evidence}")
    return good


@contextmanager
def _cloned(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="final-") as place:
        clone = Path(place) / "clone"
        trial.run(Path(place), ["git", "clone", "--quiet", str(folder), str(clone)])
        yield clone


def _version(folder: Path) -> tuple[bool, str]:
    if changed := trial.run(folder, ["git", "status", "--porcelain"]).stdout.splitlines():
        return False, f"{changed[0][3:]} is in no commit. git add --all, git commit."
    tag = trial.run(folder, ["git", "describe", "--exact-match", "HEAD"])
    if tag.returncode:
        return False, 'this commit has no version. git tag -a v1.0.0 -m "What it is"'
    commit = trial.run(folder, ["git", "rev-parse", "--short", "HEAD"]).stdout.strip()
    return True, f"{tag.stdout.strip()} is commit {commit}"


def _written(left: list[tuple[str, str]]) -> tuple[bool, str]:
    if left:
        return False, f"{left[0][0]} · {left[0][1]}"
    return True, "every gap is filled; `lab project check` judges each"


def _tests(clone: Path) -> tuple[bool, str]:
    done = trial.run(clone, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
    last = (done.stdout.strip().splitlines() or ["pytest says nothing"])[-1].strip("= ")
    return done.returncode == 0, last


def _clean(clone: Path) -> tuple[bool, str]:
    done = trial.run(
        clone, [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."]
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode == 0, said[0] if said else "ruff has nothing to say"


def _said(clone: Path) -> tuple[bool, str]:
    code = "from src import publish\nfound = len(publish.words().model_dump())"
    return True, f"{trial.answer(clone, code)} sentences in docs/words.yaml"


def _shows(clone: Path) -> tuple[bool, str]:
    text = (
        (clone / "metrics.json").read_text(encoding="utf-8") if (clone / "metrics.json").is_file() else "{}"
    )
    found = json.loads(text)
    if not {"score", "score_low", "score_high"} <= set(found):
        return (
            False,
            "metrics.json is in no commit, or lacks its interval. dvc repro, then commit what it made.",
        )
    code = f"from src import publish\nfound = publish.shown({found['score']}, {found['score_low']}, {found['score_high']})"
    score = trial.answer(clone, code)
    for name in PAGES:
        page = clone / name
        if not page.is_file() or score not in page.read_text(encoding="utf-8"):
            return False, f"{name} does not show {score}. python -m src.publish"
    return True, score


def _pages(clone: Path) -> tuple[bool, str]:
    paper = clone / "docs" / "report.pdf"
    if not paper.is_file():
        return False, "docs/report.pdf is in no commit. python -m src.publish"
    count = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    return 0 < count <= MOST_PAGES, f"{count} in docs/report.pdf"
