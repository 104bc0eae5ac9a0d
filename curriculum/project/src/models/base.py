"""The pretrained model that everything starts from."""

import os
from pathlib import Path

from platformdirs import user_cache_dir

CACHE = Path(os.environ.get("LAB_CACHE") or user_cache_dir("labhelpers"))


def find(name: str) -> str:
    """A model of the course lies in its cache; any other name is a folder, or one of the Hub's."""
    return str(CACHE / name) if (CACHE / name / "config.json").is_file() else name
