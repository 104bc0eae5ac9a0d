"""A training that was killed goes on, but only from a checkpoint of the same settings and data."""

import hashlib
from pathlib import Path

from src import config

FOLDER = Path("models/checkpoints")


# <gap day13>
# def fingerprint(chosen: config.Params) -> str:
#     """What a checkpoint must agree with before a run goes on from it: settings and data."""
#     ...
# <solution>
def fingerprint(chosen: config.Params) -> str:
    """What a checkpoint must agree with before a run goes on from it: settings and data."""
    parts = [chosen.model_dump_json(include={"task", "model", "finetune"}).encode()]
    parts += [Path(f"data/finetuning/{part}.jsonl").read_bytes() for part in ("train", "validation")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


# </solution>


# <gap day13>
# def last_checkpoint(folder: Path) -> str | None:
#     """The newest checkpoint that was written to its end; its state file is the last to be written."""
#     ...
# <solution>
def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; its state file is the last to be written."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if path.stat().st_size]
    return str(max(whole, key=lambda path: int(path.name.partition("-")[2]))) if whole else None


# </solution>
