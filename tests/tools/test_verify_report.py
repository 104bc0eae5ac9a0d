"""The page before class: everything that was verified is on it, what failed comes first, nothing is loaded from elsewhere."""

import base64
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

import nbformat
import pytest
from nbclient import NotebookClient

from labhelpers.core import timetable
from labhelpers.tools.authoring import verify as verifying
from labhelpers.tools.authoring import verify_report

ALT = 'A line that rises & says "one"'
DRAW = f"""import base64
from IPython.display import display
from PIL import Image
import io
stream = io.BytesIO()
Image.new("RGB", (1600, 900), "white").save(stream, "PNG")
display({{"image/png": base64.b64encode(stream.getvalue()).decode()}}, raw=True, metadata={{"image/png": {{"alt": {ALT!r}}}}})"""
BREAK = 'raise ValueError("first line\\n<script>alert(1)</script> & the last line")'
VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def executed():
    """Two small notebooks, really executed: one draws a figure, one breaks under its second heading."""
    texts = {}
    for name, last in (("sound", "1 + 1"), ("broken", BREAK)):
        cells = [
            nbformat.v4.new_markdown_cell("# The lesson"),
            nbformat.v4.new_code_cell(DRAW),
            nbformat.v4.new_markdown_cell("Some words.\n\n## Where <b>it</b> breaks"),
            nbformat.v4.new_code_cell(last),
        ]
        notebook = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
        texts[name] = nbformat.writes(notebook)
    return texts


def good_events(lesson, outcome):
    """What a sound run logs: every band met, one exercise, the end."""
    bands = timetable.lesson(lesson).get("bands") or {}
    for name, profiles in bands.items():
        low, high = profiles.get("smoke", (0.0, 1.0))
        yield {"event": "record", "name": name, "value": (low + high) / 2, "low": low, "high": high}
    yield {"event": "check", "exercise": f"{lesson}/<x>", "outcome": outcome, "feedback": "Well & good."}
    yield {"event": "finished", "seconds": 60.0, "peak_bytes": 3 * 2**29}


@pytest.fixture
def keep(executed):
    """Leave a run in the workspace, as `lab verify` does."""

    def keep(lesson, variant, events=None, error=None, text="sound"):
        events = list(events or good_events(lesson, "right" if variant == "solved" else "untouched"))
        folder = verifying.folder("smoke")
        folder.mkdir(parents=True, exist_ok=True)
        notebook = folder / f"{lesson}-{variant}.ipynb"
        notebook.write_text(executed[text], encoding="utf-8")
        result = verifying.LessonRun(lesson, variant, notebook, events, 90.0, error)
        verifying._keep(result, "smoke", {"float32": 300.0})

    return keep


class Reader(HTMLParser):
    """Follows the page as a browser does: open tags, attributes, text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def written(tmp_path):
    return verify_report.write(tmp_path / "out.html", "smoke").read_text(encoding="utf-8")


def test_page_says_that_nothing_was_verified_and_gives_the_command(tmp_path):
    text = read(written(tmp_path)).text
    assert "Nothing has been verified yet" in text
    assert "lab verify --profile smoke --report" in text


def test_lesson_that_works_shows_minutes_memory_results_and_exercises(keep, tmp_path):
    keep("day01", "solved")
    keep("day01", "learner")
    text = read(written(tmp_path)).text
    assert "Sound so far" in text and "Look at these first" not in text
    assert "1.5 minutes, 1.50 GiB" in text and "300 GFLOP/s" in text
    for name in timetable.lesson("day01")["bands"]:
        assert name.replace("_", " ") in text
    assert "✔ inside" in text and "day01/<x>" in text
    assert re.search(r"✔ untouched\s*✔ right", text)


def test_verdict_is_good_only_when_every_lesson_was_run_both_ways(keep, tmp_path):
    for lesson in verifying.ready():
        keep(lesson, "solved")
        keep(lesson, "learner")
    assert f"All {len(verifying.ready())} lessons work here" in read(written(tmp_path)).text


def test_failure_comes_first_with_its_cell_and_the_last_error_line(keep, tmp_path):
    keep("day01", "solved")
    keep("day04", "solved", error="cell 2: ValueError: …", text="broken")
    text = read(written(tmp_path)).text
    assert f"1 of {len(verifying.ready())} lessons need a look" in text
    first = text[text.index("Look at these first") : text.index("Every lesson")]
    assert "Day 4" in first and "Day 1" not in first
    assert "Where <b>it</b> breaks" in first
    assert "<script>alert(1)</script> & the last line" in first and "first line" not in first
    assert "lab run day04 --variant solved --profile smoke" in first


def test_killed_kernel_leaves_no_notebook_and_is_reported_all_the_same(keep, tmp_path):
    keep("day04", "solved", error="a cell that killed the kernel")
    (verifying.folder("smoke") / "day04-solved.ipynb").unlink()
    assert "stopped at a cell that killed the kernel" in read(written(tmp_path)).text


def test_result_outside_its_band_is_marked(keep, tmp_path):
    events = list(good_events("day01", "right"))
    events[0]["value"] = events[0]["high"] + 1
    keep("day01", "solved", events)
    text = read(written(tmp_path)).text
    assert "✘ outside" in text and "is outside" in text[: text.index("Every lesson")]


def test_exercise_that_passes_untouched_is_a_failure(keep, tmp_path):
    keep("day01", "learner", good_events("day01", "right"))
    text = read(written(tmp_path)).text
    assert "day01/<x> was right" in text and "✘ right" in text


def test_figures_are_there_with_their_descriptions(keep, tmp_path):
    keep("day01", "solved")
    pictures = [attributes for tag, attributes in read(written(tmp_path)).tags if tag == "img"]
    assert [picture["alt"] for picture in pictures] == [ALT]
    kind, data = pictures[0]["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG") and len(data) < 20_000


def test_page_loads_nothing_and_every_table_can_be_read_aloud(keep, tmp_path):
    keep("day01", "solved")
    keep("day04", "solved", error="cell 2: ValueError: …", text="broken")
    page = written(tmp_path)
    reader = read(page)
    tags = [tag for tag, _ in reader.tags]
    assert not {"script", "link", "iframe"} & set(tags)
    for _, attributes in reader.tags:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    assert "default-src 'none'" in unescape(page) and "prefers-color-scheme: dark" in page
    assert not re.search(r"url\(|@import", page)
    assert tags.count("table") == tags.count("caption") >= 3
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in reader.tags if tag == "th")


def test_page_says_that_a_lesson_has_changed_since(keep, tmp_path, monkeypatch):
    keep("day01", "solved")
    text = read(written(tmp_path)).text
    assert "has changed since" in text and "Changed since they were verified: Day 1" in text
    now = (verifying.folder("smoke") / "day01-solved.ipynb").read_text(encoding="utf-8")
    monkeypatch.setattr(verify_report.authoring, "notebook_text", lambda *_: now)
    assert "hanged since" not in read(written(tmp_path)).text


def test_command_makes_the_page_of_earlier_results_without_running(keep, tmp_path):
    keep("day01", "solved")
    command = [sys.prefix + "/bin/lab", "verify", "--no-run", "--profile", "smoke"]
    done = subprocess.run([*command, "--report", tmp_path / "a.html"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1.5 minutes" in (tmp_path / "a.html").read_text(encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "--report report.html" in done.stderr
