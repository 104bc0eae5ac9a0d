"""Which folder or Hub name a role of the course stands for: the encoder, the decoder."""

import os
from pathlib import Path

from ..core import settings
from ..core.settings import LabError

# role: (environment variable, asset of the offline course, name on the Hub)
ROLES = {
    "encoder": ("LAB_ENCODER", "minilm", "distilbert-base-uncased"),
    "decoder": ("LAB_DECODER", "smollm2", "HuggingFaceTB/SmolLM2-360M-Instruct"),
}


def source(role: str) -> str:
    """Say where the course's encoder or decoder is, in a form every `from_pretrained` takes.

    Args:
        role: "encoder" (MiniLM, or DistilBERT from the Hub) or "decoder" (SmolLM2).

    Returns:
        A local folder, or a Hub name when the profile uses the Hub. LAB_ENCODER or LAB_DECODER, set to
        either, comes first.

    Raises:
        LabError: when the role is unknown, or the variable points at a folder that holds no model.
    """
    if role not in ROLES:
        raise LabError(f"models.source() got the role {role!r}. Use one of: {', '.join(ROLES)}.")
    variable, asset, hub_name = ROLES[role]
    chosen = os.environ.get(variable, "").strip()
    if chosen:
        return _chosen_source(variable, chosen)
    if settings.current().use_hub:
        return hub_name
    from ..data import assets

    return str(assets.path(asset))


def _chosen_source(variable: str, chosen: str) -> str:
    folder = Path(chosen).expanduser()
    if (folder / "config.json").is_file():
        return str(folder.absolute())
    if folder.exists() or chosen.startswith(("/", "~", ".")) or "\\" in chosen:
        raise LabError(
            f"{variable} is {chosen!r}, and that folder holds no config.json. Set it to a folder made by "
            "save_pretrained(), to a name on the Hugging Face Hub, or unset it."
        )
    return chosen
