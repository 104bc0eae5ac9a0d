"""What an instructor sees of a class, from whatever files learners hand in."""

import html
import io
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest
from rich.console import Console

from labhelpers.core.settings import LabError
from labhelpers.progress import summary
from labhelpers.tools.classroom import files as class_files
from labhelpers.tools.classroom import report as classroom
from tests.progress.learners import TODAY, document, ids, write, write_class

EVIL = "<script>alert(1)</script>\"'&amp;"


def read(folder, today=TODAY):
    return classroom.read(folder, today)


def show(folder, **options):
    console = Console(file=io.StringIO(), width=120)
    path = classroom.show(folder, console=console, **options)
    return console.file.getvalue(), path.read_text(encoding="utf-8")


def tries(attempts, passed_at, first_failure=None):
    return {
        "attempts": attempts,
        "passed_at": passed_at,
        "first_failure": first_failure,
        "last": "2026-11-19",
    }


def learner(folder, number, exercise=None, **changes):
    """Write the summary of learner 1, 2, 3 …"""
    exercises = {"day04/flips": exercise} if exercise else {}
    return write(
        folder,
        f"{number}.json",
        document(f"{number:012x}", f"Learner {number}", exercises=exercises, **changes),
    )


def test_who_is_where(tmp_path):
    write(tmp_path, "a.json", document())
    place = read(tmp_path).places[0]
    assert (place.name, place.at, place.finished) == ("Ada", "Day 4", 1)
    assert (place.passed, place.tried, place.attempts) == (1, 2, 4)
    assert place.share == {"day01": 1.0, "day04": 5 / len(ids("day04"))}
    assert place.quiz_first == 0.0 and place.last == date(2026, 11, 19) and place.quiet == ""


def test_a_class_of_one_is_counted_in_the_singular(tmp_path):
    write(tmp_path, "a.json", document())
    terminal, page = show(tmp_path)
    assert "(1 learner)" in terminal and "1 learner, 2 exercises tried, 4 attempts." in page


def test_a_technique_lesson_stands_in_the_page_under_its_label(tmp_path):
    write(tmp_path, "a.json", document(ticked={"technique_lora_intermediate": ["TX-LORA-I-T1"]}))
    texts = Page(show(tmp_path)[1]).texts
    assert "LoRA, intermediate" in texts and not [text for text in texts if "technique" in text]


def test_who_finished_a_lesson_is_at_the_next_one_and_left_items_are_counted(tmp_path):
    learner(tmp_path, 1, ticked={"day01": ids("day01"), "day02": ids("day02")}, quiz={})
    learner(tmp_path, 2, ticked={"day01": ids("day01")[:-2], "day02": ids("day02")}, quiz={})
    learner(tmp_path, 3, ticked={}, quiz={})
    assert [(one.at, one.left_open) for one in read(tmp_path).places] == [
        ("Day 3", 0),
        ("Day 3", 2),
        ("Day 1", 0),
    ]


def test_which_exercise_stops_people(tmp_path):
    learner(tmp_path, 1, tries(1, 1))
    learner(tmp_path, 2, tries(4, 3, "swapped"))
    learner(tmp_path, 3, tries(5, None, "swapped"))
    learner(tmp_path, 4, tries(2, None, summary.OTHER))
    learner(tmp_path, 5)
    (hurdle,) = read(tmp_path).exercises
    assert (hurdle.tried, hurdle.passed, hurdle.at_once, hurdle.attempts) == (4, 2, 1, 12)
    assert hurdle.stopped == 0.5 and hurdle.waiting == ("Learner 3", "Learner 4")
    assert hurdle.median == 2, "of the attempts until passed: 1 and 3"
    assert "swapped" in hurdle.stumble


def test_the_exercise_that_stops_most_people_comes_first(tmp_path):
    """Two of four who wait count more than one of one."""
    for number in range(1, 5):
        exercises = {"day01/scale": tries(1, 1), "day02/to-chat": tries(2, 2 if number > 2 else None)}
        exercises |= {"day03/coin": tries(9, None)} if number == 1 else {}
        write(tmp_path, f"{number}.json", document(f"{number:012x}", exercises=exercises))
    assert [one.id for one in read(tmp_path).exercises] == ["day02/to-chat", "day03/coin", "day01/scale"]


def test_who_has_gone_quiet_and_whose_summary_is_old(tmp_path):
    def since(days, age):
        exported = TODAY - timedelta(days=age)
        return {"exported": exported.isoformat(), "days": [(exported - timedelta(days=days)).isoformat()]}

    learner(tmp_path, 1, **since(days=6, age=6))
    learner(tmp_path, 2, **since(days=7, age=0))
    learner(tmp_path, 3, **since(days=0, age=8))
    learner(tmp_path, 4, days=[])
    said = [one.quiet for one in read(tmp_path).places]
    assert (
        said[0] == ""
        and "7 days when the summary" in said[1]
        and "8 days old" in said[2]
        and "no day" in said[3]
    )


