"""The course's data sets: packaged copies in the cache, or their larger cousins on the Hub, as assets.yaml names them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError, current
from . import assets
from . import files as table_files

if TYPE_CHECKING:
    from datasets import Dataset

NEUTRAL_BELOW = 0.5  # |mean rating|, on the scale from -4 to 4


def sets() -> dict[str, dict[str, Any]]:
    """Give the entry of each data set by its name, with the id of the asset that holds it."""
    return {
        name: {"asset": asset.id, **entry}
        for asset in assets.catalogue().values()
        for name, entry in asset.sets.items()
    }


def course_set(name: str, neutral: bool) -> "Dataset":
    """Load a data set of the course from where the settings say; `neutral` as in `data.load`."""
    entry = sets()[name]
    if neutral and entry["reader"] != "rated":
        raise LabError(
            f"neutral=True asks for sentences rated near zero, and {name} have no ratings. Leave it out."
        )
    if not current().use_hub or "hub" not in entry or neutral:
        return packaged(name, **({"neutral": True} if neutral else {}))
    hub = entry["hub"]
    dataset = hub_set(hub["id"], "text", "label", hub["splits"])
    return _with_names(dataset, hub["labels"]) if "labels" in hub else dataset


def packaged(name: str, **wishes: Any) -> "Dataset":
    """Load the packaged copy of a data set, whatever the profile."""
    entry = sets()[name]
    folder = assets.path(entry["asset"])
    return READERS[entry["reader"]](folder, **entry.get("options", {}), **wishes)


def hub_set(hub_id: str, text: str, label: str, splits: str | None = None) -> "Dataset":
    """Load a data set from the Hub: these splits ("train+test"), or all, joined; unlabelled rows are left out."""
    from datasets import concatenate_datasets, load_dataset

    try:
        loaded = load_dataset(hub_id, split=splits)
    except Exception as error:  # requests, httpx, huggingface_hub and datasets each raise their own
        raise LabError(_unreachable(hub_id, error)) from error
    dataset = concatenate_datasets(list(loaded.values())) if splits is None else loaded
    missing = [column for column in (text, label) if column not in dataset.column_names]
    if missing:
        raise LabError(
            f"{hub_id} has no column {missing[0]!r}; it has {', '.join(dataset.column_names)}. Name the right ones: "
            f"data.load({hub_id!r}, text=…, label=…)."
        )
    dataset = dataset.select_columns([text, label]).rename_columns({text: "text", label: "label"})
    if not hasattr(dataset.features["label"], "int2str"):
        dataset = dataset.class_encode_column("label")
    return dataset.filter(lambda batch: [number >= 0 for number in batch["label"]], batched=True)


def _unreachable(hub_id: str, error: Exception) -> str:
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return (
            f"{hub_id} is on the Hugging Face Hub, and the Hub is switched off here. Set LAB_HUB=1 (and HF_HUB_OFFLINE=0, "
            "if you set it) before the kernel starts, then restart it. The course's own data need no Hub: "
            f"{', '.join(sets())}."
        )
    reason = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no details'}"
    return (
        f"The data set {hub_id} could not be loaded from the Hugging Face Hub ({reason}). Check the name and the "
        "connection (a private data set also needs `hf auth login`) and run the cell again; or set LAB_HUB=0 and restart the "
        f"kernel to work with the packaged data: {', '.join(sets())}."
    )


def _with_names(dataset: "Dataset", names: list[str]) -> "Dataset":
    from datasets import ClassLabel

    return dataset.cast_column("label", ClassLabel(names=names))


def _rated(folder: Path, file: str, source: str, neutral: bool = False) -> "Dataset":
    from datasets import ClassLabel, Dataset, Features, List, Value

    ratings = {row[0]: json.loads(row[3]) for row in _rows(folder / f"{file}_anonDataRatings.txt")}
    rows = [_rated_row(row[2], ratings[row[0]], source) for row in _rows(folder / f"{file}_GroundTruth.txt")]
    # "neutral" comes last, so that the other two keep their numbers whether or not it is there
    names = ["negative", "positive", *(["neutral"] if neutral else [])]
    features = Features(
        text=Value("string"), label=ClassLabel(names=names), rating=Value("float64"),
        ratings=List(Value("int8")), source=Value("string"),
    )  # fmt: skip
    return Dataset.from_list([row for row in rows if row["label"] < len(names)], features=features)


def _rated_row(text: str, ratings: list[int], source: str) -> dict[str, Any]:
    rating = sum(ratings) / len(ratings)
    label = 2 if abs(rating) < NEUTRAL_BELOW else int(rating > 0)
    return {"text": text.strip(), "label": label, "rating": rating, "ratings": ratings, "source": source}


def _rows(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8-sig").split("\n")
    return [line.rstrip("\r").split("\t") for line in lines if line.strip()]


def _articles(folder: Path, labels: list[str]) -> "Dataset":
    """One folder of text files per label; the first line of a file is its `headline`."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features(text=Value("string"), label=ClassLabel(names=labels), headline=Value("string"))
    rows = [
        {**_article(file), "label": number}
        for number, label in enumerate(labels)
        for file in sorted((folder / label).glob("*.txt"))
    ]
    return Dataset.from_list(rows, features=features)


def _article(file: Path) -> dict[str, str]:
    content = file.read_bytes()
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:  # one of the 2,225 files was saved in the older encoding
        lines = content.decode("latin-1").splitlines()
    headline, *body = [line.strip() for line in lines if line.strip()]
    return {"headline": headline, "text": "\n".join(body)}


def _table(
    folder: Path, file: str, labels: list[str] | None = None, text: str = "text", label: str = "label"
) -> "Dataset":
    """A .csv, .tsv or .jsonl file; `labels` are better names for its own, in the order in which those are sorted."""
    dataset = table_files.read(folder / file, text, label, False, "utf-8")
    return _with_names(dataset, labels) if labels else dataset


# By the `reader` of assets.yaml; each is given the asset's folder and the entry's `options`.
READERS = {"rated": _rated, "articles": _articles, "table": _table}
