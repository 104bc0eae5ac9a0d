"""Whatever happens in whatever order to the learner's files, nothing that was ticked or written is lost."""

import multiprocessing
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labhelpers import progress
from labhelpers.core import files as own_files
from labhelpers.core import swapping, timetable
from labhelpers.core.settings import LabError
from labhelpers.progress import archive, markdown, merge, week_files
from labhelpers.progress import sync as progress_sync

WEEKS = {"week1": ["A1", "A2", "A3", "WC-1"], "week2": ["B1", "B2"]}
IDS = [id for ids in WEEKS.values() for id in ids]
QUICK = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
ids, weeks = st.sampled_from(IDS), st.sampled_from(list(WEEKS))
STYLES = [
    ("utf-8", ""),
    ("utf-8", "\ufeff"),
    ("utf-16-le", "\ufeff"),
    ("utf-16-be", "\ufeff"),
    ("utf-32-le", "\ufeff"),
    ("utf-16-le", ""),
]


def course():
    days = {
        "week1": [("day01", ["A1", "A2"]), ("day02", ["A3"])],
        "week2": [("day06", ["B1", "B2"])],
    }
    return {
        "weeks": [
            {
                "id": week,
                "title": week,
                "checkpoints": [{"id": "WC-1", "text": "Explain it"}] if week == "week1" else [],
                "days": [
                    {
                        "id": day,
                        "title": f"Title of {day}",
                        "checklist": [{"id": id, "text": f"Do {id}"} for id in own],
                    }
                    for day, own in rows
                ],
            }
            for week, rows in days.items()
        ]
    }


def can_exchange():
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one"), Path(folder, "other")
        one.write_text("1"), other.write_text("2")
        return swapping.exchange(one, other) and one.read_text() == "2"


