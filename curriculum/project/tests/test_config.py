"""A mistake in params.yaml is told in one line, with the key and what to write."""

from pathlib import Path

import pytest
from src import config

GOOD = Path("params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate: ", "learning_rat: ", "finetune.learning_rat"),
        ("epochs: 2", "epochs: two", "finetune.epochs is the text 'two'"),
        ("  seed: 0\n\nevaluate", "\nevaluate", "finetune.seed is missing"),
    ],
)
def test_the_line_names_the_key(tmp_path, capsys, old, new, told):
    path = tmp_path / "params.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        config.load(path)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_our_own_settings_are_sound():
    assert config.load(Path("params.yaml")).finetune.learning_rate > 0