def test_the_newest_summary_of_a_learner_wins_and_that_is_said(tmp_path):
    old = document(name="Ada Old", exported="2026-11-18", serial=3)
    write(tmp_path, "z_first.json", old)
    write(tmp_path, "b_second.json", document(name="Ada", serial=2))
    write(tmp_path, "a_third.json", document(name="Ada New", serial=4))
    found = read(tmp_path)
    assert [one.name for one in found.places] == ["Ada New"]
    assert sorted(note.split(":")[0] for note in found.notes) == ["b_second.json", "z_first.json"]
    assert all("same learner" in note for note in found.notes)


def test_two_people_of_one_name_stay_two(tmp_path):
    write(tmp_path, "a.json", document("aaaaaaaaaaaa"))
    write(tmp_path, "b.json", document("bbbbbbbbbbbb"))
    write(tmp_path, "c.json", document("cccccccccccc", None))
    found = read(tmp_path)
    assert {one.name for one in found.places} == {"Ada (aaaaaa)", "Ada (bbbbbb)", "no name (cccccc)"}
    assert any("2 learners are called Ada" in note for note in found.notes)


def raw(text):
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def changed(**changes):
    content = {**document("bbbbbbbbbbbb"), **changes}
    return lambda path: path.write_text(summary.text_of(content), encoding="utf-8")


def tampered(path):
    content = json.loads(summary.text_of(document("bbbbbbbbbbbb")))
    path.write_text(json.dumps({**content, "serial": 2}))


