"""The paths select lessons that exist, whole and in order, and everything the paths promise has words and a place."""

import copy

import pytest

from labhelpers.core import timetable
from labhelpers.core.settings import LabError, current
from labhelpers.progress.plan import paths


def numbered(prefix, count):
    return [f"{prefix}{number}" for number in range(1, count + 1)]


def promised_ids():
    """What the course was asked to hold about paths, paces and the way through: ids, without their words."""
    groups = {
        "P1-W1a-": 2, "P1-W1b-": 4, "P1-W1c-": 3, "P1-W2a-": 2, "P1-W2b-": 3, "P1-W2c-": 4, "P1-C": 6, "P1b-": 2, "P1b-C": 6,
        "P2-W1-": 4, "P2-W2-": 4, "P2-W3-F": 5, "P2-W3-L": 4, "P2-W4-Q": 4, "P2-W4-A": 3, "P2-W5-": 4, "P2-W6-": 5, "P2-C": 7,
        "P2b-": 3, "P2b-C": 8, "P3-W1-": 3, "P3-W3-": 3, "P3-W5-T": 4, "P3-W5-M": 4, "P3-W5-S": 3, "P3-W7-E": 4, "P3-W7-R": 4,
        "P3-W7-D": 4, "P3-W9-S": 4, "P3-W9-O": 4, "P3-W9-C": 4, "P3-W11-M": 4, "P3-W11-A": 4, "P3-W11-C": 4, "P3-W11-X": 4,
        "P3-C": 9, "P3b-": 3, "P3b-C": 12, "CP-": 4, "FLEX-": 3, "SM-": 4, "RS-": 4, "PI-": 4, "TI-": 2, "CC-T": 8, "CC-U": 6,
        "CC-P": 4, "NX-": 7, "S1-P": 5, "S1-E": 4, "S1-TIP": 2, "DR-": 11, "PATH-0": 5, "PACE-": 3,
    }  # fmt: skip
    ids = [id for prefix, count in groups.items() for id in numbered(prefix, count)]
    ids += [
        "P1-H",
        "P1b-H",
        "P2-H",
        "P2b-H",
        "P3-H",
        "P3b-H",
        "P1-NX",
        "P2-NX",
        "P3-NX",
        "CP-0",
        "PACE-0",
        "CC-0",
        "FN-1",
        "S1-0",
        "DR-0",
    ]
    ids += [f"P1-W{part}-D" for part in ("1a", "1b", "1c", "2a", "2b", "2c")]
    ids += [f"P2-W{week}-H" for week in (3, 4, 5, 6)] + [f"P2-W{week}-D" for week in (2, 3, 4, 5, 6)]
    ids += [f"P3-W{week}-{kind}" for week in (3, 5, 7, 9, 11) for kind in "HD"]
    return ids + [f"TX-{name}-{level}" for name in ("FULL", "LORA", "QLORA", "PT", "AD") for level in "BIE"]


def found_rows():
    return {row["id"]: row for row in paths.rows()}


def test_everything_that_was_asked_of_the_paths_is_there_in_words():
    rows = found_rows()
    assert [id for id in promised_ids() if id not in rows] == []
    empty = [
        row["id"] for row in rows.values() if not (row.get("text") or row.get("missing") or row.get("title"))
    ]
    assert empty == []


@pytest.mark.parametrize("name", paths.names("path"))
def test_every_step_and_check_of_a_path_says_where_it_happens(name):
    path = paths.get("path", name)
    steps = [row for stage in path["stages"] for row in stage["steps"]] + path["checks"]
    assert [row["id"] for row in steps if not row.get("in")] == []
    taken = {*path["lessons"], *path["techniques"], *path["to_come"]}
    elsewhere = {row["id"]: set(row["in"]) - taken for row in steps if set(row["in"]) - taken}
    assert elsewhere == {}, "a step happens in a lesson that the path does not have"


def test_the_file_agrees_with_the_timetable_and_the_guides():
    assert paths.problems() == []


def test_mistakes_in_the_file_are_named(monkeypatch):
    broken = copy.deepcopy(paths.load())
    broken["paths"]["quick_start"]["lessons"].remove("day03")
    broken["planned_lessons"]["day07"] = "QLoRA, again"
    broken["completion"]["technical"][0] |= {"in": ["day99"], "guide": "nowhere"}
    broken["next_steps"].append({"id": "NX-1", "text": "twice"})
    monkeypatch.setattr(paths, "load", lambda: broken)
    said = "\n".join(paths.problems())
    assert "quick_start lacks day03" in said and "day07 is in the timetable now" in said
    assert (
        "CC-T1: no lesson 'day99'" in said
        and "CC-T1: no guide 'nowhere'" in said
        and "NX-1 stands twice" in said
    )


@pytest.mark.parametrize("path", paths.names("path"))
@pytest.mark.parametrize("pace", paths.names("pace"))
@pytest.mark.parametrize("focus", [None, *paths.names("focus")])
@pytest.mark.parametrize("background", [None, *paths.names("background")])
def test_a_selection_holds_what_its_lessons_build_on_unless_the_learner_knows_it(
    path, pace, focus, background
):
    chosen = paths.select(path, pace, focus, background)
    known = set(paths.get("background", background)["known"]) if background else set()
    order = [day["id"] for day in timetable.lessons()]
    assert list(chosen.lessons) == sorted(chosen.lessons, key=order.index)
    assert set(paths.with_prerequisites(chosen.lessons)) - set(chosen.lessons) <= known
    assert set(chosen.left_out).isdisjoint(chosen.lessons)
    assert set(paths.get("path", path)["lessons"]) - set(chosen.lessons) == set(chosen.left_out)
    assert set(chosen.added) == set(chosen.lessons) - set(paths.get("path", path)["lessons"])


def test_longer_paths_contain_the_shorter_ones():
    quick, deep, production = (
        {*path["lessons"], *path["techniques"]} for path in paths.load()["paths"].values()
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


def test_a_broken_file_says_how_to_get_it_back(monkeypatch, tmp_path):
    import dataclasses

    (tmp_path / "curriculum").mkdir()
    (tmp_path / "curriculum" / "paths.yaml").write_text("paths: [", encoding="utf-8")
    there = dataclasses.replace(current(), root=tmp_path)
    monkeypatch.setattr(paths, "current", lambda: there)
    with pytest.raises(LabError, match="git checkout curriculum"):
        paths.load.__wrapped__()
