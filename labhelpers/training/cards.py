"""Model cards: drafted from the numbers of a run, finished by a person, and never overwritten after that."""

import hashlib
from pathlib import Path

from ..core import files
from ..core.settings import LabError

CARD = "README.md"
STAMP = ".card-draft"
BLANK = "[More Information Needed]"


def draft(folder: Path, text: str) -> Path:
    """Write the model card of a saved model or adapter, unless a person has worked on it.

    Args:
        folder: where the model lies; it must exist.
        text: the card, in Markdown.

    Returns:
        The card, `README.md` in the folder. An untouched earlier draft, or the empty form that `save_pretrained`
        leaves, is replaced. A card that somebody edited stays as it is; if the numbers have changed since, the
        new draft goes beside it, into `README.draft.md`.

    Raises:
        LabError: when the folder does not exist, the text is empty, or the disk refuses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LabError(f"cards.draft(): there is no folder {folder}. Save the model there first.")
    if not isinstance(text, str) or not text.strip():
        raise LabError(f"cards.draft(): the text of the card is {text!r}. Pass the Markdown of the card.")
    card, stamp = folder / CARD, folder / STAMP
    if _is_ours(card, stamp, text):
        # The card first: a crash in between leaves a draft that counts as edited, never lost words.
        files.write(card, text)
        files.write(stamp, _digest(text))
        print(f"Model card drafted: {card}")
        return card
    print(f"You have worked on {card}. It stays as it is.")
    if _digest(text) != _read(stamp).strip():
        files.write(folder / "README.draft.md", text)
        print("The numbers have changed since: a new draft lies beside it, README.draft.md.")
    return card


def _is_ours(card: Path, stamp: Path, draft_text: str) -> bool:
    """Tell whether nobody's words would be lost."""
    text = _read(card)
    if not card.exists() or text == draft_text:
        return True
    if stamp.exists():
        return _digest(text) == _read(stamp).strip()
    return text.count(BLANK) >= _blanks_of_empty_form()


def _blanks_of_empty_form() -> int:
    from huggingface_hub import ModelCard, ModelCardData

    return ModelCard.from_template(ModelCardData()).text.count(BLANK)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
