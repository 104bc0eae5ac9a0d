"""Reads what pytest left of a run with newer packages, and names the API that moved in which package."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.settings import current

# The kinds of error by which a moved API shows; a plain AssertionError tells about a changed result.
API_ERROR = re.compile(
    r"\b(?P<kind>ImportError|ModuleNotFoundError|AttributeError|TypeError|\w*Warning)\b: (?P<message>[^\n]+)"
)
ANY_ERROR = re.compile(r"^E\s+(?:[\w.]*\.)?(?P<kind>\w+(?:Error|Exception)): (?P<message>[^\n]+)", re.M)
MODULE = re.compile(
    r"cannot import name .+? from '(?P<a>\w+)|No module named '(?P<b>\w+)|module '(?P<c>\w+)[\w.]*' has no"
)
NAME = re.compile(
    r"'(?P<a>\w+)' object has no|type object '(?P<b>\w+)'|(?P<c>\w+)(?:\.\w+)?\(\) (?:got|missing|takes)"
)
PYTEST = ("_pytest", "pluggy", "pytest")
INSTALLED = re.compile(r"site-packages/(?P<module>\w+)")


@dataclass(frozen=True)
class Failure:
    """One failed test.

    Attributes:
        test: its id, such as "tests/unit/test_cli.py::test_x[day04]"; of a file that could not be read, the file.
        text: what pytest printed about it.
    """

    test: str
    text: str


@dataclass(frozen=True)
class Moved:
    """One API that moved, or one result that changed.

    Attributes:
        package: the distribution it belongs to; "" when nothing in the error says so.
        error: such as "ImportError: cannot import name 'X' from 'Y'".
        tests: ids of the tests that met it, in order.
    """

    package: str
    error: str
    tests: list[str]


def failures(report: Path) -> list[Failure]:
    """Read a report of `pytest --junitxml` with `-o junit_family=xunit1`.

    Args:
        report: the XML file.

    Returns:
        The tests that failed or could not be collected, in order.
    """
    found = []
    # Written a moment ago by our own pytest: not a file from outside.
    for case in ElementTree.parse(report).iter("testcase"):
        for kind in ("failure", "error"):
            for part in case.findall(kind):
                found.append(Failure(_test_id(case), f"{part.get('message', '')}\n{part.text or ''}"))
    return found


def moved(
    failed: Iterable[Failure], distributions: Mapping[str, str], changed: Collection[str] = ()
) -> list[Moved]:
    """Group failures by the API that they met.

    Args:
        failed: failed tests, in order.
        distributions: importable name → name of the distribution, such as "sklearn" → "scikit-learn".
        changed: distributions with another version than the locked one; they are suspected first, because an error
            often shows in a package that only hands it on.

    Returns:
        One entry per package and error, in the order in which they were first seen.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for failure in failed:
        error = error_of(failure.text)
        owners = [distributions.get(module, "") for module in modules_of(error, failure.text)]
        package = next(iter([*(owner for owner in owners if owner in changed), *filter(None, owners)]), "")
        groups.setdefault((package, error), []).append(failure.test)
    return [Moved(package, error, tests) for (package, error), tests in groups.items()]


def error_of(text: str) -> str:
    """Find the error that tells most about an API.

    Args:
        text: what pytest printed about a failed test; the error of a lesson's cell stands inside an assertion.

    Returns:
        Its kind and message in one line, without the path of a file.
    """
    found = API_ERROR.search(text) or ANY_ERROR.search(text)
    if not found:
        return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    message = re.sub(r" \((?:/|[A-Z]:)[^)]*\)", "", found["message"])
    # A lesson's error stands in quotes inside `assert '…' is None`.
    return f"{found['kind']}: {re.split(r' is None$|$', message)[0].strip()}".removesuffix('"')


def modules_of(error: str, text: str) -> list[str]:
    """Tell which importable packages an error may be about.

    Args:
        error: from `error_of`.
        text: everything pytest printed.

    Returns:
        Such as ["sklearn"], the likeliest first: what the error names, then the places in installed packages that the
        traceback went through, the last one first.
    """
    found = []
    if named := MODULE.search(error):
        found += filter(None, named.groups())
    if named := NAME.search(error):
        found += filter(None, [_imported_from(next(filter(None, named.groups())))])
    # pytest's own frames are below every test.
    return found + [place for place in reversed(INSTALLED.findall(text)) if place not in PYTEST]


def _imported_from(name: str) -> str:
    """The package from which the course imports a name such as TrainingArguments; "" when it does not."""
    line = re.compile(rf"^\s*from (\w+)[\w.]* import (?:\([^)]*|[^\n]*)\b{re.escape(name)}\b", re.M)
    root = current().root
    for folder in ("labhelpers", "curriculum/manuscripts", "tests"):
        for path in sorted((root / folder).rglob("*.py")):
            found = line.search(path.read_text(encoding="utf-8"))
            if found:
                return found[1]
    return ""


def _test_id(case: ElementTree.Element) -> str:
    file, name = case.get("file") or "", case.get("name") or ""
    if not case.get("classname"):  # a file that could not be collected
        return file or name.replace(".", "/") + ".py"
    return f"{file or case.get('classname', '').replace('.', '/') + '.py'}::{name}"
