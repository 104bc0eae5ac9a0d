"""The house in order: pins agree, links lead somewhere, spelling and style hold, nothing heavy at import."""

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


def test_every_locked_package_has_a_hash():
    entries = (ROOT / "requirements.lock").read_text(encoding="utf-8").split("\n")
    heads = [line for line in entries if re.match(r"^[A-Za-z0-9]", line)]
    assert heads and all(line.endswith("\\") for line in heads)


@pytest.mark.parametrize(
    "module", ["labhelpers", "labhelpers.data", "labhelpers.training", "labhelpers.plots"]
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


def test_style():
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        done = subprocess.run([BIN + command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_spelling():
    files = [str(path) for path in tracked("*.md", "*.py", "*.yaml", "Makefile") if path.suffix != ".lock"]
    done = subprocess.run([BIN + "codespell", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_modules_can_be_read_in_one_sitting():
    for path in (ROOT / "labhelpers").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 310, path.name


def test_no_machine_path_or_secret_is_committed():
    for path in tracked("*.md", "*.py", "*.yaml", "*.toml", "*.ipynb", "Makefile", "*.yml"):
        text = path.read_text(encoding="utf-8")
        found = re.search(
            r"/(?:home|root|Users)/\w+/|/opt/(?:wheels|pypi)|AKIA[0-9A-Z]{16}|hf_[A-Za-z]{30}", text
        )
        assert found is None, f"{path}: {found}"
