"""A model card is drafted once and then belongs to the person who edits it."""

import pytest
from huggingface_hub import ModelCard, ModelCardData

from labhelpers.core.settings import LabError
from labhelpers.training import cards


def test_first_draft_is_written(tmp_path):
    card = cards.draft(tmp_path, "# Accuracy 0.85\n")
    assert card == tmp_path / "README.md"
    assert card.read_text(encoding="utf-8") == "# Accuracy 0.85\n"


def test_a_card_that_exists_is_never_overwritten_and_the_next_step_is_told(tmp_path, capsys):
    card = cards.draft(tmp_path, "# Accuracy 0.85\n")
    card.write_text("# Accuracy 0.85\n\nNot for medical texts.\n", encoding="utf-8")
    assert cards.draft(tmp_path, "# Accuracy 0.86\n") == card
    assert card.read_text(encoding="utf-8") == "# Accuracy 0.85\n\nNot for medical texts.\n"
    assert f"{card} stays as it is. For a new draft, rename or delete it" in capsys.readouterr().out


def test_empty_form_of_peft_is_replaced_but_not_a_filled_one(tmp_path):
    form = ModelCard.from_template(ModelCardData()).content
    (tmp_path / "README.md").write_text(form, encoding="utf-8")
    assert cards.draft(tmp_path, "# Mine\n").read_text(encoding="utf-8") == "# Mine\n"
    other = tmp_path / "other"
    other.mkdir()
    (other / "README.md").write_text(form.replace(cards.BLANK, "Ada Lovelace", 1), encoding="utf-8")
    cards.draft(other, "# Mine\n")
    assert "Ada Lovelace" in (other / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folder", "text", "message"), [("missing", "# x", "no folder"), (".", "  ", "text")]
)
def test_bad_input_is_named(tmp_path, folder, text, message):
    with pytest.raises(LabError, match=message):
        cards.draft(tmp_path / folder, text)
