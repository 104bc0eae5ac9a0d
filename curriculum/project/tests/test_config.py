"""A mistake in params.yaml is told in one line, with the key and what to write."""

import re
from pathlib import Path

import pytest
from src import config

GOOD = Path("params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate: ", "learn_rate: ", "finetune.learn_rate"),
        (r"epochs: \S+", "epochs: two", "finetune.epochs"),
        (r"  batch_size: .*\n", "", "finetune.batch_size"),
    ],
)
def test_the_line_names_the_key(tmp_path, capsys, old, new, told):
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(old, new, GOOD), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        config.load(path)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and told in lines[0]


def test_our_own_settings_are_sound():
    assert config.load(Path("params.yaml")).finetune.learning_rate > 0
