"""Whatever stops a program in the middle: files are the old ones or the new ones, and nothing of the learner's is lost."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from labhelpers.core import files, settings
from labhelpers.core.settings import LabError

ROOT = Path(__file__).parents[2]


def start(code, *arguments):
    """Run code that knows `files` and `path` in a process of its own."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom labhelpers.core import files\npath = Path(sys.argv[1])\n"
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names(folder):
    """What stands in a folder, the hidden locks left out."""
    return sorted(file.name for file in folder.iterdir() if file.suffix != ".lock")


# --- one file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["grüße\n", "one\r\ntwo\r", b"\xff\x00\r\n", ""])
def test_a_file_holds_exactly_what_was_given(tmp_path, content):
    files.write(tmp_path / "new folder" / "a.md", content)
    raw = content if isinstance(content, bytes) else content.encode()
    assert (
        (tmp_path / "new folder" / "a.md").read_bytes()
        == files.read_bytes(tmp_path / "new folder" / "a.md")
        == raw
    )
    assert names(tmp_path / "new folder") == ["a.md"]


def test_line_ends_are_read_as_they_are(tmp_path):
    (tmp_path / "a.md").write_bytes("é\r\n- [ ] b\n".encode())
    assert files.read_text(tmp_path / "a.md") == "é\r\n- [ ] b\n"
    assert files.read_text(tmp_path / "missing.md") == ""


DEATHS = {
    "before it is on the disk": "os.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
    "before it takes its place": "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_crash_between_writing_and_replacing_leaves_the_old_file(tmp_path, death):
    path = tmp_path / "plan.md"
    files.write(path, "old")
    process = start(DEATHS[death] + '\nfiles.write(path, "new")', path)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    files.write(path, "newer")
    assert path.read_text() == "newer"


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    files.write(tmp_path / "journal.md", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LabError, match="No space left"):
        files.write(tmp_path / "journal.md", "new")
    assert (tmp_path / "journal.md").read_text() == "old"
    assert names(tmp_path) == ["journal.md"]


def test_what_a_killed_process_left_half_written_is_cleared_later():
    folder = settings.current().progress
    folder.mkdir()
    old, fresh = folder / ".week1.md.abc.part", folder / ".week1.md.def.part"
    for left in (old, fresh):
        left.write_text("half")
    os.utime(old, (time.time() - 3600,) * 2)
    with files.locked():
        pass
    assert names(folder) == [fresh.name], "the fresh one may have a writer"


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "drive").mkdir()
    link = tmp_path / "week1.md"
    link.symlink_to(tmp_path / "drive" / "week1.md")
    files.write(link, "first")
    files.change(link, lambda raw: raw + b", second")
    assert link.is_symlink()
    assert (tmp_path / "drive" / "week1.md").read_text() == "first, second"
    assert names(tmp_path) == ["drive", "week1.md"]


def test_permission_bits_stay_and_new_files_can_be_read_by_others(tmp_path):
    path = tmp_path / "a.sh"
    files.write(path, "1")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o750)
    files.write(path, "2")
    assert path.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("raw", ["Ärger".encode("latin-1"), "- [x] ü\n".encode("utf-16")])
def test_a_text_that_is_not_utf8_is_an_error_and_stays(tmp_path, raw):
    path = tmp_path / "week1.md"
    path.write_bytes(b"fine\n" + raw)
    with pytest.raises(LabError, match=r"week1\.md is not UTF-8 text \(line 2\).*UTF-8"):
        files.read_text(path)
    assert path.read_bytes() == b"fine\n" + raw


def test_errors_of_the_system_name_the_file_and_the_next_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LabError, match=r"Could not write .*file/a\.md: .*again"):
        files.write(tmp_path / "file" / "a.md", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LabError, match=r"Could not read .*folder: "):
        files.read_bytes(tmp_path / "folder")


# --- changing what somebody else may be saving -------------------------------------------------------------------


