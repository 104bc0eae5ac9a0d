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
    ],
)
def test_bad_environment_variables_are_named_with_the_fix(monkeypatch, name, value, hint):
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=hint) as raised:
        settings.current()
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
