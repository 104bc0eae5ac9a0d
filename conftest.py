"""Lets an instructor type `pytest --nbval-lax lessons/`: quick profile, no browser, nobody's files touched."""

import atexit
import os
import shutil
import tempfile

_own = tempfile.mkdtemp(prefix="course-check-")
atexit.register(shutil.rmtree, _own, ignore_errors=True)

os.environ.setdefault("LAB_PROFILE", "smoke")
os.environ.setdefault("LAB_HEADLESS", "1")
os.environ.setdefault("LAB_WORKSPACE", os.path.join(_own, "workspace"))
os.environ.setdefault("LAB_PROGRESS", os.path.join(_own, "progress"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
