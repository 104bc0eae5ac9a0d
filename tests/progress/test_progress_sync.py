"""The course moves on, the learner moves house: ticks and notes come along."""

import json
import zipfile

import pytest

from labhelpers import progress
from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.progress import archive, checklists, sync


@pytest.fixture(autouse=True)
def course(monkeypatch):
    def day(id, title, *items):
        return {"id": id, "title": title, "checklist": [{"id": name, "text": f"Do {name}"} for name in items]}

    weeks = [
        {
            "id": "week1",
            "title": "One",
            "days": [day("day01", "First", "A1", "A2", "A3"), day("day02", "Second", "B1")],
        },
        {"id": "week2", "title": "Two", "days": [day("day06", "Sixth", "C1")]},
    ]
    monkeypatch.setattr(timetable, "load", lambda: {"weeks": weeks})
    return [entry for week in weeks for entry in week["days"]]


@pytest.fixture
def week1(course):
    progress.tick("A1")
    return settings.current().progress / "week1.md"


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


# ---- sync


def test_an_update_changes_the_courses_words_and_keeps_the_learners(course, week1):
    text = (
        week1.read_text()
        .replace("Do A2 ", "My words ")
        .replace("<!-- id: A1 -->\n", "<!-- id: A1 --> nice!\n  a note\n")
    )
    week1.write_text(text)
    course[0]["title"] = "First, renamed"
    course[0]["checklist"] = [
        {"id": "A1", "text": "Do it better"}, {"id": "A9", "text": "A new one"}, {"id": "A2", "text": "Other words"},
        {"id": "A4", "text": "Last"},
    ]  # fmt: skip
    said = {(change.kind, change.id) for change in sync.sync()}
    assert said == {
        ("reworded", "A1"), ("reworded", "day01"), ("yours", "A2"), ("added", "A9"), ("added", "A4"), ("gone", "A3"),
    }  # fmt: skip
    lines = lines_of(week1)
    start = lines.index("## Day 1 · First, renamed")
    assert lines[start + 2 : start + 8] == [
        "- [x] Do it better <!-- id: A1 --> nice!",
        "  a note",
        "- [ ] A new one <!-- id: A9 -->",
        "- [ ] My words <!-- id: A2 -->",
        "- [ ] Do A3 <!-- id: A3 -->",
        "- [ ] Last <!-- id: A4 -->",
    ]
    assert not [change for change in sync.sync() if change.kind not in ("gone", "yours")]


def test_a_new_day_gets_its_heading_and_an_item_that_moved_keeps_its_tick(course, week1):
    course.clear()
    timetable.load()["weeks"][0]["days"].append(
        {"id": "day03", "title": "Third", "checklist": [{"id": "D1", "text": "Do D1"}]}
    )
    first, sixth = timetable.load()["weeks"][0]["days"][0], timetable.load()["weeks"][1]["days"][0]
    progress.tick("C1")
    sixth["checklist"].append(first["checklist"].pop(0))
    sync.sync()
    assert "## Day 3 · Third" in lines_of(week1)
    assert progress.read()["A1"]
    assert "A1" not in (settings.current().progress / "week2.md").read_text()
    progress.tick("A1", done=False)
    assert not progress.read()["A1"] and progress.read()["C1"]


def test_a_week_begun_after_an_item_moved_into_it_shows_its_tick(course, week1):
    course[2]["checklist"].append(course[0]["checklist"].pop(0))
    progress.tick("C1")
    assert "- [x] Do A1 <!-- id: A1 -->" in lines_of(week1.with_name("week2.md"))


def test_of_two_lines_that_lost_their_id_the_ticked_one_gets_it_back(week1):
    text = week1.read_text().replace("- [ ] Do A2 <!-- id: A2 -->\n", "- [ ] Do A2\n")
    week1.write_text(text + "\n- [x] Do A2  \n")
    assert [change.kind for change in sync.sync()] == ["id restored"]
    assert progress.read()["A2"] and "- [ ] Do A2" in lines_of(week1)
    assert "- [x] Do A2 <!-- id: A2 -->  " in lines_of(week1)


def test_a_merge_conflict_counts_every_tick_and_waits_for_the_learner(course, week1, capsys):
    ticked, open_ = "- [x] Do A2 <!-- id: A2 -->\n", "- [ ] Do A2 <!-- id: A2 -->\n"
    both = f"<<<<<<< HEAD\n{open_}=======\n{ticked}>>>>>>> other\n"
    week1.write_text(week1.read_text().replace(open_, both))
    assert progress.read()["A2"]
    week1.write_text(
        week1.read_text().replace(both, f"<<<<<<< HEAD\n{ticked}=======\n{open_}>>>>>>> other\n")
    )
    assert progress.read()["A2"], "whichever side comes first"
    course[0]["checklist"].insert(0, {"id": "A0", "text": "New"})
    before = week1.read_bytes()
    assert sync.sync() == [] and week1.read_bytes() == before
    progress.tick("A3")
    at = lines_of(week1).index("<<<<<<< HEAD") + 1
    assert f"{week1}, line {at}: two versions met here" in "\n".join(map(str, checklists.problems()))
    progress.checklist("day01")
    assert f"line {at}: two versions" in capsys.readouterr().out
    progress.tick("A2", done=False)
    assert not progress.read()["A2"]


