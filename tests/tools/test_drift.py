"""What moved is named from what pytest really prints, and the latest releases come from whatever index there is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from labhelpers.tools import doctor, drift, moved_api
from labhelpers.tools.moved_api import Moved
from tests.data import index_server

# A package as a newer release would leave it, and tests that meet what is gone.
PACKAGE = "class Trainer:\n    def __init__(self, *, steps): ...\n"
TESTS = {
    "test_gone.py": "from oldlib import Vanished\n\ndef test_it(): ...\n",
    "test_needs.py": "import oldlib.needs\n",
    "test_calls.py": """import oldlib, oldlib.deep, pytest

def test_attribute(): oldlib.was_here()

@pytest.mark.parametrize("lesson", ["day01", "day02"])
def test_argument(lesson): oldlib.Trainer(step=1)

def test_in_a_cell():
    error = "cell 3: ImportError: cannot import name 'Tokeniser' from 'sklearn.text' (/x/sklearn/text.py)"
    assert error is None

def test_result(): assert 0.5 > 0.8, "accuracy = 0.5 is outside 0.8 to 0.9"

def test_sound(): pass
""",
}
MODULES = {"oldlib": "old-lib", "sklearn": "scikit-learn"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The failures of a real pytest run against the newer package."""
    folder = tmp_path_factory.mktemp("suite")
    package = folder / "site-packages" / "oldlib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    (package / "deep.py").write_text("")
    (package / "needs.py").write_text("import vanished_dependency\n")
    for name, text in TESTS.items():
        (folder / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "--junitxml=r.xml",
    ]
    command += [
        "-o",
        "junit_family=xunit1",
        "--continue-on-collection-errors",
        "-o",
        "pythonpath=site-packages",
    ]
    subprocess.run(command, cwd=folder, capture_output=True)
    return moved_api.moved(moved_api.failures(folder / "r.xml"), MODULES)


def by_package(found, package, word):
    return next(entry for entry in found if entry.package == package and word in entry.error)


def test_vanished_import_is_named_with_its_package_and_the_file(found):
    entry = by_package(found, "old-lib", "Vanished")
    assert entry.error == "ImportError: cannot import name 'Vanished' from 'oldlib'"
    assert entry.tests == ["test_gone.py"]


def test_vanished_attribute_is_named(found):
    entry = by_package(found, "old-lib", "was_here")
    assert entry.error.startswith("AttributeError: module 'oldlib' has no attribute 'was_here'")
    assert entry.tests == ["test_calls.py::test_attribute"]


def test_tests_that_meet_the_same_error_are_one_entry(found):
    assert by_package(found, "", "unexpected keyword").tests == [
        "test_calls.py::test_argument[day01]", "test_calls.py::test_argument[day02]",
    ]  # fmt: skip


def test_error_in_a_lessons_cell_is_found_inside_the_assertion(found):
    entry = by_package(found, "scikit-learn", "Tokeniser")
    assert entry.error == "ImportError: cannot import name 'Tokeniser' from 'sklearn.text'"


def test_changed_result_is_kept_in_its_own_words_and_what_passes_is_not_there(found):
    assert "accuracy = 0.5 is outside" in by_package(found, "", "outside").error
    assert not any("test_sound" in test for entry in found for test in entry.tests)


def test_class_without_a_module_is_traced_to_the_package_the_course_imports_it_from():
    error = "TypeError: TrainingArguments.__init__() got an unexpected keyword argument 'warmup_ratio'"
    assert moved_api.modules_of(error, error) == ["transformers"]
    error = "TypeError: Unheard.__init__() got an unexpected keyword argument 'x'"
    assert moved_api.modules_of(error, error) == []


def test_package_that_changed_is_suspected_before_the_one_that_raises():
    text = (
        "/v/site-packages/peft/a.py:1: in f\n/v/site-packages/torch/b.py:9: in g\nE   AttributeError: no 'x'"
    )
    failed, owners = [moved_api.Failure("tests/a.py::b", text)], {"peft": "peft", "torch": "torch"}
    assert moved_api.moved(failed, owners)[0].package == "torch"
    assert moved_api.moved(failed, owners, {"peft"})[0].package == "peft"


def test_last_place_in_an_installed_package_counts_when_the_error_names_none():
    text = "lessons/x.py:3: in f\n/v/site-packages/peft/a.py:1: in g\n/v/site-packages/_pytest/b.py:2\nE KeyError: 'r'"
    assert moved_api.modules_of("KeyError: 'r'", text) == ["peft"]