HOSTILE = {
    "empty": (raw(""), "not JSON"),
    "half": (raw(summary.text_of(document("bbbbbbbbbbbb"))[:300]), "not JSON"),
    "a web page": (raw("<!doctype html><p>Sign in"), "not JSON"),
    "UTF-16": (raw(summary.text_of(document("bbbbbbbbbbbb")).encode("utf-16")), "UTF-8"),
    "another JSON": (raw('{"cells": []}'), "no summary"),
    "a list": (raw("[1, 2]"), "no summary"),
    "deep lists": (raw("[" * 100_000 + "]" * 100_000), "nested"),
    "deep objects": (raw('{"format":' * 50_000 + "1" + "}" * 50_000), "nested"),
    "huge": (raw(b" " * 2_000_000), "2,000,000 bytes"),
    "huge number": (raw('{"format": ' + "9" * 5000 + "}"), "not JSON"),
    "NaN": (raw('{"format": NaN}'), "not JSON"),
    "newer version": (changed(version=2), "version 2"),
    "odd version": (changed(version="\x1b[2J" * 100), "version"),
    "changed by hand": (tampered, "checksum"),
    "no checksum": (raw(json.dumps(document("bbbbbbbbbbbb"))), "checksum"),
    "no learner": (changed(learner=None), "learner"),
    "id of another kind": (changed(learner={"id": "../../etc", "name": "x"}), "learner"),
    "name is a list": (changed(learner={"id": "bbbbbbbbbbbb", "name": ["x"]}), "name"),
    "endless name": (changed(learner={"id": "bbbbbbbbbbbb", "name": "x" * 500}), "name"),
    "no date": (changed(exported="tomorrow"), "date"),
    "date is a number": (changed(exported=20261120), "exported"),
    "days are a text": (changed(days="2026-11-20"), "days"),
    "negative count": (changed(exercises={"day01/scale": tries(-1, None)}), "attempts"),
    "true as a count": (changed(exercises={"day01/scale": tries(True, None)}), "attempts"),
    "passed too late": (changed(exercises={"day01/scale": tries(2, 3)}), "passed_at"),
    "id with a tag": (changed(exercises={EVIL: tries(1, 1)}), "exercises"),
    "ids are numbers": (changed(ticked={"day01": [1, 2]}), "ticked.day01"),
    "too many": (changed(exercises={f"day01/e{n}": tries(1, 1) for n in range(5_000)}), "exercises"),
    "course is missing": (changed(course={}), "course.commit"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_named_and_stops_nothing(tmp_path, case):
    make, expected = HOSTILE[case]
    write(tmp_path, "good.json", document())
    make(tmp_path / "bad.json")
    found = read(tmp_path)
    assert [one.name for one in found.places] == ["Ada"]
    (note,) = found.notes
    assert note.startswith("bad.json: ") and expected in note
    assert note.isprintable() and len(note) < 250


def test_links_pipes_and_folders_are_not_opened(tmp_path):
    outside = write(tmp_path / "outside", "victim.json", document("bbbbbbbbbbbb", "Victim"))
    folder = tmp_path / "class"
    write(folder / "Ada_123", "mine.json", document())
    (folder / "link.json").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    found = read(folder)
    assert [one.name for one in found.places] == ["Ada"], "and a learner's own subfolder is read"
    assert [note.split(",")[0] for note in found.notes] == [
        "link.json: it is a link",
        "pipe.json: it is no ordinary file",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, "good.json", document())
    write(tmp_path, "bad.json", document("bbbbbbbbbbbb"))
    really = os.open

    def refused(path, *rest, **named):
        if str(path).endswith("bad.json"):
            raise PermissionError(13, "Permission denied")
        return really(path, *rest, **named)

    monkeypatch.setattr(class_files.os, "open", refused)
    assert read(tmp_path).notes == ["bad.json: it cannot be read (Permission denied)"]


def test_an_empty_folder_says_how_summaries_are_made(tmp_path):
    with pytest.raises(LabError, match="lab progress export"):
        read(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(LabError, match=r"bad\.json"):
        read(tmp_path)
    with pytest.raises(LabError, match="no folder"):
        read(tmp_path / "nowhere")


class Page(HTMLParser):
    """Collects what a browser would do with a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def nasty_class(folder):
    write(folder, "a.json", document("aaaaaaaaaaaa", EVIL, exercises={"day04/flips": tries(2, None, EVIL)}))
    write(folder, "b.json", document("bbbbbbbbbbbb", "[red]\x1b[31mBob\u202e\n"))
    (folder / f"{EVIL.replace('/', '')}.json").write_text("{")
    (folder / "\x1b[2Jline\nbreak.json").write_text("{")


def test_the_page_escapes_whatever_learners_wrote(tmp_path):
    nasty_class(tmp_path)
    _, page = show(tmp_path)
    seen = Page(page)
    assert "script" not in seen.tags and "alert(1)" in "".join(seen.texts)
    assert html.unescape(page).count(EVIL) and EVIL not in page
    assert not any(name.startswith("on") for _, name, _ in seen.attributes)
    assert all(character.isprintable() or character == "\n" for character in page)


def test_a_failure_is_shown_only_in_words_of_the_course(tmp_path):
    nasty_class(tmp_path)
    assert read(tmp_path).exercises[0].stumble == summary.OTHER


def test_the_terminal_shows_names_as_they_are_and_obeys_none(tmp_path):
    nasty_class(tmp_path)
    text, _ = show(tmp_path)
    assert "\x1b" not in text and "\u202e" not in text
    assert "[red]" in text and "<script>" in text


def test_the_page_needs_nothing_from_elsewhere_and_says_so_to_the_browser(tmp_path):
    write_class(tmp_path, 12)
    page = show(tmp_path)[1]
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "form", "object", "embed", "base"} & set(seen.tags)
    assert not [entry for entry in seen.attributes if entry[1] in ("src", "href", "srcset", "action")]
    assert "url(" not in page and "@import" not in page
    assert "default-src 'none'" in page and "prefers-color-scheme: dark" in page


def test_every_table_has_a_caption_and_headers_with_a_scope(tmp_path):
    write_class(tmp_path, 12)
    seen = Page(show(tmp_path)[1])
    count = seen.tags.count("table")
    assert count >= 4 and seen.tags.count("caption") == count
    scopes = [value for tag, name, value in seen.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == seen.tags.count("th") and set(scopes) == {"col", "row"}
    assert ("html", "lang", "en") in seen.attributes


def test_everybody_and_every_exercise_is_on_the_page(tmp_path):
    write_class(tmp_path, 30)
    found = read(tmp_path)
    text = "\n".join(Page(classroom.page(found)).texts)
    assert len(found.places) == 30
    for name in [*(one.name for one in found.places), *(one.id for one in found.exercises + found.quiz)]:
        assert name in text


def test_the_page_replaces_its_own_kind_only(tmp_path):
    write(tmp_path, "a.json", document())
    show(tmp_path)
    show(tmp_path)
    (tmp_path / "class.html").write_text("<p>my own page</p>")
    with pytest.raises(LabError, match="--out"):
        show(tmp_path)
    assert (tmp_path / "class.html").read_text() == "<p>my own page</p>"
    assert "Ada" in show(tmp_path, out=tmp_path / "other.html")[1]


def test_a_clock_that_runs_ahead_is_mentioned(tmp_path):
    write(tmp_path, "a.json", document(exported=(TODAY + timedelta(days=3)).isoformat()))
    assert "clock" in read(tmp_path).notes[0]


def test_from_a_learners_yes_to_the_instructors_page(tmp_path):
    """The commands as people type them."""
    lab = os.path.join(os.path.dirname(sys.executable), "lab")
    folder = tmp_path / "class"
    folder.mkdir()
    export = [lab, "progress", "export", str(folder), "--name", "Ada"]
    done = subprocess.run(export, input="n\n", capture_output=True, text=True)
    assert done.returncode == 0 and not list(folder.iterdir())
    done = subprocess.run(export, input="y\n", capture_output=True, text=True)
    assert done.returncode == 0 and "Name: Ada" in done.stdout, done.stderr
    done = subprocess.run([lab, "class", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0 and "Ada" in done.stdout and "class.html" in "".join(done.stdout.split()), (
        done.stderr
    )
    assert "Ada" in (folder / "class.html").read_text(encoding="utf-8")
