"""Raw texts in, three clean splits out: no empty row, no copy, nothing shared between the splits.

python -m src.data.prepare_finetuning_data
"""

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from src import config, files, logs

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
log = logs.start("prepare")
WANTED = {
    "classify": "a UTF-8 .csv or .jsonl with the columns text and label",
    "generate": 'a .jsonl whose lines look like {"messages": [{"role": "user", "content": "…"}, …]}',
}


def read(path: Path, task: str) -> pd.DataFrame:
    """Read the raw file as it came; a file of another form ends the program with what it should be."""
    column = ["messages"] if task == "generate" else ["text", "label"]
    try:
        csv = path.suffix.lower() == ".csv"
        table = pd.read_csv(path, na_filter=False, dtype=str) if csv else pd.read_json(path, lines=True)
        return table[column].fillna("")
    except (OSError, ValueError, KeyError) as error:
        told = getattr(error, "strerror", None) or str(error).strip('"')
        config.stop(f"{path}: {told}. Put {WANTED[task]} there, or change prepare.raw in params.yaml.")


def key(row: dict) -> str:
    """What two rows share when one is a copy of the other: the words that the model will read."""
    text = row["text"] if "text" in row else " ".join(part["content"] for part in row["messages"][:-1])
    return " ".join(str(text).lower().split())


# <gap day13>
# def clean(table: pd.DataFrame) -> pd.DataFrame:
#     """Leave out empty rows and copies (equal `key`); the first of equal texts stays. Log how many went."""
#     ...
# <solution>
def clean(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out empty rows and copies; the first of equal texts stays."""
    full = table[[all(str(value).strip() for value in row) for row in table.itertuples(index=False)]]
    keys = pd.Series([key(row) for row in full.to_dict("records")], index=full.index)
    kept = full[(keys != "") & ~keys.duplicated()]
    log.info("%d rows read, %d of them empty or copies", len(table), len(table) - len(kept))
    return kept


# </solution>


def split(table: pd.DataFrame, params: config.Prepare) -> dict[str, pd.DataFrame]:
    """Draw the three parts once, each label in the same share of each."""
    if params.rows:
        table = table.sample(min(params.rows, len(table)), random_state=params.seed)
    if len(table) < 10:
        config.stop(f"{params.raw}: {len(table)} rows can be used, and three parts need 10. Add some.")
    labels = table.get("label")
    if labels is not None and labels.value_counts().min() < 8:
        rare = labels.value_counts().idxmin()
        config.stop(f"{params.raw}: the label {rare!r} has fewer than 8 rows. Add some, or leave it out.")
    from sklearn.model_selection import train_test_split  # a second to load: only after the checks

    rest, test = train_test_split(table, test_size=params.test, random_state=params.seed, stratify=labels)
    labels = rest.get("label")
    share = params.validation / (1 - params.test)
    train, validation = train_test_split(rest, test_size=share, random_state=params.seed, stratify=labels)
    return {"train": train, "validation": validation, "test": test}


def lines(part: pd.DataFrame) -> str:
    """One JSON object a line, in a fixed order, so that the same input gives the same bytes."""
    rows = part.sort_index().to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@app.command()
def main(params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml")) -> None:
    """Write data/finetuning/train.jsonl, validation.jsonl and test.jsonl."""
    chosen = config.load(params)
    parts = split(clean(read(Path(chosen.prepare.raw), chosen.task)), chosen.prepare)
    with files.new_folder(Path("data/finetuning")) as folder:
        for name, part in parts.items():
            files.write(folder / f"{name}.jsonl", lines(part))
    log.info(", ".join(f"{len(part)} for {name}" for name, part in parts.items()))


if __name__ == "__main__":
    app()
