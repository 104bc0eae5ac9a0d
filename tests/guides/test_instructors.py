"""What the instructors' page tells people to type exists, and its CI recipe does what it says."""

import re
import shlex
import subprocess

import pytest
import typer
import yaml

from labhelpers.core.settings import current
from labhelpers.tools import cli
from labhelpers.tools.authoring import guides

PAGE = (guides.folder() / "instructors.md").read_text(encoding="utf-8")
FILES = {block.file: block.code for block in guides.blocks(PAGE) if block.file}
WORKFLOW = yaml.safe_load(FILES[".github/workflows/course.yml"])
NBVAL = ".venv/bin/pytest --nbval-lax lessons/"


def steps():
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def shell_lines():
    lines = [line for line in FILES["ci.sh"].splitlines() if line and not line.startswith(("#", "set "))]
    texts = [block.code for block in guides.blocks(PAGE) if block.language == "text"]
    return lines + [line for text in texts for line in text.splitlines()]


def complaint(command):
    """Why a command would fail at once; None when make, or the parser of `lab`, accepts it."""
    program, *arguments = shlex.split(command)
    if program == "make":
        done = subprocess.run(["make", "-n", *arguments], cwd=current().root, capture_output=True, text=True)
        return done.stderr if done.returncode else None
    if program == ".venv/bin/lab":
        name, *rest = arguments
        known = typer.main.get_command(cli.app).commands
        if name not in known:
            return f"lab has no command {name}"
        try:
            known[name].make_context(name, rest)
        except Exception as error:  # typer keeps a click of its own, whose errors have no public name
            return str(error)
        return None
    return None if command == NBVAL else f"unknown: {command}"


@pytest.mark.parametrize("command", [step["run"] for step in steps() if "run" in step] + shell_lines())
def test_every_command_is_one_that_exists(command):
    assert complaint(command) is None


@pytest.mark.parametrize(
    "command", ["make tset", "lab verify", ".venv/bin/lab verified", ".venv/bin/lab verify --repot a"]
)
def test_a_mistyped_command_would_be_noticed(command):
    assert complaint(command)


def test_recipe_sets_up_runs_the_notebooks_and_keeps_the_page():
    runs = [step.get("run", "") for step in WORKFLOW["jobs"]["lessons"]["steps"]]
    assert runs.index("make setup") < runs.index(NBVAL)
    report = next(run for run in runs if "--report" in run).split()[-1]
    upload = next(step for step in steps() if "upload-artifact" in step.get("uses", ""))
    assert upload["with"]["path"] == report and upload["if"] == "always()"
    assert [run for run in runs if run] == [
        line for line in FILES["ci.sh"].splitlines() if line.startswith((".", "make"))
    ]


def test_actions_are_pinned_to_commits_and_may_only_read():
    lines = re.findall(r"uses: (.+)", FILES[".github/workflows/course.yml"])
    assert len(lines) == sum("uses" in step for step in steps()) >= 4
    for line in lines:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in WORKFLOW["jobs"].values())


def test_cached_folder_is_the_one_the_course_uses(monkeypatch):
    monkeypatch.delenv("LAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home-of-ci")
    monkeypatch.setattr("sys.platform", "linux")
    step = next(step for step in steps() if "actions/cache" in step.get("uses", ""))
    assert step["with"]["path"].replace("~", "/home-of-ci") == str(current().cache)
    files = re.findall(r"hashFiles\('([^']+)'\)", step["with"]["key"])
    assert files and all((current().root / file).exists() for file in files)
