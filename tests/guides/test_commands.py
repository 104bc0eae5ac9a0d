"""The guides' shell blocks run, in the order of their page; DVC's take a minute, so `make quick` leaves them to `make proof`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labhelpers.tools.authoring import guides

PAGES = [
    page
    for page in guides.pages()
    if any(block.language == "bash" for block in guides.blocks(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_and_files_of_the_page_work(page, tmp_path, request):
    """Files named in a block are written to an empty folder; shell blocks run there in the order of the page."""
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "dvc"), "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc"),
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "DVC_NO_ANALYTICS": "1",
    }  # fmt: skip
    for name in [name for name in environment if "MLFLOW" in name]:
        del environment[name]  # MLflow leaves tracks there: the address, the experiment's number
    if sys.platform == "linux":
        environment = request.getfixturevalue("loaded_python").seen_by(environment)
    project = tmp_path / "project"
    project.mkdir()
    for block in guides.blocks(page.read_text(encoding="utf-8")):
        if block.file:
            path = project / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.language == "bash":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.code],
                cwd=project, env=environment, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"{page.name}:{block.line}\n{done.stdout}\n{done.stderr}"
