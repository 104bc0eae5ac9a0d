"""Profiles, folders and seeds."""

import pytest

from labhelpers.core import files, settings
from labhelpers.core.settings import LabError


def test_profile_decides_what_pick_returns(monkeypatch):
    monkeypatch.setenv("LAB_PROFILE", "smoke")
    assert settings.pick(smoke=1, cpu=2) == 1
    monkeypatch.setenv("LAB_PROFILE", "gpu")
    assert settings.pick(smoke=1, cpu=2) == 2, "a missing profile falls back to cpu"
    with pytest.raises(LabError, match="no value for the profile 'gpu'"):
        settings.pick(smoke=1)
    with pytest.raises(LabError, match="laptop"):
        settings.pick(laptop=1)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("LAB_PROFILE", "fast", "smoke, cpu, gpu"),
        ("LAB_SEED", "lucky", "42"),
        ("LAB_HUB", "yes", "1 \\(yes\\)"),
        ("LAB_BF16", "no", "0 \\(no\\)"),
    ],
)
def test_bad_environment_variables_are_named_with_the_fix(monkeypatch, name, value, hint):
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=hint) as raised:
        settings.current()
        settings.computes_bf16()
    assert name in str(raised.value) and value in str(raised.value)


def test_folders_follow_their_variables_and_survive_spaces_and_letters(monkeypatch, tmp_path):
    folder = tmp_path / "Zoë's course"
    monkeypatch.setenv("LAB_WORKSPACE", str(folder))
    assert settings.current().workspace == folder
    files.write(folder / "note.md", "grüße\n")
    assert (folder / "note.md").read_bytes() == "grüße\n".encode()


def test_headless_is_not_interactive(monkeypatch):
    monkeypatch.setenv("LAB_HEADLESS", "1")
    assert not settings.is_interactive()


@pytest.mark.parametrize(("said", "name"), [("0", "float32"), ("1", "bfloat16")])
def test_one_setting_decides_in_which_type_everything_computes(monkeypatch, said, name):
    import torch

    from labhelpers import training
    from labhelpers.models import sentence_embeddings

    monkeypatch.setenv("LAB_BF16", said)
    assert settings.computes_bf16() == training.arguments("first").bf16 == (said == "1")
    for kind in ("encoder", "decoder"):
        assert training.load_options(kind)["dtype"] == getattr(torch, name)
    assert sentence_embeddings._use_bfloat16() == (said == "1")


def test_without_the_setting_the_processor_is_asked(monkeypatch):
    import torch

    monkeypatch.delenv("LAB_BF16", raising=False)
    for able, expected in (({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert settings.computes_bf16() is expected


def test_number_types_are_chosen_in_one_place():
    """No helper asks the processor by itself, and none computes in bf16 without asking; Day 17 shows the answer."""
    import re

    root = settings.current().root
    sources = [*root.glob("curriculum/manuscripts/**/*.py"), *root.glob("labhelpers/**/*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    asking = [path.name for path, text in texts.items() if "get_capabilities" in text]
    assert asking == ["day17_efficient_training.py", "settings.py"]
    always = re.compile(r"autocast\((?!.cpu.)[^,()]+, (?:dtype=)?torch\.bfloat16\)")
    assert not [path.name for path, text in texts.items() if always.search(text)]
