"""The paths select lessons that exist, whole and in order, and everything the paths promise has words and a place."""

import copy
import itertools
from collections import Counter

import pytest

from labhelpers.core import timetable
from labhelpers.core.settings import LabError, current
from labhelpers.progress.plan import paths


def rows(branch):
    """Everything in the file that has an id and words: steps, outcomes, checks, questions, cells."""
    if isinstance(branch, dict):
        if "id" in branch:
            yield branch
        branch = list(branch.values())
    if isinstance(branch, list):
        for each in branch:
            yield from rows(each)


def problems(course):
    """What the file says that the timetable and the guides do not know."""
    lessons, to_come = {day["id"] for day in timetable.lessons()}, set(course["planned_lessons"])
    guides = current().root / "curriculum" / "guides"
    found = [f"{name} is in the timetable now: delete it from planned_lessons" for name in to_come & lessons]
    for name, chosen in course["paths"].items():
        missing = set(paths.with_prerequisites(chosen["lessons"])) - set(chosen["lessons"])
        found += [f"{name} lacks {each}, on which a lesson of it builds" for each in missing]
    for row in rows(course):
        found += [f"{row['id']}: no lesson {each}" for each in set(row.get("in", [])) - lessons - to_come]
        pages = [*row.get("guides", []), *([row["guide"]] if "guide" in row else [])]
        found += [f"{row['id']}: no guide {each}" for each in pages if not (guides / f"{each}.md").is_file()]
        found += (
            [] if row.get("text") or row.get("missing") or row.get("title") else [f"{row['id']}: no words"]
        )
    counted = Counter(row["id"] for row in rows(course))
    return found + [f"{id} stands twice" for id, count in counted.items() if count > 1]


def test_the_file_agrees_with_the_timetable_and_the_guides():
    assert problems(paths.load()) == []


def test_mistakes_in_the_file_would_be_named():
    broken = copy.deepcopy(paths.load())
    broken["paths"]["quick_start"]["lessons"].remove("day03")
    broken["planned_lessons"]["day07"] = "QLoRA, again"
    broken["completion"]["technical"][0] |= {"in": ["day99"], "guide": "nowhere"}
    broken["next_steps"].append({"id": "NX-1", "text": ""})
    assert sorted(problems(broken)) == [
        "CC-T1: no guide nowhere",
        "CC-T1: no lesson day99",
        "NX-1 stands twice",
        "NX-1: no words",
        "day07 is in the timetable now: delete it from planned_lessons",
        "quick_start lacks day03, on which a lesson of it builds",
    ]


@pytest.mark.parametrize("name", paths.names("path"))
def test_every_step_and_check_of_a_path_says_where_it_happens(name):
    path = paths.get("path", name)
    steps = [row for stage in path["stages"] for row in stage["steps"]] + path["checks"]
    assert [row["id"] for row in steps if not row.get("in")] == []
    taken = {*path["lessons"], *path["techniques"], *path["to_come"]}
    elsewhere = {row["id"]: set(row["in"]) - taken for row in steps if set(row["in"]) - taken}
    assert elsewhere == {}, "a step happens in a lesson that the path does not have"


def test_a_selection_holds_what_its_lessons_build_on_unless_the_learner_knows_it():
    order = [day["id"] for day in timetable.lessons()]
    kinds = [
        paths.names("path"),
        paths.names("pace"),
        (None, *paths.names("focus")),
        (None, *paths.names("background")),
    ]
    for path, pace, focus, background in itertools.product(*kinds):
        chosen, whole = paths.select(path, pace, focus, background), set(paths.get("path", path)["lessons"])
        known = set(paths.get("background", background)["known"]) if background else set()
        assert list(chosen.lessons) == sorted(chosen.lessons, key=order.index)
        assert set(paths.with_prerequisites(chosen.lessons)) - set(chosen.lessons) <= known
        assert set(chosen.left_out) == whole - set(chosen.lessons), (path, pace, focus, background)
        assert set(chosen.added) == set(chosen.lessons) - whole


def test_longer_paths_contain_the_shorter_ones():
    quick, deep, production = (
        {*paths.get("path", name)["lessons"], *paths.get("path", name)["techniques"]}
        for name in ("quick_start", "deep_dive", "production_ready")
    )
    assert quick < deep < production == {day["id"] for day in timetable.lessons()}


def test_a_focus_brings_its_lessons_and_the_pace_trims_extras():
    aimed = paths.select("quick", "standard", focus="quality")
    assert {"day08", "day18", "day13"} <= set(aimed.added)
    fast = paths.select("production_ready", "accelerated")
    assert "weekend1_saturday" in fast.left_out and "weekend1_saturday" not in fast.lessons
    asked_for = paths.select("production_ready", "accelerated", focus="research")
    assert "weekend1_saturday" in asked_for.lessons, "what a focus asks for is not trimmed"


def test_each_focus_and_background_changes_the_deep_dive():
    plain = paths.select("deep_dive", "standard")
    for name in paths.names("focus"):
        assert paths.select("deep_dive", "standard", focus=name) != plain
    assert "day03" in paths.select("deep_dive", "standard", background="strong_ml").left_out
    assert paths.select("quick_start", "standard", background="strong_engineering").added == (
        "day05",
        "weekend1_saturday",
    )


def test_names_are_found_as_people_type_them():
    for typed in ("quick_start", "Quick Start", "quick-start", "QUICK"):
        assert paths.resolve("path", typed) == "quick_start"
    with pytest.raises(LabError, match=r"Did you mean --pace relaxed\?.*standard, accelerated"):
        paths.get("pace", "relxaed")
    with pytest.raises(LabError, match="strong_ml, strong_engineering, new_to_both"):
        paths.get("background", "strong")
    with pytest.raises(LabError, match="no path ''"):
        paths.resolve("path", "")


def test_the_matrix_of_techniques_marks_the_cells_that_do_not_exist():
    techniques = paths.load()["techniques"]
    assert [entry["name"] for entry in techniques] == ["full", "lora", "qlora", "prompt_tuning", "adapters"]
    missing = {cell["id"] for entry in techniques for cell in entry["cells"].values() if "missing" in cell}
    assert missing == {"TX-QLORA-B", "TX-PT-E", "TX-AD-B"}
    assert all(list(entry["cells"]) == ["beginner", "intermediate", "expert"] for entry in techniques)
    assert all(
        cell.get("in") for entry in techniques for cell in entry["cells"].values() if "missing" not in cell
    )


def test_paces_state_a_week_of_days_and_hours():
    for name in paths.names("pace"):
        pace = paths.get("pace", name)
        assert len(pace["minutes"]) == len(pace["begins"]) == 7
        assert all(0 <= minutes <= 720 and minutes % 5 == 0 for minutes in pace["minutes"])