class Learner(RuleBasedStateMachine):
    """A learner, an editor, two laptops, a course that changes, and a power cut now and then."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="learner-"))
        self.patch = pytest.MonkeyPatch()
        self.course = course()
        self.patch.setenv("LAB_PROGRESS", str(self.root / "progress"))
        self.patch.setenv("LAB_WORKSPACE", str(self.root / "workspace"))
        self.patch.setattr(timetable, "load", lambda: self.course)
        self.patch.setattr(own_files, "SECONDS_TO_SETTLE", 0.0)
        self.patch.setattr(os, "fsync", lambda handle: None)
        self.folder = self.root / "progress"
        self.folder.mkdir()
        self.ticked = dict.fromkeys(IDS, False)  # None: nobody can know
        self.without_id = {}  # id → box of a line that lost its comment
        self.written = []  # words that must stay readable, bytes that must stay somewhere
        self.attempts = self.count = 0
        self.packs = []
        self.tick(["A1", "B1"], True)

    def teardown(self):
        self.patch.undo()
        shutil.rmtree(self.root)

    # ---- helpers

    def word(self):
        self.count += 1
        self.written.append(f"word{self.count}é")
        return self.written[-1]

    def path(self, week):
        return self.folder / f"{week}.md"

    def document(self, week):
        raw = self.path(week).read_bytes()
        return markdown.decode(raw)

    def save(self, path, raw, in_place):
        """Save as editors do: into the same file, or beside it and then renamed."""
        if in_place:
            path.write_bytes(raw)
        else:
            other = path.with_name("editor-swap")
            other.write_bytes(raw)
            os.replace(other, path)

    def edit(self, week, change, in_place=True):
        """Change the lines of a week by hand, if there is a file that a person could edit."""
        if not self.path(week).exists():
            return
        document = self.document(week)
        if document.is_garbled:
            return
        lines = document.text.split(document.newline)
        text = document.newline.join(change(lines))
        self.save(self.path(week), markdown.replace(document, text=text).to_bytes(), in_place)

    def is_known(self, id):
        """Whether the course or a file still has it: it may have been removed, and its line lost by hand."""
        return id in progress.read()

    def set(self, id, done):
        self.ticked[id] = done
        self.without_id.pop(id, None)

    # ---- the tools

    @rule(chosen=st.lists(ids, min_size=1, max_size=3), done=st.booleans())
    def tick(self, chosen, done):
        chosen = [id for id in chosen if self.is_known(id)]
        progress.tick_all(chosen, done)
        for id in chosen:
            self.set(id, done)

    @rule()
    def write_journal(self):
        progress.write_journal("day01", self.word())

    @rule()
    def attempt(self):
        progress.record_attempt("day01/x", passed=True, feedback="")
        self.attempts += 1

    @rule(id=ids)
    def unknown_id(self, id):
        before = self.everything()
        with pytest.raises(LabError, match="Did you mean"):
            progress.tick_all([id, f"{id}x"])
        assert self.everything() == before

    # ---- the editor

    @rule(week=weeks, at=st.integers(0, 30), in_place=st.booleans())
    def note(self, week, at, in_place):
        if self.path(week).exists() and not self.document(week).is_garbled:
            word = self.word()
            at += self.document(week).text.startswith("\ufeff")
            self.edit(week, lambda lines: [*lines[:at], word, *lines[at:]], in_place)

    @rule(week=weeks, id=ids, done=st.booleans())
    def tick_by_hand(self, week, id, done):
        met = []

        def change(lines):
            for at, line in enumerate(lines):
                if f"<!-- id: {id} -->" in line:
                    lines[at] = re.sub(r"\[[ xX]*\]", "[X]" if done else "[]", line, count=1)
                    met.append(line)
            return lines

        self.edit(week, change)
        if met:
            self.ticked[id] = progress.read()[id]
            assert self.ticked[id] or not done

    @rule(week=weeks, style=st.sampled_from(STYLES), newline=st.sampled_from(["\n", "\r\n", "\r"]))
    def save_in_another_style(self, week, style, newline):
        if self.path(week).exists() and not self.document(week).is_garbled:
            text = self.document(week).text.removeprefix("\ufeff")
            text = style[1] + re.sub(r"\r\n|\r|\n", newline, text)
            self.path(week).write_bytes(text.encode(style[0]))

    @rule(week=weeks, id=ids, ours_first=st.booleans())
    def merge_conflict(self, week, id, ours_first):
        def change(lines):
            at = next((at for at, line in enumerate(lines) if f"<!-- id: {id} -->" in line), None)
            if at is None or "<<<<<<<" in "".join(lines):
                return lines
            other = lines[at].replace("[x]", "[ ]").replace("[X]", "[ ]")
            sides = [lines[at], other] if ours_first else [other, lines[at]]
            both = ["<<<<<<< HEAD", sides[0], "=======", sides[1], ">>>>>>> theirs"]
            return [*lines[:at], *both, *lines[at + 1 :]]

        self.edit(week, change)
        if self.path(week).exists() and "<<<<<<< " in self.document(week).text:
            assert any("merge conflict" in problem.what for problem in week_files.problems())

    @rule(week=weeks)
    def resolve_conflict(self, week):
        self.edit(week, lambda lines: [line for line in lines if not re.match(r"<{7} |={7}$|>{7} ", line)])

    @rule(week=weeks, id=ids)
    def move_to_the_other_week(self, week, id):
        moved = []

        def take(lines):
            moved.extend(line for line in lines if f"<!-- id: {id} -->" in line)
            return [line for line in lines if f"<!-- id: {id} -->" not in line]

        other = "week2" if week == "week1" else "week1"
        if self.path(other).exists() and not self.document(other).is_garbled:
            self.edit(week, take)
            self.edit(other, lambda lines: [*lines, *moved])

    @rule(week=weeks, id=ids)
    def lose_the_comment(self, week, id):
        def change(lines):
            found = [at for at, line in enumerate(lines) if f"<!-- id: {id} -->" in line]
            others = [self.document(w).text for w in WEEKS if w != week and self.path(w).exists()]
            if (
                len(found) == 1
                and not any(f"id: {id} " in text for text in others)
                and id not in self.without_id
            ):
                self.without_id[id] = self.ticked[id]
                self.ticked[id] = None
                lines[found[0]] = lines[found[0]].replace(f"<!-- id: {id} -->", "")
            return lines

        if not any(self.path(w).exists() and self.document(w).is_garbled for w in WEEKS):
            self.edit(week, change)

    @rule(week=weeks, garbage=st.binary(min_size=1, max_size=40))
    def disk_error(self, week, garbage):
        """The file is overwritten by something that is no text. What only a hand wrote there is gone with it."""
        garbage = b"\0\1" + garbage
        if not self.path(week).exists() or not markdown.decode(garbage).is_garbled:
            return
        self.path(week).write_bytes(garbage)
        rest = self.everything()
        self.written = [what for what in self.written if self.stands(what, rest)] + [garbage]
        logged = week_files.history()
        for id in IDS:
            self.without_id.pop(id, None)
            self.ticked[id] = True if self.ticked[id] and logged.get(id) else None

    # ---- the editor and a tool in the same instant; a power cut

    @rule(id=ids, done=st.booleans(), week=weeks, in_place=st.booleans(), last=st.booleans())
    def save_while_ticking(self, id, done, week, in_place, last):
        if not self.is_known(id):
            return
        step = (swapping, "exchange") if last and can_exchange() else (own_files, "_beside")
        original, calls = getattr(*step), []

        def disturbed(*arguments):
            result = None if last else original(*arguments)
            if not calls:
                calls.append(1)
                self.note(week, 3, in_place)
            return original(*arguments) if last else result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*step, disturbed)
            progress.tick(id, done)
        self.set(id, done)

    @rule(
        id=ids,
        done=st.booleans(),
        where=st.sampled_from(["fsync", "rename", "exchange", "exchanged", "append"]),
    )
    def power_cut(self, id, done, where):
        if not self.is_known(id):
            return
        child = os.fork()
        if child == 0:
            self.die_at(where)
            try:
                progress.tick(id, done)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        for left in [*self.folder.glob(".*.part"), *self.folder.glob(".*.whole")]:
            os.utime(left, (0, 0))
        with own_files.locked():
            assert not [*self.folder.glob(".*.part"), *self.folder.glob(".*.whole")]
        if id in self.without_id and any(
            f"id: {id} " in self.document(week).text for week in WEEKS if self.path(week).exists()
        ):
            del self.without_id[id]
        before = self.ticked[id]
        self.ticked[id] = progress.read()[id]
        if id not in self.without_id:
            assert self.ticked[id] in (before, done) or before is None
        else:
            self.ticked[id] = None

    def die_at(self, where):
        def half(handle):
            log = week_files.history_path()
            if not log.exists() or not os.path.sameopenfile(handle, os.open(log, os.O_RDONLY)):
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os._exit(9)

        exchange = swapping.exchange
        steps = {
            "fsync": (os, "fsync", half),
            "rename": (Path, "rename", lambda *_: os._exit(9)),
            "exchange": (swapping, "exchange", lambda *_: os._exit(9)),
            "exchanged": (swapping, "exchange", lambda *pair: exchange(*pair) and os._exit(9)),
            "append": (week_files, "remember_tick", lambda *_: os._exit(9)),
        }
        owner, name, step = steps[where]
        setattr(owner, name, step)

    # ---- the course moves on

    @rule(id=ids, how=st.sampled_from(["reword", "remove", "move", "retitle", "add", "nothing"]))
    def course_update(self, id, how):
        days = [day for week in self.course["weeks"] for day in week["days"]]
        self.count += 1
        if how == "add":
            days[-1]["checklist"].insert(0, {"id": f"N{self.count}", "text": f"New {self.count}"})
        if how == "retitle":
            days[0]["title"] = f"Title {self.count}"
        for day in days:
            for item in [item for item in day["checklist"] if item["id"] == id]:
                if how == "reword":
                    item["text"] = f"Do {id} in other words {self.count}"
                if how in ("remove", "move"):
                    day["checklist"].remove(item)
                if how == "move" or (how == "remove" and not any(self.has(week, id) for week in WEEKS)):
                    days[(days.index(day) + 1) % len(days)]["checklist"].append(item)
                    break
            else:
                continue
            break

    def has(self, week, id):
        return self.path(week).exists() and f"id: {id} " in self.document(week).text

    @rule()
    def sync(self):
        progress_sync.sync()
        assert [change for change in progress_sync.sync() if change.kind not in ("yours", "gone")] == []
        for id, done in list(self.without_id.items()):
            now = progress.read().get(id, False)
            assert now or not done or self.in_conflict(), f"{id} was ticked before its comment was lost"
            if any(self.has(week, id) for week in WEEKS):
                self.set(id, now)

    def in_conflict(self):
        return any("<<<<<<< " in self.document(week).text for week in WEEKS if self.path(week).exists())

    # ---- the other laptop

    @precondition(lambda self: len(self.packs) < 3 and any(self.folder.iterdir()))
    @rule()
    def pack(self):
        file = self.root / f"pack{len(self.packs)}.zip"
        archive.pack(file)
        self.packs.append((file, dict(self.ticked), dict(self.without_id), list(self.written)))

    @precondition(lambda self: self.packs)
    @rule(which=st.integers(0, 2), lost=st.booleans())
    def unpack(self, which, lost):
        file, ticked, without_id, written = self.packs[which % len(self.packs)]
        if lost:  # a new machine
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            self.ticked, self.without_id, self.written = dict(ticked), dict(without_id), list(written)
            self.attempts = 0
        archive.unpack(file)
        self.attempts = max(self.attempts, len(progress.attempts()))
        now = progress.read()
        for id in IDS:
            if ticked[id] and (lost or id not in self.without_id):
                assert now[id] or self.is_beside(), f"{id} was ticked in the pack"
            if self.ticked[id] is not None and not (self.ticked[id] and not now[id]):
                self.ticked[id] = now[id]
        if not lost:
            self.without_id.clear()
        self.written = list({**dict.fromkeys(self.written), **dict.fromkeys(written)})

    def is_beside(self):
        return any("from-pack" in path.name for path in self.folder.iterdir())

    # ---- what must hold

    def everything(self):
        return [
            path.read_bytes() for path in self.folder.rglob("*") if path.is_file() and path.name[0] != "."
        ]

    def stands(self, what, contents):
        encoded = (
            {what}
            if isinstance(what, bytes)
            else {what.encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
        )
        return any(some in content for content in contents for some in encoded)

    @invariant()
    def nothing_ticked_is_lost(self):
        now = progress.read()
        assert {id: now.get(id, False) for id, done in self.ticked.items() if done is not None} == {
            id: done for id, done in self.ticked.items() if done is not None
        }

    @invariant()
    def nothing_written_is_lost(self):
        contents = self.everything()
        assert [what for what in self.written if not self.stands(what, contents)] == []
        assert len(progress.attempts("day01/x")) >= self.attempts


# EXAMPLES=2000 looks harder. Shrinking would cost minutes for a machine of files, so the failing steps are shown as met.
Learner.TestCase.settings = settings(
    max_examples=int(os.environ.get("EXAMPLES", "40")),
    stateful_step_count=30,
    phases=[Phase.generate],
    **QUICK,
)
TestLearner = Learner.TestCase


# ---- arbitrary bytes

PIECES = [
    b"- [ ] Do A1 <!-- id: A1 -->", b"- [x] Do A1 <!-- id: A1 -->", b"* [X] <!--id:A2-->", b"- [?] odd <!-- id: A3 -->",
    b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0", b"- [ ", b"]", b"<!-- id: ",
    b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> b\n", "- [x] Do A2 <!-- id: A2 -->\n".encode("utf-16-le"),
    "- [x] Do A2 <!-- id: A2 -->\n".encode("utf-16-be"), b"\xe2\x80\xa8", b'{"exercise_id": "a", "passed": true}', b"[" * 5000,
    b'{"time": "2026-11-21T10:00:00", "id": "A1", "done": true}\n', b"\xed\xa0\x80", b" " * 3000,
]  # fmt: skip
garbage = st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12).map(b"".join)
many = settings(max_examples=120, **QUICK)


@pytest.fixture
def folder(monkeypatch):
    current = course()
    monkeypatch.setattr(timetable, "load", lambda: current)
    monkeypatch.setattr(own_files, "SECONDS_TO_SETTLE", 0.0)
    monkeypatch.setattr(own_files, "SECONDS_FOR_A_SAVE", 0.0)
    monkeypatch.setattr(own_files.os, "fsync", lambda handle: None)
    path = Path(os.environ["LAB_PROGRESS"])
    path.mkdir(parents=True)
    return path


@many
@given(raw=garbage)
def test_any_bytes_come_back_and_are_read_without_an_error(raw):
    document = markdown.decode(raw)
    assert document.to_bytes() == raw
    boxes = markdown.boxes(document.text)
    for line, what in markdown.problems(document):
        assert line >= 1 and what
    for id in boxes:
        ticked = markdown.with_box(document, id, True)
        assert markdown.boxes(ticked.text) == {**boxes, id: True}
        assert markdown.decode(ticked.to_bytes()).text == ticked.text


@many
@given(raw=garbage, id=ids)
def test_a_tick_goes_into_any_file_and_every_line_stays(folder, raw, id):
    shutil.rmtree(folder)
    folder.mkdir()
    week = next(week for week, own in WEEKS.items() if id in own)
    path = folder / f"{week}.md"
    path.write_bytes(raw)
    before = progress.read()
    try:
        progress.tick(id)
    except LabError as error:
        assert "no box" in str(error) and path.read_bytes() == raw
        return
    now = progress.read()
    assert now[id] and all(now[other] for other, done in before.items() if done)
    kept = [file.read_bytes() for file in folder.glob(f"{week}.*")]
    lines = merge._open_lines(markdown.decode(raw))
    versions = [merge._open_lines(markdown.decode(content)) for content in kept]
    assert any(merge._is_within(lines, version) for version in versions)


@many
@given(raw=garbage, other=garbage)
def test_damaged_logs_are_read_lengthened_and_united(folder, raw, other):
    shutil.rmtree(folder)
    folder.mkdir()
    for name in ("exercises.jsonl", "history.jsonl"):
        (folder / name).write_bytes(raw)
    count = len(progress.attempts("a"))
    progress.record_attempt("a", passed=True, feedback="é")
    progress.tick("A1")
    assert len(progress.attempts("a")) == count + 1 and week_files.history()["A1"]
    assert week_files.problems() is not None and progress_sync.forgotten() is not None
    for name in ("a.jsonl", "week1.md", "a.json", "plan.yaml"):
        what, new = merge.merged(name, raw, other)
        assert what in ("same", "merged", "beside")
        if what == "beside" and name != "week1.md":
            assert new == raw


@many
@given(data=st.data())
def test_a_damaged_pack_is_refused_before_anything_is_written(folder, data):
    shutil.rmtree(folder)
    folder.mkdir()
    pack, original = folder.parent / "pack.zip", folder.parent / "original.zip"
    if not original.exists():
        progress.tick("A1")
        archive.pack(original)
        shutil.rmtree(folder)
        folder.mkdir()
    raw = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    pack.write_bytes(raw[: data.draw(st.integers(0, len(raw)) | st.just(len(raw)))])
    try:
        archive.unpack(pack)
    except LabError as error:
        assert "Nothing was changed" in str(error) and list(folder.iterdir()) == []
    else:
        assert progress.read()["A1"]


# ---- real processes


def _notebook(ids):
    for id in ids:
        progress.tick(id)
        progress.record_attempt("day01/x", passed=True, feedback=id)


def _editor(path, in_place):
    """Saves notes as fast as it can, half the time on top of an old copy: the worst editor there is."""
    for number in range(25):
        raw = path.read_bytes() or path.read_bytes()
        if not raw:
            continue
        new = raw + f"note {number} of {in_place}\n".encode()
        if in_place:
            path.write_bytes(new)
        else:
            other = path.with_name(f"editor-{in_place}")
            other.write_bytes(new)
            os.replace(other, path)
        time.sleep(0.004)


@pytest.mark.parametrize("in_place", [True, False])
def test_two_notebooks_and_an_editor_at_once_lose_nothing(monkeypatch, in_place):
    current = course()
    current["weeks"][0]["days"][0]["checklist"] += [{"id": f"T{n}", "text": f"Do {n}"} for n in range(16)]
    monkeypatch.setattr(timetable, "load", lambda: current)
    progress.checklist("day01")
    path = week_files.path(current["weeks"][0])
    context = multiprocessing.get_context("fork")
    first, second = [f"T{n}" for n in range(8)], [f"T{n}" for n in range(8, 16)]
    workers = [context.Process(target=_notebook, args=(own,)) for own in (first, second)]
    workers.append(context.Process(target=_editor, args=(path, in_place)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    text = path.read_text(encoding="utf-8")
    assert [number for number in range(25) if f"note {number} of {in_place}\n" not in text] == []
    # An old copy saved over a tick cannot be told from clearing it; the history knows, and brings it back.
    forgotten = progress_sync.forgotten()
    assert all(progress.read()[id] or id in forgotten for id in first + second)
    progress.tick_all(forgotten) if forgotten else None
    assert all(progress.read()[id] for id in first + second)
    assert len(progress.attempts("day01/x")) == 16