def test_module_that_nothing_provides_any_more_is_laid_at_the_door_of_who_asks_for_it(found):
    assert by_package(found, "old-lib", "No module named 'vanished_dependency'").tests == ["test_needs.py"]


def test_one_unreadable_file_does_not_stop_the_suite(tmp_path, monkeypatch):
    (tmp_path / "test_a.py").write_text("import vanished_dependency\n")
    (tmp_path / "test_b.py").write_text("def test_b(): assert 'x' == 'y'\n")
    monkeypatch.setattr(drift, "SUITE", (str(tmp_path),))
    found = drift._tried(Path(sys.executable), tmp_path, None, {})
    assert [entry.error for entry in found] == [
        "ModuleNotFoundError: No module named 'vanished_dependency'", "AssertionError: assert 'x' == 'y'",
    ]  # fmt: skip
    assert drift._fails_here_too(found[1], tmp_path)


def test_sentence_names_versions_error_and_first_test():
    peft = Moved(
        "peft", "ImportError: cannot import name 'X' from 'peft'", ["tests/a.py::b", "tests/a.py::c"]
    )
    rich = Moved("", "AssertionError: 1", ["tests/d.py::e"])
    torch = Moved("torch", "TypeError: t", ["tests/f.py::g"])
    lines = drift.sentences(
        [peft, rich, torch],
        [peft, torch],
        {"peft": "0.1", "torch": "2.1"},
        {"peft": "0.2", "torch": "2.1+cpu"},
    )
    assert lines[0] == (
        "peft 0.1 → 0.2: ImportError: cannot import name 'X' from 'peft', first seen in tests/a.py::b (2 tests)"
    )
    assert lines[1].startswith("torch 2.1 (not changed): TypeError")
    assert "Fails with the locked versions, too: tests/d.py::e" in lines[2]
    assert "Nothing moved" in drift.sentences([], [], {}, {})[0]


def test_table_shows_every_direct_dependency_and_what_changed():
    locked = doctor.locked_versions()
    latest = {**locked, "torch": locked["torch"] + "+cpu", "peft": "99.0", "jinja2": "99.1"}
    *lines, last = drift.table(locked, latest)
    assert len(lines) == len(drift.dependencies()) + 1
    assert last.endswith(f"1 changed: jinja2 {locked['jinja2']} → 99.1.")
    assert [line.split()[0] for line in lines if line.endswith("changed")] == ["peft"]


def wheel(name, version):
    """A package of one empty module, as an index serves it."""
    info, path = f"{name}-{version}.dist-info", Path(f"{name}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return path


def test_latest_release_is_installed_and_torch_stays_where_its_index_is_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        path.name: path.read_bytes()
        for path in (wheel("small_project", "1.0"), wheel("small_project", "1.1"))
    }
    locked = doctor.locked_versions()["torch"]
    Path("small_project-1.1-py3-none-any.whl").unlink()  # only the index has it
    wheel("torch", locked)  # lies in a folder, as in a classroom without network
    # pip's own file names a further index, which has a torch that is no CPU build.
    page = tmp_path / "more" / "torch" / "index.html"
    page.parent.mkdir(parents=True)
    build = wheel("torch", "99.0").rename(page.parent / "torch-99.0-py3-none-any.whl")
    page.write_text(f'<!DOCTYPE html><html><body><a href="{build.name}">{build.name}</a></body></html>')
    (tmp_path / "pip.conf").write_text(f"[global]\nextra-index-url = file://{tmp_path}/more\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # pip, also where uv is installed
    python = drift._python(tmp_path / "venv")
    with index_server.serving(index_server.Index(files)) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        said = drift.install(python, ["torch", "small-project"], "http://127.0.0.1:9/simple")
    assert drift.ask(python)[0]["small-project"] == "1.1"
    assert drift.ask(python)[1]["small_project"] == "small-project"
    assert said and said[0].startswith(f"torch stays at {locked}")


def test_command_tells_apart_what_fails_with_the_locked_versions_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "test_a.py").write_text("def test_a(): assert 'x' == 'y'\n")
    monkeypatch.setattr(drift, "SUITE", (str(tmp_path),))
    monkeypatch.setattr(drift, "install", lambda *_: ["torch stays."])
    monkeypatch.setattr(drift, "_python", lambda _: Path(sys.executable))
    monkeypatch.setattr(drift, "_call", lambda _: None)
    assert drift.run()
    said = capsys.readouterr().out
    assert said.startswith("torch stays.\npackage") and "Fails with the locked versions, too" in said
    monkeypatch.setattr(drift, "_fails_here_too", lambda *_: False)
    assert not drift.run(only="test_a")
    assert "first seen in" in capsys.readouterr().out