def test_a_box_saved_over_is_remembered_and_can_be_restored(week1):
    old = week1.read_bytes()
    progress.tick_all(["A2", "A3"])
    week1.write_bytes(old)
    assert sync.forgotten() == ["A2", "A3"]
    progress.tick("A3", done=False)
    assert sync.forgotten() == ["A2"]


def test_several_ids_are_ticked_together_or_not_at_all(week1):
    before = week1.read_bytes()
    with pytest.raises(LabError, match=r"'A8'(.|\n)*'C9'"):
        progress.tick_all(["A2", "A8", "C1", "C9"])
    week1.write_text(week1.read_text().replace("- [ ] Do A3", "- [?] Do A3"))
    changed = week1.read_bytes()
    with pytest.raises(LabError, match="Line 9"):
        progress.tick_all(["C1", "A3"])
    assert week1.read_bytes() == changed != before
    assert not (week1.parent / "week2.md").exists()


def test_an_item_in_two_files_is_ticked_in_either_and_cleared_in_both(week1):
    progress.tick("C1")
    week2 = week1.with_name("week2.md")
    week2.write_text(week2.read_text() + "- [x] copied <!-- id: A2 -->\n")
    assert progress.read()["A2"]
    progress.tick("A2", done=False)
    assert not progress.read()["A2"]
    assert "- [ ] copied <!-- id: A2 -->" in lines_of(week2)


def test_a_file_of_a_week_that_left_the_course_still_counts(week1):
    (week1.parent / "week9.md").write_text("- [x] old <!-- id: Z1 -->\n")
    assert progress.read()["Z1"]
    progress.tick("Z1", done=False)
    assert not progress.read()["Z1"]


# ---- pack and unpack


