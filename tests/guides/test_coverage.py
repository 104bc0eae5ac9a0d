"""Whatever was asked of the course is in it: each id of curriculum/coverage.yaml is found where the file says."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from labhelpers.core import timetable
from labhelpers.core.settings import current
from labhelpers.tools.authoring import guides

PATH = current().root / "curriculum" / "coverage.yaml"
COVERAGE = yaml.safe_load(PATH.read_text(encoding="utf-8"))


def numbered(prefix, last, digits):
    return [f"{prefix}-{number:0{digits}d}" for number in range(1, last + 1)]


def expected_ids():
    """The ids asked for so far: the plan, weeks 1 and 2, the techniques, the guides, the claims and the resources."""
    days = {"D01": "H R A M", "D02": "H P A N", "D03": "H L N", "D04": "H M", "D05": "H Q1 Q2 Q3 Q4 A"}
    days |= {"D06": "H", "D07": "H P", "D08": "H L", "D09": "H L A", "D10": "H L M A", "W2": "H M"}
    days |= {f"TX-{technique}": "B I E" for technique in ("FULL", "LORA", "QLORA", "PT", "AD")}
    tasks = {"D01": 9, "D02": 9, "D03": 7, "D04": 15, "D05": 4, "W1SAT": 4, "W1SUN": 4}
    tasks |= {"D06": 9, "D07": 9, "D08": 6, "D09": 5, "D10": 8, "W2SAT": 3, "W2SUN": 4}
    ids = [f"{day}-{part}" for day, parts in days.items() for part in parts.split()]
    ids += [f"{day}-T{number}" for day, count in tasks.items() for number in range(1, count + 1)]
    ids += [f"DAY-P0{number}" for number in range(1, 5)] + ["W1-H", "W1SAT-H", "W1SUN-H"]
    ids += numbered("G", 158, 3) + numbered("C", 120, 2) + ["C-36b", *(f"C-80{letter}" for letter in "abcde")]
    resources = {"P": 8, "D": 11, "V": 5, "S": 8, "M": 3, "T": 7, "B": 4, "C": 5}
    ids += (Path(__file__).with_name("asked_of_the_paths.txt")).read_text(encoding="utf-8").split()
    return ids + [
        f"R-{kind}{number:02d}" for kind, count in resources.items() for number in range(1, count + 1)
    ]


def squeezed(text):
    """Text without line breaks and without the comment signs of a manuscript."""
    return " ".join(re.sub(r"^# ", "", text, flags=re.M).split())


@cache
def place(name):
    """The text of a place: a section of a guide, or a lesson with its entry in the timetable."""
    if name.startswith("guides/"):
        file, _, anchor = name.removeprefix("guides/").partition("#")
        text = (guides.folder() / file).read_text(encoding="utf-8")
        return squeezed(guides.sections(text)[anchor] if anchor else text)
    if "/" in name:
        return squeezed((current().root / name).read_text(encoding="utf-8"))
    if name == "timetable":
        return squeezed((current().root / "curriculum" / "timetable.yaml").read_text(encoding="utf-8"))
    day = timetable.lesson(name)
    path = current().root / "curriculum" / "manuscripts" / f"{day['lesson']}.py"
    return squeezed(path.read_text(encoding="utf-8") + yaml.safe_dump(day, allow_unicode=True, width=10_000))


def test_every_id_that_was_asked_for_has_a_place():
    missing = [id for id in expected_ids() if id not in COVERAGE]
    assert missing == []


@pytest.mark.parametrize("id", COVERAGE)
def test_the_place_says_what_was_asked_for(id):
    entry = COVERAGE[id]
    assert len(str(entry["says"])) >= 5, "a shorter fragment could stand there by accident"
    assert squeezed(str(entry["says"])) in place(entry["place"]), (
        f"{entry['place']} does not say {entry['says']!r}"
    )


def test_a_dangling_place_is_noticed():
    with pytest.raises((KeyError, FileNotFoundError)):
        place("guides/lora.md#no-such-heading")
