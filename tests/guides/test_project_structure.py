"""The layout that the guide draws is that of the running project."""

import re

from labhelpers.production import scaffold
from labhelpers.tools.authoring import guides

MADE = {
    "data/",
    "models/",
    "metrics.json",
    "report.md",
    "plots/",
    "my-project/",
}  # by the pipeline, or by `lab`
OWN = {"notebooks/"}  # a person's own


def drawn() -> list[str]:
    """The names left of the words in the guide's tree, each with its folder: src/config.py."""
    page = (guides.folder() / "project_structure.md").read_text(encoding="utf-8")
    tree = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1]
    names = []
    for line in tree.splitlines():
        where, words = re.match(r"([│├└─ ]*)(\S.*?)(?:\s{2,}.*)?$", line).groups()
        inside = "src/" if len(where) > 4 and not words.startswith("src/") else ""
        names += [inside + name for name in words.split(", ")]
    return names


def test_the_tree_of_the_guide_is_the_project():
    lost = [name for name in drawn() if name not in MADE | OWN and not (scaffold.source() / name).exists()]
    assert len(drawn()) > 12 and lost == []


def test_every_script_of_the_project_has_its_folder_in_the_tree():
    scripts = [path.relative_to(scaffold.source()) for path in (scaffold.source() / "src").rglob("*.py")]
    folders = {f"{path.parent.as_posix()}/" for path in scripts}
    assert folders <= {"src/", *drawn()}