def move_house(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def test_everything_travels_to_a_new_machine(week1, tmp_path, monkeypatch):
    progress.write_journal("day01", "A surprise.")
    progress.record_attempt("day01/x", passed=True, feedback="")
    (week1.parent / "sub").mkdir()
    (week1.parent / "sub" / "own.bin").write_bytes(b"\0\1")
    (week1.parent / "README.md").write_text("the course's")
    (week1.parent / ".week1.md.abc.part").write_text("half")
    names = archive.pack(tmp_path / "pack.zip")
    assert names == ["exercises.jsonl", "history.jsonl", "journal.md", "week1.md", "sub/own.bin"]
    old = {name: (week1.parent / name).read_bytes() for name in names}
    new = move_house(monkeypatch, tmp_path)
    assert {outcome.what for outcome in archive.unpack(tmp_path / "pack.zip")} == {"new"}
    assert {name: (new / name).read_bytes() for name in names} == old
    assert {outcome.what for outcome in archive.unpack(tmp_path / "pack.zip")} == {"same"}


def test_what_is_newer_here_stays_and_ticks_are_united(week1, tmp_path, monkeypatch):
    progress.write_journal("day01", "There.")
    (week1.parent / "plan.yaml").write_text("path: there\n")
    progress.record_attempt("day01/x", passed=False, feedback="there")
    archive.pack(tmp_path / "pack.zip")
    new = move_house(monkeypatch, tmp_path)
    progress.tick("A2")
    progress.write_journal("day02", "Here.")
    (new / "plan.yaml").write_text("path: here\n")
    progress.record_attempt("day01/x", passed=True, feedback="here")
    outcomes = {outcome.name: outcome for outcome in archive.unpack(tmp_path / "pack.zip")}
    assert progress.read()["A1"] and progress.read()["A2"]
    assert outcomes["week1.md"].what == "merged"
    assert {attempt.feedback for attempt in progress.attempts("day01/x")} == {"here", "there"}
    assert (new / "plan.yaml").read_text() == "path: here\n"
    beside = outcomes["plan.yaml"].path
    assert "from-pack" in beside.name and beside.read_text() == "path: there\n"
    assert "Here." in (new / "journal.md").read_text() and "There." in outcomes["journal.md"].path.read_text()
    count = len(list(new.iterdir()))
    archive.unpack(tmp_path / "pack.zip")
    assert len(list(new.iterdir())) == count, "unpacking twice makes no second copy"


def test_a_longer_journal_takes_the_place_of_its_beginning(week1, tmp_path, monkeypatch):
    journal = week1.parent / "journal.md"
    journal.write_text("# Journal\n\nfirst\n")
    new = move_house(monkeypatch, tmp_path)
    new.mkdir()
    (new / "journal.md").write_bytes(journal.read_bytes())
    monkeypatch.setenv("LAB_PROGRESS", str(week1.parent))
    journal.write_text("# Journal\n\nfirst\n\nsecond\n")
    archive.pack(tmp_path / "pack.zip")
    move_house(monkeypatch, tmp_path)
    outcomes = {outcome.name: outcome.what for outcome in archive.unpack(tmp_path / "pack.zip")}
    assert outcomes["journal.md"] == "merged" and "second" in (new / "journal.md").read_text()


def zipped(path, **contents):
    """A pack with contents of our choice."""
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr(
            "pack.json", json.dumps({"format": archive.FORMAT, "made": "2026-11-21T10:00:00+00:00"})
        )
        for name, content in contents.items():
            pack.writestr(name, content)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.md",
        "/etc/evil",
        "a/../../evil",
        "C:/evil",
        "..\\evil",
        ".hidden",
        "README.md",
        "a//b",
        "nul\tname",
    ],
)
def test_a_pack_that_leads_out_of_the_folder_is_refused_whole(week1, tmp_path, name):
    zipped(tmp_path / "evil.zip", **{"fine.md": "fine", name: "evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LabError, match="Nothing was changed"):
        archive.unpack(tmp_path / "evil.zip")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checklist_with_other_words_gives_its_ticks_and_lies_beside(week1, tmp_path):
    mine = week1.read_text().replace("Do A3", "My own A3") + "my note\n"
    week1.write_text(mine)
    theirs = week1.read_text().replace("my note", "their note").replace("- [ ] Do A2", "- [x] Do A2")
    zipped(tmp_path / "pack.zip", **{"week1.md": theirs})
    (outcome,) = archive.unpack(tmp_path / "pack.zip")
    assert "yours stays" in str(outcome) and outcome.path.read_text() == theirs
    assert week1.read_text() == mine.replace("- [ ] Do A2", "- [x] Do A2")


def test_a_checklist_that_is_not_utf8_stays_and_the_other_lies_beside(week1, tmp_path):
    theirs = week1.read_text()
    week1.write_bytes(b"caf\xe9\n")
    zipped(tmp_path / "pack.zip", **{"week1.md": theirs})
    (outcome,) = archive.unpack(tmp_path / "pack.zip")
    assert outcome.path.read_text() == theirs and week1.read_bytes() == b"caf\xe9\n"


def test_a_link_out_of_the_folder_is_not_followed(week1, tmp_path):
    (week1.parent / "sub").mkdir()
    (week1.parent / "sub" / "a.md").write_text("mine")
    archive.pack(tmp_path / "pack.zip")
    (week1.parent / "sub" / "a.md").unlink()
    (week1.parent / "sub").rmdir()
    (tmp_path / "outside").mkdir()
    (week1.parent / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(LabError, match="leads out"):
        archive.unpack(tmp_path / "pack.zip")
    assert list((tmp_path / "outside").iterdir()) == []


def test_packing_overwrites_nothing_and_wants_something_to_pack(week1, tmp_path, monkeypatch):
    (tmp_path / "mine.zip").write_text("mine")
    with pytest.raises(LabError, match="exists already"):
        archive.pack(tmp_path / "mine.zip")
    (week1.parent / "a:b.md").write_text("x")
    with pytest.raises(LabError, match=r"a:b\.md"):
        archive.pack(tmp_path / "pack.zip")
    move_house(monkeypatch, tmp_path)
    with pytest.raises(LabError, match="nothing to pack"):
        archive.pack(tmp_path / "pack.zip")
    with pytest.raises(LabError, match="lab progress pack"):
        archive.unpack(tmp_path / "mine.zip")


# ---- the commands


def lab(*arguments):
    from typer.testing import CliRunner

    from labhelpers.tools import cli

    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_done_takes_several_ids_in_any_case_and_undoes_them(week1):
    assert "Ticked: A2, C1." in lab("done", "a2", "C1").output
    assert progress.read()["A2"] and progress.read()["C1"]
    assert "Cleared: A2." in lab("done", "A2", "--undo").output and not progress.read()["A2"]
    failed = lab("done", "A3", "A7")
    assert isinstance(failed.exception, LabError) and "Did you mean A" in str(failed.exception)
    assert not progress.read()["A3"]


def test_sync_shows_what_changed_and_what_nobody_can_read(course, week1):
    old = week1.read_bytes()
    progress.tick("A2")
    week1.write_bytes(old)
    course[0]["checklist"].append({"id": "A4", "text": "New"})
    week1.with_name("exercises.jsonl").write_text('{"half": ')
    said = lab("progress", "sync").output
    assert "+ week1.md: A4 added: New" in said and "open in the files now: A2" in said
    assert "exercises.jsonl, line 1: this line is damaged" in said
    assert "Ticked again" in lab("progress", "sync", "--restore").output and progress.read()["A2"]


def test_pack_and_unpack_say_what_they_did(week1, tmp_path, monkeypatch):
    assert "2 files" in lab("progress", "pack", tmp_path / "p.zip").output
    week1.unlink()
    assert "new     week1.md" in lab("progress", "unpack", tmp_path / "p.zip").output
    assert progress.read()["A1"]
    assert "journal.md" in lab("journal").output
