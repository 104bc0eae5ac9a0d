"""What must be true of the splits, whatever the raw file holds."""

import json
from pathlib import Path

import pytest
from src.data import prepare_finetuning_data as prepare

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict]]:
    folder = Path("data/finetuning")
    if not folder.is_dir():
        pytest.skip("no splits yet: dvc repro prepare_data")
    lines = {part: (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines() for part in PARTS}
    return {part: list(map(json.loads, found)) for part, found in lines.items()}


def test_nothing_is_in_two_splits(rows):
    keys = [{prepare.key(row) for row in rows[part]} for part in PARTS]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])


def test_no_row_is_empty(rows):
    assert all(prepare.key(row) for part in PARTS for row in rows[part])


def test_each_split_has_every_label(rows):
    labels = [{row.get("label") for row in rows[part]} for part in PARTS]
    assert labels[0] == labels[1] == labels[2]
