"""What is published says what was measured."""

import json
from pathlib import Path

import pytest
from src import publish

written = pytest.mark.skipif(
    publish.shown(0.5, 0.5, 0.5) is None, reason="shown() is not written yet: Day 20"
)


@written
def test_as_many_decimals_as_the_interval_deserves():
    assert publish.shown(0.74167, 0.7012, 0.7811) == "0.74 (0.70 to 0.78)"
    assert publish.shown(0.5, 0.5, 0.5) == "0.500 (0.500 to 0.500)"


def test_the_readme_keeps_what_a_person_wrote(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("Mine.\n\n<!-- results -->old<!-- end of results -->\n\nMine too.\n", encoding="utf-8")
    for _ in range(2):
        publish.into_readme("<!-- results -->\nnew\n<!-- end of results -->", page)
    text = page.read_text(encoding="utf-8")
    assert text == "Mine.\n\n<!-- results -->\nnew\n<!-- end of results -->\n\nMine too.\n"


@pytest.mark.skipif(not Path("docs/report.md").exists(), reason="nothing is published yet")
def test_the_report_shows_the_score_of_the_last_run():
    found = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    score = publish.shown(found["score"], found["score_low"], found["score_high"])
    for name in ("docs/report.md", "docs/model_card.md", "README.md"):
        assert score in Path(name).read_text(encoding="utf-8"), f"{name} is older: python -m src.publish"
