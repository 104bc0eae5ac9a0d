"""What an instructor types before class works."""

import os
import subprocess
import sys

from labhelpers.settings import current


def test_nbval_lax_passes_as_an_instructor_runs_it(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "lessons/", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=current().root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "warning" not in done.stdout.lower().split("passed")[-1]
