"""The `lab` command as a person types it."""

import subprocess
import sys

import pytest

from labhelpers.core import timetable
from labhelpers.progress import standing
from labhelpers.tools import doctor, start_page


def lab(*arguments, **environment):
    import os

    return subprocess.run(
        [sys.prefix + "/bin/lab", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_mistakes_end_in_one_paragraph_not_in_a_traceback():
    done = lab("run", "day4")
    assert done.returncode == 1
    assert "no lesson 'day4'" in done.stderr and "day04" in done.stderr
    assert "Traceback" not in done.stderr
    done = lab("run", "day04", "--profile", "turbo")
    assert "smoke, cpu, gpu" in done.stderr and "Traceback" not in done.stderr


def test_doctor_names_what_is_wrong_and_the_repair(tmp_path):
    done = lab("doctor", "--no-speed", LAB_CACHE=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "FIX" in done.stdout and "lab prepare" in done.stdout
    assert "Python" in done.stdout and "Memory" in done.stdout


def test_doctor_finds_nothing_wrong_where_the_tests_run():
    assert [finding for finding in doctor.examine() if not finding.ok] == []


def test_every_lesson_fits_the_smallest_machine_that_the_doctor_accepts():
    peaks = {lesson: measured["peak_gib"] for lesson, measured in timetable.measurements().items()}
    assert len(peaks) > 20
    too_large = {lesson: peak for lesson, peak in peaks.items() if peak > doctor.MINIMUM_MEMORY_GIB * 2 / 3}
    assert not too_large  # the rest is for the system and the browser


def test_doctor_reports_a_package_that_left_the_lock(monkeypatch):
    monkeypatch.setattr(doctor, "locked_versions", lambda: {"pytest": "0.0.1", "no-such-package": "1.0"})
    finding = doctor._packages()[0]
    assert not finding.ok
    assert "instead of 0.0.1" in finding.found and "no-such-package missing" in finding.found
    assert "requirements.lock" in finding.fix


@pytest.mark.parametrize(
    ("first_line", "says"),
    [
        ("# Locked on 2026-10-29 by make lock.", "locked on 2026-10-29, "),
        ("# Locked on 2999-01-01 by make lock.", "is the clock right?"),
        ("# Locked on 2026-13-45", "unknown day"),
        ("torch==2.13.0", "unknown day"),
    ],
)
def test_doctor_tells_the_age_of_the_lock(tmp_path, monkeypatch, first_line, says):
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"{first_line}\n", encoding="utf-8")
    monkeypatch.setattr(doctor, "lock_file", lambda: lock)
    (finding,) = [finding for finding in doctor.examine() if finding.what == "Versions"]
    assert finding.ok and says in finding.found


def test_matmul_rate_is_that_of_a_real_machine():
    assert 1 < doctor.matmul_rate("float32", size=256, repeats=2) < 1e6


def test_start_page_invites_to_the_first_open_lesson():
    from labhelpers import progress

    assert "Day 1" in start_page.page() and "Begin Day 1" in start_page.page()
    for item in timetable.lesson("day01")["checklist"]:
        progress.tick(item["id"])
    assert standing.now().next.lesson["id"] == "day02"
    assert "(week1/day02_data.ipynb)" in start_page.page()
    progress.tick(timetable.lesson("day02")["checklist"][0]["id"])
    assert "Continue Day 2" in start_page.page()
