"""Rebuilds a project as a stranger would, and finds what its dvc.yaml does not say."""

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import scaffold, trial

REPRO_SECONDS = 1800
DVC = [sys.executable, "-m", "dvc"]


def problem(folder: Path) -> str | None:
    """Tell what went wrong first in a fresh clone, None if the result came out again."""
    fine, told = outcome(folder)
    return None if fine else told


def outcome(folder: Path) -> tuple[bool, str]:
    """Clone, run the pipeline in the clone, compare the metrics.

    Returns:
        Whether the result came out again, and a sentence: the two scores, or what went wrong first.
    """
    folder = folder.expanduser().absolute()
    if dirty := _lines(folder, "git", "status", "--porcelain"):
        name = dirty[0][3:]
        return False, f"{name} is changed or new, and in no commit. Commit first: git add --all, git commit."
    if found := _own_path(folder):
        told = "holds the path of this very folder. Another machine has no such folder: make it relative."
        return False, f"{found} {told}"
    with tempfile.TemporaryDirectory(prefix="fresh-clone-") as place:
        clone = Path(place) / "clone"
        trial.run(Path(place), ["git", "clone", "--quiet", str(folder), str(clone)])
        try:
            if told := _left_behind(folder, clone) or _failed(folder, clone):
                return False, told
            return _compared(folder / "metrics.json", clone / "metrics.json")
        except trial.Trouble as trouble:
            return False, str(trouble)


def _left_behind(folder: Path, clone: Path) -> str | None:
    """A script that a stage declares and the clone lacks; seen before anything runs."""
    import yaml

    stages = (yaml.safe_load((clone / "dvc.yaml").read_text(encoding="utf-8")) or {}).get("stages", {})
    declared = sorted({name for stage in stages.values() for name in _names(stage, "deps")})
    scripts = [path for name in declared for path in (folder / name, *sorted((folder / name).rglob("*.py")))]
    for path in scripts:
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".py" and path.is_file() and not (clone / name).is_file():
            return _ignored(folder, name)
    return None


def _failed(folder: Path, clone: Path) -> str | None:
    """Run the whole pipeline in the clone, on the raw data alone; a sentence if it does not come to its end."""
    raw = [str(path.relative_to(clone)) for path in clone.rglob("*.dvc") if path.is_file()]
    remote = _lines(clone, *DVC, "config", "core.remote")
    if not remote:  # none that a clone knows: the raw data comes from the first folder's cache
        trial.run(clone, [*DVC, "config", "--local", "cache.dir", str(folder / ".dvc" / "cache")])
    bring = [*DVC, "pull" if remote else "checkout", "--quiet", *raw]
    brought = trial.run(clone, bring, REPRO_SECONDS) if raw else None
    if remote and brought and brought.returncode:
        told = ([line.strip() for line in brought.stderr.splitlines() if line.strip()] or ["no word"])[-1]
        return (
            f"`dvc pull` failed in the clone: {told[:200]} Does `dvc push` bring the raw data to {remote[0]}?"
        )
    (clone / "metrics.json").unlink(missing_ok=True)  # what is claimed; only a run makes it again
    # Without --force DVC runs no stage whose results lie in a cache that it reaches, and then nothing was rebuilt.
    done = trial.run(clone, [*DVC, "repro", "--force", "--no-run-cache"], REPRO_SECONDS)
    return _why(folder, done.stdout + done.stderr) if done.returncode else None


def _why(folder: Path, said: str) -> str:
    """Look for what the folder has and the clone lacks."""
    command = ("git", "ls-files", "--others", "--ignored", "--exclude-standard", "src", "tests", "data/raw")
    for name in _lines(folder, *command):
        if name.endswith(".py"):
            return _ignored(folder, name)
    told = [
        line for line in said.splitlines() if "ERROR" in line or "Error" in line or "is not there" in line
    ]
    return f"`dvc repro` failed in the clone: {(told or said.splitlines() or ['no word'])[0].strip()[:300]}"


def _ignored(folder: Path, name: str) -> str:
    rule = _lines(folder, "git", "check-ignore", "-v", name)
    where = rule[0].split("\t")[0] if rule else ".gitignore"
    return f"{name} is here and not in git: it is ignored by {where}. The clone has no such file."


