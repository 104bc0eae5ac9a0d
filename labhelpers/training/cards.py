"""Model cards: drafted from the numbers of a run, then a person's own. One that exists is never overwritten."""

from pathlib import Path

from ..core import files
from ..core.settings import LabError

CARD = "README.md"
BLANK = "[More Information Needed]"


def draft(folder: Path, text: str) -> Path:
    """Write the model card of a saved model or adapter, unless there is one.

    Args:
        folder: where the model lies; it must exist.
        text: the card, in Markdown.

    Returns:
        The card, `README.md` in the folder. One that exists stays as it is; only the empty form that
        `save_pretrained` leaves, with no blank filled in, does not count as a card.

    Raises:
        LabError: when the folder does not exist, the text is empty, or the disk refuses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LabError(f"cards.draft(): there is no folder {folder}. Save the model there first.")
    if not isinstance(text, str) or not text.strip():
        raise LabError(f"cards.draft(): the text of the card is {text!r}. Pass the Markdown of the card.")
    card = folder / CARD
    found = files.read_text(card)
    if found and found.count(BLANK) < _blanks_of_empty_form():
        print(f"{card} stays as it is. For a new draft, rename or delete it and run this cell again.")
    else:
        files.write(card, text)
        print(f"Model card drafted: {card}")
    return card


def _blanks_of_empty_form() -> int:
    from huggingface_hub import ModelCard, ModelCardData

    return ModelCard.from_template(ModelCardData()).text.count(BLANK)
