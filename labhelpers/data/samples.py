"""Files that any program can read, made from the course's data for `lessons/examples`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core import files
from ..core.settings import current, quiet_libraries
from . import sources

ROWS = 2000


def write() -> Path:
    """Write tables of texts with labels, and a file of conversations, beside the cached data; once."""
    folder = current().cache / "examples"
    if not folder.is_dir():
        quiet_libraries(current())
        with files.lock(folder), files.new_folder(folder) as fresh:
            _table("sentiment", "text", fresh / "sentences.csv")
            _table("spam", "text", fresh / "messages.csv")
            _table("topics", "headline", fresh / "headlines.jsonl")
            articles = sources.course_set("topics", False).shuffle(seed=0).select(range(400))
            files.write(fresh / "chat.jsonl", _lines(map(_conversation, articles)))
    return folder


def _table(name: str, text: str, file: Path) -> None:
    rows = sources.course_set(name, False)
    table = rows.to_pandas()[[text, "label"]].set_axis(["text", "label"], axis=1)
    table["label"] = table["label"].map(dict(enumerate(rows.features["label"].names)))
    table = table.sample(min(ROWS, len(table)), random_state=0)
    files.write(
        file, table.to_csv(index=False) if file.suffix == ".csv" else _lines(table.to_dict("records"))
    )


def _conversation(row: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    """An article's beginning as the question, its editor's headline as the answer."""
    ask = "Write a headline for this article.\n\n" + " ".join(row["text"].split()[:80])
    return {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": row["headline"]}]}


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
