"""How old the locked versions are: from the file, else from git, and with a clock that is wrong."""

import datetime
import subprocess

import pytest

from labhelpers.tools import doctor, lock_age

DAY = datetime.date(2026, 11, 21)


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "requirements.lock"
    path.write_text("# Locked on 2026-10-29 by make lock.\ntorch==2.13.0 \\\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (DAY, "locked 23 days ago (2026-10-29); `make drift` tells what moved"),
        (datetime.date(2026, 10, 29), "locked today"),
        (datetime.date(2026, 10, 30), "locked yesterday"),
        (datetime.date(2026, 10, 28), "1 day ahead of this machine's clock: is the clock right?"),
        (datetime.date(1970, 1, 1), "ahead of this machine's clock"),
    ],
)
def test_age_is_told_in_days_also_when_the_clock_is_wrong(lock, today, words):
    assert words in lock_age.sentence(lock, today)


def test_file_without_a_date_takes_it_from_git(lock):
    lock.write_text("torch==2.13.0 \\\n", encoding="utf-8")
    assert "unknown day" in lock_age.sentence(lock, DAY)
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (
        ["init", "-q"],
        ["add", lock.name],
        [*who, "commit", "-qm", "x", "--date=2026-11-01T12:00:00"],
    ):
        subprocess.run(["git", *command], cwd=lock.parent, check=True)
    assert lock_age.date(lock) is not None
    assert (lock_age.date(lock) - datetime.date(2026, 11, 1)).days == 0


def test_missing_file_and_impossible_date_are_no_crash(lock):
    lock.write_text("# Locked on 2026-13-45\n", encoding="utf-8")
    assert "unknown day" in lock_age.sentence(lock, DAY)
    lock.unlink()
    assert "unknown day" in lock_age.sentence(lock, DAY)


def test_doctor_tells_the_age_of_this_course():
    finding = next(finding for finding in doctor.examine() if finding.what == "Versions")
    assert finding.ok and "locked" in finding.found and "unknown" not in finding.found