def test_change_keeps_what_an_editor_saved_meanwhile(tmp_path):
    path = tmp_path / "journal.md"
    path.write_text("old\n")
    seen = []

    def edit(raw):
        seen.append(raw)
        if len(seen) == 1:
            path.write_bytes(raw + b"from the editor\n")
        return raw + b"from us\n"

    files.change(path, edit)
    assert path.read_text() == "old\nfrom the editor\nfrom us\n"


def test_change_gives_up_on_a_file_that_never_rests(tmp_path):
    path, count = tmp_path / "journal.md", iter(range(1000))
    with pytest.raises(LabError, match="again and again"):
        files.change(path, lambda raw: [path.write_text(f"save {next(count)}"), b"ours"][1])
    assert path.read_text().startswith("save ")


def test_change_that_changes_nothing_leaves_the_file_alone(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("same")
    before = path.stat()
    files.change(path, lambda raw: raw)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


# --- locks -------------------------------------------------------------------------------------------------------

COUNT = """
for _ in range(40):
    with files.lock(path):
        files.change(path, lambda raw: str(int(raw or b"0") + 1).encode())
"""


def test_two_processes_lose_no_change(tmp_path):
    path = tmp_path / "count"
    processes = [start(COUNT, path) for _ in range(2)]
    assert [process.communicate() and process.returncode for process in processes] == [0, 0]
    assert path.read_text() == "80"


def test_the_lock_is_the_same_by_whichever_link_and_lies_beside_the_file(tmp_path):
    (tmp_path / "drive").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "drive")
    with (
        files.lock(tmp_path / "mine" / "a.json"),
        pytest.raises(LabError, match="0 seconds"),
        files.lock(tmp_path / "drive" / "a.json", timeout=0),
    ):
        pass
    assert (tmp_path / "drive" / ".a.json.lock").exists()


def test_waiting_is_said_and_ends_with_the_next_step(tmp_path, capsys):
    path = tmp_path / "a.json"
    with (
        files.lock(path),
        pytest.raises(LabError, match=rf"writing {path} for 0 seconds\. Nothing was changed\. Close"),
        files.lock(path, "Another notebook is training", timeout=0.1),
    ):
        pass
    assert capsys.readouterr().out == "Another notebook is training. Waiting for it to finish.\n"
    with files.lock(path, timeout=0):
        pass


def test_the_progress_folder_has_a_lock_of_its_own_and_no_other_place(monkeypatch):
    monkeypatch.setattr(files, "SECONDS_TO_WAIT", 0.1)
    folder = settings.current().progress
    before = set(Path(tempfile.gettempdir()).glob("*.lock"))
    with (
        files.locked(),
        pytest.raises(LabError, match=rf"writing {folder} for"),
        files.locked(),
    ):
        pass
    assert [file.name for file in folder.iterdir()] == [".progress.lock"]
    assert set(Path(tempfile.gettempdir()).glob("*.lock")) == before


def test_a_folder_that_cannot_hold_a_lock_is_a_readable_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(LabError, match=r"Could not lock .*file/a: .*Ask Zoë"),
        files.lock(tmp_path / "file" / "a", next_step="Ask Zoë."),
    ):
        pass


# --- folders -----------------------------------------------------------------------------------------------------


def fill(folder, word):
    """Put a folder of one file in place."""
    with files.lock(folder), files.new_folder(folder) as new:
        (new / "word.txt").write_text(word)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    fill(tmp_path / "data", "old")
    (tmp_path / "data" / "more.txt").write_text("old")
    fill(tmp_path / "data", "new")
    assert names(tmp_path) == ["data"] and names(tmp_path / "data") == ["word.txt"]
    assert (tmp_path / "data" / "word.txt").read_text() == "new"


