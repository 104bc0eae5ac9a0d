"""`lab update`: the course moves forward, and whatever a learner wrote is there afterwards, whole."""

import json
import os
import subprocess

import pytest

from labhelpers.core.settings import LabError
from labhelpers.tools import update as updating
from labhelpers.tools.authoring import notebooks


def git(folder, *arguments):
    named = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def notebook(*sources, outputs=()):
    """A built notebook as the course ships it."""
    cells = [
        {
            "cell_type": "code",
            "source": source,
            "outputs": list(outputs),
            "metadata": {},
            "execution_count": None,
        }
        for source in sources
    ]
    stamp = {"lesson": "day01", "built": notebooks._digest(list(sources))}
    return json.dumps(
        {"cells": cells, "metadata": {notebooks.STAMP: stamp}, "nbformat": 4, "nbformat_minor": 5}
    )


@pytest.fixture
def course(tmp_path):
    """The authors' folder and a learner's clone of it: (authors, learner)."""
    authors, learner = tmp_path / "authors", tmp_path / "learner"
    (authors / "lessons").mkdir(parents=True)
    git(authors, "init", "-q", "-b", "main")
    write(authors, {"lessons/day01.ipynb": notebook("a = 1"), "lessons/day02.ipynb": notebook("b = 1"), "README.md": "one",
                    ".gitignore": "workspace/\nprogress/*\n*.mine*.ipynb\n", "gone.md": "old"})  # fmt: skip
    publish(authors)
    subprocess.run(["git", "clone", "-q", str(authors), str(learner)], check=True)
    return authors, learner


def write(folder, texts):
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def publish(authors):
    git(authors, "add", "-A")
    git(authors, "commit", "-qm", "more")


