"""The `lab` command as a person types it."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest

from labhelpers.core import settings, timetable
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


@pytest.mark.parametrize("gflops, most", [(0.6, 256), (45, 1024), (500, 2048)])
def test_a_slow_number_type_is_measured_on_small_matrices(monkeypatch, gflops, most):
    """Emulated bf16 took 40 seconds per product of 2048."""
    seen = []

    def seconds(action):
        edge = len(action.__defaults__[0])
        seen.append((edge, 2 * edge**3 / gflops / 1e9))
        return seen[-1][1]

    monkeypatch.setattr(doctor, "_seconds", seconds)
    assert doctor.matmul_rate("bfloat16") == pytest.approx(gflops)
    assert max(edge for edge, _ in seen) == most and sum(took for _, took in seen) < 2


def test_doctor_answers_within_ten_seconds_without_units_for_bf16(tmp_path):
    started = time.perf_counter()
    done = lab("doctor", LAB_BF16="0", LAB_WORKSPACE=str(tmp_path))
    assert time.perf_counter() - started < 10
    assert "no units for bf16" in done.stdout and "Day 4" in done.stdout
    assert json.loads((tmp_path / "machine.json").read_text()).keys() == {"float32"}


def test_doctor_prints_what_is_not_ours_as_it_is(tmp_path):
    (tmp_path / "envs [old]").mkdir()
    for name in ("[/old]", "envs [old]", "[red]x"):
        done = lab("doctor", "--no-speed", LAB_CACHE=str(tmp_path / name / "empty"), COLUMNS="300")
        assert "Traceback" not in done.stderr
    monkey = doctor.Finding("Disk", False, "none on [old] or [/old]", "Free some in [/x].")
    code = (
        "from labhelpers.tools import cli, doctor\n"
        f"doctor.examine = lambda: [doctor.{monkey!r}]\n"
        "cli.doctor(speed=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "none on [old] or [/old]" in done.stdout and "Free some in [/x]." in done.stdout


def test_mlflow_takes_a_free_port_says_so_and_fails_aloud(tmp_path):
    import socket

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        code = (
            "import subprocess, sys\nfrom labhelpers.tools import cli\n"
            "subprocess.call = lambda command: print(*command) or 0\n"
            f"sys.argv = ['lab', 'mlflow', '--port', '{port}']\ncli.main()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "ended by itself" in done.stderr and "Traceback" not in done.stderr
    assert f"Port {port} is taken" in done.stdout
    chosen = re.search(r"http://127.0.0.1:(\d+)", done.stdout)[1]
    assert chosen != str(port) and f"--port {chosen}" in done.stdout


@pytest.mark.parametrize(
    "version, fits", [("3, 14, 0", False), ("3, 10, 4", False), ("3, 12, 1", True), (None, False)]
)
def test_make_asks_the_named_python_for_its_version(tmp_path, version, fits):
    root = settings.current().root
    (tmp_path / "labhelpers/tools").mkdir(parents=True)
    (tmp_path / "labhelpers/tools/set_up.sh").write_text("mkdir -p .venv; echo installing with $1\n")
    for name in ("requirements.lock", "requirements-torch-cpu.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    shutil.copy(root / "Makefile", tmp_path)
    python = tmp_path / "python3.14"
    if version:
        changed = f"import sys; sys.version_info = ({version})"
        python.write_text(f"#!/bin/sh\nexec {sys.executable} -c \"{changed}; exec('''$2''')\"\n")
        python.chmod(0o755)
    command = ["make", ".venv/installed-cpu", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ("installing" in done.stdout) == fits, done.stdout + done.stderr
    assert (done.returncode == 0) == fits and ("3.11, 3.12 or 3.13" in done.stdout) != fits


def test_start_page_invites_to_the_first_open_lesson():
    from labhelpers import progress

    assert "Day 1" in start_page.page() and "Begin Day 1" in start_page.page()
    for item in timetable.lesson("day01")["checklist"]:
        progress.tick(item["id"])
    assert standing.now().next.lesson["id"] == "day02"
    assert "(week1/day02_data.ipynb)" in start_page.page()
    progress.tick(timetable.lesson("day02")["checklist"][0]["id"])
    assert "Continue Day 2" in start_page.page()