def test_a_folder_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    fill(tmp_path / "data", "old")
    with (
        pytest.raises(LabError, match=r"Could not write .*data: No space left.*Buy a disk"),
        files.new_folder(tmp_path / "data", "Buy a disk."),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["data"]
    assert (tmp_path / "data" / "word.txt").read_text() == "old"


REPLACING = """
count, replace = iter(range(9)), os.replace
def replace_or_die(one, other):
    os.kill(os.getpid(), signal.SIGKILL) if next(count) == int(sys.argv[2]) else replace(one, other)
os.replace = replace_or_die
with files.lock(path), files.new_folder(path) as new:
    (new / "word.txt").write_text("new")
"""


@pytest.mark.parametrize("step", [0, 1])
def test_a_crash_while_two_folders_change_places_is_put_right(tmp_path, step):
    fill(tmp_path / "data", "old")
    process = start(REPLACING, tmp_path / "data", step)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with files.lock(tmp_path / "data"):
        assert (tmp_path / "data" / "word.txt").read_text() == "old"
    assert names(tmp_path) == ["data"]


def test_a_linked_folder_stays_linked(tmp_path):
    (tmp_path / "big disk" / "data").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "big disk" / "data")
    fill(tmp_path / "data", "new")
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "big disk" / "data" / "word.txt").read_text() == "new"


# --- set aside, kept aside ---------------------------------------------------------------------------------------


def test_broken_things_are_set_aside_under_the_next_free_number(tmp_path):
    for content in ("1", "2", "3"):
        (tmp_path / "a.db").write_text(content)
        files.set_aside(tmp_path / "a.db")
    assert names(tmp_path) == ["broken-a.db", "broken-a.db-2", "broken-a.db-3"]
    assert (tmp_path / "broken-a.db-2").read_text() == "2"
    (tmp_path / "data" / "train").mkdir(parents=True)
    assert files.set_aside(tmp_path / "data") == tmp_path / "broken-data"
    assert (tmp_path / "broken-data" / "train").is_dir()


def test_a_copy_is_kept_once(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("mine")
    assert files.keep_aside(path) == files.keep_aside(path) == tmp_path / "plan.kept-1.yaml"
    assert files.keep_aside(path, b"other", "from-pack") == tmp_path / "plan.from-pack-1.yaml"
    path.write_text("mine, later")
    files.keep_aside(path)
    assert names(tmp_path) == [
        "plan.from-pack-1.yaml",
        "plan.kept-1.yaml",
        "plan.kept-2.yaml",
        "plan.yaml",
    ]


# --- logs --------------------------------------------------------------------------------------------------------


def test_a_log_gives_back_what_was_appended(tmp_path):
    log = tmp_path / "new" / "log.jsonl"
    assert files.records(log) == files.damaged(log) == []
    for number in range(3):
        files.append(log, {"number": number, "word": "grüß\ndich"})
    assert files.records(log) == [{"number": number, "word": "grüß\ndich"} for number in range(3)]
    assert log.read_bytes().count(b"\n") == 3


def test_a_torn_last_line_costs_itself_alone(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"b": 2}\n{"c": ')
    files.append(log, {"d": 4})
    assert files.records(log) == [{"a": 1}, {"b": 2}, {"d": 4}]
    assert files.damaged(log) == [3]
    with open(log, "ab") as file:
        file.write(b"[1]\n\n\xff\xfe\n" + b"[" * 100_000 + b"\n")
    assert files.records(log) == [{"a": 1}, {"b": 2}, {"d": 4}]
    assert files.damaged(log) == [3, 5, 7, 8]


def test_a_log_that_an_editor_saved_as_utf16_is_refused_and_stays(tmp_path):
    log = tmp_path / "log.jsonl"
    raw = (json.dumps({"a": 1}) + "\n").encode("utf-16")
    log.write_bytes(raw)
    for act in (files.records, files.damaged, lambda path: files.append(path, {"b": 2})):
        with pytest.raises(LabError, match=r"log\.jsonl is not UTF-8"):
            act(log)
    assert log.read_bytes() == raw


# --- the course's own YAML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"a: [", b"a: \xff"])
def test_yaml_of_the_course_that_cannot_be_read_says_how_to_get_it_back(tmp_path, content):
    path = tmp_path / "sets.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LabError, match=r"git checkout .*sets\.yaml"):
        files.read_yaml(path)