def everything(folder):
    """Every file outside .git, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_worked_in_notebooks_stay_beside_the_new_ones(course):
    authors, learner = course
    mine = {
        "lessons/day01.ipynb": notebook("a = 1", outputs=["1"]).replace("a = 1", "a = 42"),
        "lessons/day02.ipynb": notebook("b = 1").replace("b = 1", "b = 42"),
        "progress/week1.md": "- [x] done", "README.md": "my note", "new.md": "mine", "gone.md": "still mine",
    }  # fmt: skip
    write(learner, mine)
    new = {
        "lessons/day01.ipynb": notebook("a = 2"),
        "README.md": "two",
        "new.md": "theirs",
        "labhelpers/more.py": "x = 1",
    }
    write(authors, new)
    (authors / "gone.md").unlink()
    publish(authors)
    said = "\n".join(updating.update(learner))
    after = everything(learner)
    assert {name: after[name] for name in new} == new, "the course is the new one"
    for name in ("lessons/day01.ipynb", "README.md", "new.md", "gone.md"):
        stem, _, suffix = name.rpartition(".")
        assert after[f"{stem}.mine1.{suffix}"] == mine[name] and f"{stem}.mine1".split("/")[-1] in said
    assert after["lessons/day02.ipynb"] == mine["lessons/day02.ipynb"], (
        "what did not change stays where it is"
    )
    assert after["progress/week1.md"] == mine["progress/week1.md"] and "gone.md" not in after
    assert "forward by 1 change;" in said and "make lab" not in said
    assert not any("<<<<<<<" in text for text in after.values())


def test_a_second_update_keeps_a_second_copy_and_names_what_must_be_installed(course):
    authors, learner = course
    for number in (2, 3):
        write(learner, {"lessons/day01.ipynb": f"mine before {number}"})
        new = {"requirements.lock": f"x=={number}", "curriculum/timetable.yaml": f"{number}"}
        write(authors, {"lessons/day01.ipynb": notebook(f"a = {number}")} | new)
        publish(authors)
        *_, checklists, packages = updating.update(learner)
        assert "lab progress sync" in checklists and "make lab" in packages
    assert everything(learner)["lessons/day01.mine1.ipynb"] == "mine before 2"
    assert everything(learner)["lessons/day01.mine2.ipynb"] == "mine before 3"
    assert updating.update(learner) == ["The course is up to date. Nothing was changed."]


def test_outputs_alone_are_kept_too_and_staged_or_ignored_files(course):
    authors, learner = course
    run = notebook("a = 1", outputs=["an hour of training"])
    write(learner, {"lessons/day01.ipynb": run, "lessons/day02.ipynb": "staged", "workspace/x.md": "mine"})
    git(learner, "add", "lessons")
    write(
        authors,
        {
            "lessons/day01.ipynb": notebook("a = 2"),
            "lessons/day02.ipynb": notebook("b = 2"),
            "workspace/x.md": "t",
        },
    )
    git(authors, "add", "-f", "workspace/x.md")
    publish(authors)
    updating.update(learner)
    after = everything(learner)
    kept = [
        after[name]
        for name in ("lessons/day01.mine1.ipynb", "lessons/day02.mine1.ipynb", "workspace/x.mine1.md")
    ]
    assert kept == [run, "staged", "mine"]
    assert git(learner, "status", "--porcelain", "--untracked-files=no") == ""


def test_deleted_files_come_back_and_untouched_ones_are_replaced(course):
    authors, learner = course
    (learner / "lessons/day01.ipynb").unlink()
    write(authors, {"lessons/day01.ipynb": notebook("a = 2"), "README.md": "two"})
    publish(authors)
    assert len(updating.update(learner)) == 1
    assert everything(learner)["lessons/day01.ipynb"] == notebook("a = 2")


def test_without_a_network_nothing_changes(course, tmp_path):
    authors, learner = course
    write(learner, {"lessons/day01.ipynb": "mine"})
    authors.rename(tmp_path / "away")
    before = everything(learner)
    with pytest.raises(LabError, match=r"could not be reached, so nothing was changed.*without it"):
        updating.update(learner)
    assert everything(learner) == before


def test_commits_of_ones_own_are_not_merged(course):
    authors, learner = course
    write(learner, {"lessons/day01.ipynb": "mine"})
    publish(learner)
    write(authors, {"lessons/day01.ipynb": notebook("a = 2")})
    publish(authors)
    before = everything(learner)
    with pytest.raises(LabError, match=r"commits of its own.*Nothing was changed"):
        updating.update(learner)
    assert everything(learner) == before


def test_a_half_done_merge_a_lost_branch_and_a_plain_folder_are_explained(course, tmp_path):
    authors, learner = course
    write(authors, {"lessons/day01.ipynb": notebook("a = 2")})
    publish(authors)
    write(learner, {"lessons/day01.ipynb": "mine"})
    git(learner, "stash", "-q")
    git(learner, "pull", "-q")
    with pytest.raises(subprocess.CalledProcessError):
        git(learner, "stash", "pop")
    with pytest.raises(LabError, match=r"conflict marks.*git reset --merge"):
        updating.update(learner)
    git(learner, "reset", "-q", "--merge")
    assert "mine" in git(learner, "stash", "show", "-p"), "as the message says, nothing is lost"
    git(learner, "checkout", "-q", "--detach")
    with pytest.raises(LabError, match="git switch main"):
        updating.update(learner)
    with pytest.raises(LabError, match=r"no git clone.*lab progress pack"):
        updating.update(tmp_path)


def test_when_git_refuses_the_message_says_where_everything_is(course):
    authors, learner = course
    write(authors, {"lessons/day01.ipynb": notebook("a = 2"), "folder/page.md": "theirs"})
    publish(authors)
    write(learner, {"lessons/day01.ipynb": "mine", "folder": "a file of mine"})
    with pytest.raises(LabError, match=r"day01\.mine1\.ipynb.*git merge says"):
        updating.update(learner)
    after = everything(learner)
    assert after["lessons/day01.mine1.ipynb"] == "mine" and after["folder"] == "a file of mine"
