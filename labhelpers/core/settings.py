"""Where the course lives, which profile is in force, and the seed: one typed object."""

import errno
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROFILES = ("smoke", "cpu", "gpu")
SMOKE_EXAMPLES = 600
# What a full disk, a quota, a size limit, a read-only or foreign folder and a failing disk answer.
DISK_REFUSALS = frozenset(
    [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO]
)
# In Colab, once Drive is mounted: a folder that outlives the machine. Colab begins in /content, beside the course.
DRIVE = Path("drive") / "MyDrive"
ON_DRIVE = Path("fine-tuning-course") / "progress"


class LabError(ValueError):
    """A mistake the reader can repair; its message says what happened, where, and the next step."""


@dataclass(frozen=True)
class Settings:
    """Everything a lesson needs to know about this machine and this learner.

    Attributes:
        profile: "smoke" (checks, minutes for the whole course), "cpu" (default) or "gpu".
        seed: seed for every random choice.
        root: the course folder, the one that holds `lessons/`.
        workspace: what the lessons make: prepared data, runs, the MLflow database.
        cache: models and data fetched at set-up, shared by every copy of the course.
        progress: the learner's own checklists and journal; in Colab on Google Drive where that is mounted.
        use_hub: whether models and data come from the Hugging Face Hub.
        max_examples: the largest data set a lesson uses, in examples; None for no limit.
    """

    profile: str
    seed: int
    root: Path
    workspace: Path
    cache: Path
    progress: Path
    use_hub: bool
    max_examples: int | None


def current() -> Settings:
    """Read the settings in force now."""
    import platformdirs

    root = Path(__file__).resolve().parents[2]
    profile = _profile()
    return Settings(
        profile=profile,
        seed=_seed(),
        root=root,
        workspace=_folder("LAB_WORKSPACE", root / "workspace"),
        cache=_folder("LAB_CACHE", Path(platformdirs.user_cache_dir("labhelpers"))),
        progress=_folder("LAB_PROGRESS", _default_progress(root)),
        use_hub=_flag("LAB_HUB", default=profile == "gpu"),
        max_examples=SMOKE_EXAMPLES if profile == "smoke" else None,
    )


def pick(**choices: Any) -> Any:
    """Choose the value meant for the profile in force.

    Args:
        choices: one value per profile, for example `pick(smoke=20, cpu=500, gpu=5000)`. A missing
            profile takes the value of `cpu`.

    Returns:
        The value for this profile.

    Raises:
        LabError: when a name is not a profile, or when neither this profile nor `cpu` has a value.
    """
    unknown = set(choices) - set(PROFILES)
    if unknown:
        raise LabError(
            f"pick() got {sorted(unknown)}. The profiles are {', '.join(PROFILES)}: rename the argument."
        )
    profile = current().profile
    if profile in choices:
        return choices[profile]
    if "cpu" in choices:
        return choices["cpu"]
    raise LabError(
        f"pick() has no value for the profile {profile!r}. Add `{profile}=…` or a default `cpu=…`."
    )


def device() -> str:
    """Name the device the lesson computes on: "cuda" or "cpu".

    Returns:
        "cuda" only in the gpu profile and when PyTorch sees a GPU: the CPU is the course's reference.
    """
    import torch

    return "cuda" if current().profile == "gpu" and torch.cuda.is_available() else "cpu"


def computes_bf16() -> bool:
    """Tell whether the lesson's device multiplies bf16 numbers itself; where it only emulates them, fp32 is faster.

    `LAB_BF16=0` makes the course believe that it does not, as on most laptops; `LAB_BF16=1` that it does.

    Returns:
        True where bf16 is quick. Everything that chooses a number type asks here.
    """
    import torch

    if os.environ.get("LAB_BF16"):
        return _flag("LAB_BF16", default=False)
    if device() == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Only x86: PyTorch has no fast bf16 path on Apple's processors, whatever they announce.
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def is_interactive() -> bool:
    """Tell whether a person with a browser is looking."""
    if os.environ.get("LAB_HEADLESS") == "1":
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def log_event(kind: str, **fields: Any) -> None:
    """Append one event to the run log that the course's own checks read."""
    path = os.environ.get("LAB_RUN_LOG")
    if not path:
        return
    event = {"event": kind, "lesson": os.environ.get("LAB_LESSON"), **fields}
    with open(path, "a", encoding="utf-8") as log:
        log.write(json.dumps(event, default=str) + "\n")


def _profile() -> str:
    name = os.environ.get("LAB_PROFILE") or ("gpu" if _cuda_present() else "cpu")
    if name not in PROFILES:
        raise LabError(f"LAB_PROFILE is {name!r}. Set it to one of {', '.join(PROFILES)}, or unset it.")
    return name


def _cuda_present() -> bool:
    # Asking torch would cost a second at every import; the driver's device file answers at once.
    return Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def _seed() -> int:
    text = os.environ.get("LAB_SEED", "42")
    if not text.isdigit():
        raise LabError(f"LAB_SEED is {text!r}. Set it to a whole number such as 42, or unset it.")
    return int(text)


def _flag(name: str, default: bool) -> bool:
    text = os.environ.get(name, "")
    if text not in ("", "0", "1"):
        raise LabError(f"{name} is {text!r}. Set it to 1 (yes) or 0 (no), or unset it.")
    return default if text == "" else text == "1"


def _folder(name: str, default: Path) -> Path:
    return Path(os.environ.get(name) or default).expanduser().absolute()


def in_colab() -> bool:
    """Tell whether this is Google Colab, in a notebook or in a command started from one."""
    return "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules


def _default_progress(root: Path) -> Path:
    drive = root.parent / DRIVE
    return drive / ON_DRIVE if in_colab() and _is_mounted(drive) else root / "progress"


def _is_mounted(drive: Path) -> bool:
    try:
        return drive.is_dir()
    except OSError:  # mounted once, and the connection broke
        return False


def quiet_libraries(settings: Settings) -> None:
    """Silence messages that mean nothing to a learner; real warnings of our own code stay."""
    import logging
    import warnings

    if not settings.use_hub:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # peft reads a transformers attribute that is about to be renamed; nothing a learner could act on.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    for name in ("mlflow", "alembic", "datasets", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    # Loading from this disk takes a moment; a bar for it says nothing. Downloads keep theirs.
    transformers.logging.disable_progress_bar()
    if not is_interactive():
        datasets.disable_progress_bars()
