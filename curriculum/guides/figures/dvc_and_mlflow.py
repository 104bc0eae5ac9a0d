"""Which stages run again after one change, read from the dvc.yaml that stands in the guide."""

from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure

from labhelpers.display.canvas import cell_axes
from labhelpers.tools.authoring import guides

PAGE = Path(__file__).parents[1] / "dvc_and_mlflow.md"


def rerun(stages: dict, changed: str) -> list[bool]:
    """Tell for each stage, in order, whether it runs again after `changed` (a file or a parameter)."""
    dirty, runs = {changed}, []
    for stage in stages.values():
        touched = any(changed == name or changed.startswith(f"{name}.") for name in stage.get("params", []))
        runs.append(touched or bool(dirty & set(stage["deps"])))
        if runs[-1]:
            dirty |= set(stage.get("outs", []))
    return runs


def figure() -> Figure:
    """One row per change, one column per stage."""
    blocks = guides.blocks(PAGE.read_text(encoding="utf-8"))
    stages = yaml.safe_load(next(block.code for block in blocks if block.file == "dvc.yaml"))["stages"]
    changes = ["preprocess.py", "prepare.train_ratio", "finetune.lora_r", "evaluate.py"]
    grid = np.array([rerun(stages, change) for change in changes], dtype=float)
    texts = [["runs again" if cell else "skipped" for cell in row] for row in grid]
    rows = [f"{change} changed" for change in changes]
    title = "A change reruns its stage and what follows, nothing before"
    return cell_axes(grid, texts, rows, list(stages), (0, 1.4), title, "stage", "").axes.figure
