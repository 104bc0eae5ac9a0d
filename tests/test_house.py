"""The house in order: pins agree, links lead somewhere, spelling and style hold, nothing heavy at import."""

import ast
import graphlib
import itertools
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from labhelpers.core.settings import current
from labhelpers.tools import doctor

ROOT = current().root
BIN = sys.prefix + "/bin/"


def tracked(*patterns):
    """Files of the repository that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def direct_dependencies():
    """What the package and its checks ask for in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["test"]]


def test_style():
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        done = subprocess.run([BIN + command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_environment_yml_pins_what_the_lock_pins():
    import yaml

    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pins = dict(line.split("==") for line in listed if not line.startswith("--"))
    assert set(pins) == {requirement.name.lower() for requirement in direct_dependencies()}
    lock = doctor.locked_versions()
    assert pins == {name: lock[name] for name in pins}


def test_lock_holds_every_direct_dependency_at_the_pinned_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = doctor.locked_versions()
    everything = doctor.locked_versions(ROOT / "requirements-all.lock")
    for requirement in direct_dependencies():
        assert core[requirement.name.lower()] in requirement.specifier
    for text in itertools.chain(*project["optional-dependencies"].values()):
        requirement = Requirement(text)
        assert everything[requirement.name.lower()] in requirement.specifier
    assert {name: everything[name] for name in core} == core, "an extra would move a core package"


def test_lock_brings_no_cuda_packages():
    for name in ("requirements.lock", "requirements-all.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        heavy = [
            line
            for line in re.findall(r"^(nvidia-\S+|cuda-\S+|triton)==", text, re.M)
            if line != "nvidia-ml-py"
        ]
        assert heavy == []
        assert "://" not in text, "a lock file names no index"


@pytest.mark.parametrize(
    "module", ["labhelpers", "labhelpers.data", "labhelpers.training", "labhelpers.display.plots"]
)
def test_importing_loads_nothing_heavy(module):
    heavy = "{'torch', 'transformers', 'pandas', 'matplotlib', 'mlflow', 'sklearn', 'datasets', 'ipywidgets'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_relative_links_lead_to_files():
    broken = []
    for path in tracked("*.md"):
        for target in re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8")):
            if (
                "://" not in target
                and not target.startswith("mailto:")
                and not (path.parent / target).exists()
            ):
                broken.append(f"{path.relative_to(ROOT)} → {target}")
    assert broken == []


def test_pictures_in_markdown_have_alternative_text():
    for path in tracked("*.md"):
        for alt in re.findall(r"!\[([^\]]*)\]\(", path.read_text(encoding="utf-8")):
            assert len(alt) > 20, f"{path}: {alt!r}"


def test_spelling():
    files = [str(path) for path in tracked("*.md", "*.py", "*.yaml", "Makefile") if path.suffix != ".lock"]
    done = subprocess.run([BIN + "codespell", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---------------------------------------------------------------------------------------------- rooms

# 85 and 15,000 when the house was built; each part of the course that came later has its rooms.
MOST_MODULES, MOST_LINES = 105, 19_500


def modules():
    """Every file of the package, in whatever room or closet."""
    return sorted((ROOT / "labhelpers").rglob("*.py"))


def test_every_room_begins_with_its_charter():
    faces = list((ROOT / "labhelpers").glob("*/__init__.py"))
    assert len(faces) == 9
    for path in faces:
        first = path.read_text(encoding="utf-8").split("\n")[0]
        assert re.fullmatch(r'""".{30,}', first), f"{path} should begin with what belongs into the room"


def test_every_module_says_its_subject():
    silent = [
        path for path in modules() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_the_house_stays_small():
    assert len(modules()) <= MOST_MODULES
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules()) <= MOST_LINES


def test_rooms_import_to_their_left():
    command = [BIN + "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def circle(arrows):
    """Modules that import one another in a ring; [] where there is none."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_a_detour():
    """Imports inside functions and those for types count."""
    import grimp

    graph = grimp.build_graph("labhelpers", exclude_type_checking_imports=False, cache_dir=None)
    arrows = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert sum(map(len, arrows.values())) > len(modules())
    assert circle(arrows) == []


def test_a_circle_would_be_noticed():
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_no_machine_path_or_secret_is_committed():
    for path in tracked("*.md", "*.py", "*.yaml", "*.toml", "*.ipynb", "Makefile", "*.yml"):
        text = path.read_text(encoding="utf-8")
        found = re.search(
            r"/(?:home|root|Users)/\w+/|/opt/(?:wheels|pypi)|AKIA[0-9A-Z]{16}|hf_[A-Za-z]{30}", text
        )
        assert found is None, f"{path}: {found}"