def _compared(claimed: Path, rebuilt: Path) -> tuple[bool, str]:
    """The rebuilt score lies in the interval that was claimed."""
    ours = json.loads(claimed.read_text(encoding="utf-8")) if claimed.is_file() else {}
    if "score" not in ours:
        return False, "no metrics.json with a score is here. Run `dvc repro`, and commit what it made."
    if not rebuilt.is_file():
        return False, "no stage makes metrics.json there. Which one should? Its entry in dvc.yaml says so."
    theirs = json.loads(rebuilt.read_text(encoding="utf-8"))
    low, high = ours.get("score_low", -math.inf), ours.get("score_high", math.inf)
    there = f"score {theirs['score']:.4f} there, {ours['score']:.4f} here"
    if not low <= theirs["score"] <= high:
        return False, f"{there}, and that is outside of what you claim: {low:.3f} to {high:.3f}."
    same = "the same" if theirs["score"] == ours["score"] else f"inside your {low:.3f} to {high:.3f}"
    return True, f"rebuilt; {there}: {same}"


def undeclared(folder: Path, stage: str) -> str | None:
    """Compare a stage with what its script reads and makes; the first difference in one sentence."""
    import yaml

    try:
        stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        mine = stages[stage]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        return f"dvc.yaml has no stage {stage} that can be read: {str(error).splitlines()[0]}."
    text = scaffold.render((scaffold.source() / "dvc.yaml").read_text(encoding="utf-8"), None)
    ours = yaml.safe_load(text)["stages"][stage]
    module = ours["cmd"].split()[-1]
    if module not in str(mine.get("cmd")) and f"{module.replace('.', '/')}.py" not in str(mine.get("cmd")):
        return f"its cmd does not run {module}."
    return _reads(mine, ours) or _chooses(mine, ours) or _makes(mine, ours)


def _reads(mine: dict[str, Any], ours: dict[str, Any]) -> str | None:
    given, wanted = set(_names(mine, "deps")), _names(ours, "deps")
    for name in wanted:
        if not given & {name, *map(str, Path(name).parents)} - {"."}:
            return f"its script reads {name}, and the stage does not say so: change it, and dvc repro skips."
    tests = {"data/finetuning/test.jsonl", "data/finetuning", "data"}
    if "data/finetuning/test.jsonl" not in wanted and given & tests:
        return "it depends on the test split, which no training reads: name the two files that it does read."
    return None


def _chooses(mine: dict[str, Any], ours: dict[str, Any]) -> str | None:
    given = set(_names(mine, "params"))
    for name in _names(ours, "params"):
        if name not in given and not any(key.startswith(f"{name}.") for key in given):
            return f"its script uses {name} of params.yaml, and the stage does not say so: DVC sees no change of it."
    sections = {"task", "prepare", "model", "finetune", "evaluate"}
    for name in sorted({key.partition(".")[0] for key in given} & sections - set(_names(ours, "params"))):
        return (
            f"it declares {name}, which its script never uses: each change of it would run the stage again."
        )
    return None


def _makes(mine: dict[str, Any], ours: dict[str, Any]) -> str | None:
    wanted, given = (
        {*_names(one, "outs"), *_names(one, "metrics"), *_names(one, "plots")} for one in (ours, mine)
    )
    for name in sorted(wanted - {entry.rstrip("/") for entry in given}):
        return f"its script makes {name}, and the stage does not say so: DVC neither keeps it nor misses it."
    return None


def _names(stage: dict[str, Any], key: str) -> list[str]:
    entries = stage.get(key) or []
    return [name for entry in entries for name in (entry if isinstance(entry, dict) else [str(entry)])]


def _own_path(folder: Path) -> str | None:
    for name in _lines(folder, "git", "ls-files"):
        path = folder / name
        if (
            path.is_file()
            and path.stat().st_size < 1_000_000
            and str(folder) in path.read_text("utf-8", "replace")
        ):
            return name
    return None


def _lines(folder: Path, *command: str) -> list[str]:
    return [line for line in trial.run(folder, list(command)).stdout.splitlines() if line.strip()]
