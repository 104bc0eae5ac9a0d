"""The comparison of the techniques on one page: what each costs, what each brings, and a figure."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core import files, settings, timetable
from ...core.settings import LabError
from ...display import plots
from ...models import memory
from .. import doctor
from ..authoring import guides
from ..authoring import verify as verifying
from . import train as comparison

HEAD = "# Written by `lab compare --publish` from the runs in MLflow; never by hand.\n"


# Who takes part → the guide that shows it, and its picture there.
GUIDES = {"techniques": ("comparison", "comparison"), "lora_family": ("lora_variants", "lora_family")}


def location(name: str = "techniques") -> Path:
    """Where the figures that the guide shows are kept."""
    return settings.current().root / "curriculum" / f"{name}.yaml"


def publish(field: comparison.Field = comparison.TECHNIQUES) -> Path:
    """Write what MLflow holds into the course, for its guide."""
    import yaml

    if settings.current().profile != "cpu":
        raise LabError("Only the cpu profile is published. Run `LAB_PROFILE=cpu lab compare --publish`.")
    rows = [
        {name: _plain(value) for name, value in row.items()}
        for row in comparison.table(field).to_dict("records")
    ]
    document = {
        "date": f"{datetime.date.today()}",
        "machine": verifying.machine(doctor.rates()),
        "margin": comparison.MARGIN,
        "bars": {name: _plain(value) for name, value in comparison.bars().items()},
        "rows": rows,
    }
    place = location(field.name)
    files.write(place, HEAD + yaml.safe_dump(document, sort_keys=False, width=110))
    page, picture = GUIDES[field.name]
    guide = guides.folder() / f"{page}.md"
    files.write(guide, refresh(guide.read_text(encoding="utf-8"), rows, picture))
    return place


def refresh(page: str, rows: list[dict[str, Any]], picture: str = "comparison") -> str:
    """Put what its tables print, and the descriptions of its pictures, into the guide; a person's words stay."""
    for name, table in (("quality", quality(rows)), ("costs", costs(rows))):
        call = re.escape(f'>>> print(comparison_page.{name}(found["rows"]))\n')
        page = re.sub(
            f"({call}).*?(\n\n```)", lambda found, table=table: found[1] + table + found[2], page, flags=re.S
        )
    for name, described in ((picture, alt(rows)), (f"{picture}_memory", memory_alt(rows))):
        old = rf"!\[.*?\](?=\(figures/{name}\.png\))"
        page = re.sub(old, lambda _, described=described: f"![{described}]", page)
    return page


def published(name: str = "techniques") -> dict[str, Any]:
    """Read the figures that a guide shows: "date", "machine" and "rows", a row as in `train.table`."""
    return timetable.curriculum(name)


def write(folder: Path, field: comparison.Field = comparison.TECHNIQUES) -> Path:
    """Write the page of this workspace's own comparison, with its figures beside it."""
    rows, name = comparison.table(field).to_dict("records"), field.name
    folder.mkdir(parents=True, exist_ok=True)
    figure(rows).savefig(folder / f"{name}.png", bbox_inches="tight")
    memory_figure(rows).savefig(folder / f"{name}_memory.png", bbox_inches="tight")
    page = folder / f"{name}.md"
    files.write(
        page,
        f"# {len(rows)} ways on one task\n\n{conditions(rows)}\n\n```text\n{quality(rows)}\n```\n\n"
        f"![{alt(rows)}]({name}.png)\n\n```text\n{costs(rows)}\n```\n\n"
        f"![{memory_alt(rows)}]({name}_memory.png)\n\n{sources(rows, field)}\n",
    )
    return page


def conditions(rows: list[dict[str, Any]]) -> str:
    """Say how fair the comparison is, in a sentence or two."""
    seeds = sorted({row["seeds"] for row in rows})
    return (
        f"Every technique had the same sentences and the same number of learning rates to try; validation chose one "
        f"of them, which was trained with {' or '.join(map(str, seeds))} fresh seeds. Accuracy is measured on sentences "
        f"that neither trained nor chose. A tie is a difference surely below {100 * comparison.MARGIN:g} point; that was "
        "fixed before the runs."
    )


def quality(rows: list[dict[str, Any]]) -> str:
    """Lay out what each technique brings, best first, and whether that differs from LoRA by more than chance."""
    columns = {
        "rate": lambda row: f"{row['learning_rate']:.2g}",
        "accuracy (seeds)": lambda row: (
            f"{row['accuracy']:.1%} ({row['lowest']:.1%} to {row['highest']:.1%})"
        ),
        "minus LoRA, 95 %": _difference,
        "verdict": lambda row: row.get("verdict", ""),
    }
    return _table(sorted(rows, key=lambda row: -row["accuracy"]), columns)


def costs(rows: list[dict[str, Any]]) -> str:
    """Lay out what each technique costs: numbers trained, bytes by kind, bytes kept, time to train, time to answer."""
    columns = {
        "trained": lambda row: f"{row['trainable']:,.0f}",
        **{part: lambda row, part=part: memory.human(row[f"{part}_bytes"]) for part in comparison.PARTS},
        "in all": lambda row: memory.human(_bytes(row)),
        "to keep": lambda row: memory.human(row["checkpoint_bytes"]),
        "one step": lambda row: f"{row['step_ms']:.0f} ms",
        "one answer": lambda row: f"{row['latency_ms']:.1f} ms",
    }
    return _table(rows, columns)


def _table(rows: list[dict[str, Any]], columns: dict[str, Callable[[dict[str, Any]], str]]) -> str:
    import pandas as pd

    cells = {head: [write(row) for row in rows] for head, write in columns.items()}
    frame = pd.DataFrame(cells, index=[row["technique"] for row in rows])
    return frame.rename_axis("technique", axis="columns").to_string()


def _bytes(row: dict[str, Any]) -> float:
    return sum(row[f"{part}_bytes"] for part in comparison.PARTS)


def sources(rows: list[dict[str, Any]], field: comparison.Field = comparison.TECHNIQUES) -> str:
    """Say where each technique comes from."""
    known = {one.name: one.source for one in field.every().values()}
    return "Sources: " + "; ".join(f"{row['technique']}: {known[row['technique']]}" for row in rows) + "."


def figure(rows: list[dict[str, Any]]) -> Any:
    """Draw each technique's difference to LoRA with its interval: a Matplotlib figure."""
    others = [row for row in sorted(rows, key=lambda row: -row["accuracy"]) if row["technique"] != "LoRA"]
    plots.use_style()
    return plots.interval_bars(
        [row["technique"] for row in others],
        [tuple(100 * row[f"minus_lora{end}"] for end in ("", "_low", "_high")) for row in others],
        reference=0,
        reference_label="LoRA",
        title=title(rows),
        xlabel="accuracy minus LoRA's (percentage points, 95 % interval)",
    )


def title(rows: list[dict[str, Any]]) -> str:
    """Say the finding in one line."""
    words = ("better", "tie", "undecided", "worse")
    said = {word: sum(row.get("verdict") == word for row in rows) for word in words}
    found = ", ".join(f"{number} {word}" for word, number in said.items() if number)
    return f"Against LoRA: {found}" if found else "Accuracy minus LoRA's"


def alt(rows: list[dict[str, Any]]) -> str:
    """Describe the figure for who cannot see it."""
    parts = [
        f"{row['technique']} {_difference(row)}" + (f" ({row['verdict']})" if row.get("verdict") else "")
        for row in rows
        if _difference(row)
    ]
    return f"Accuracy minus LoRA's, in points with 95 % intervals: {'; '.join(parts)}."


def memory_figure(rows: list[dict[str, Any]]) -> Any:
    """Draw the bytes of a training step of each technique, stacked by kind: a Matplotlib figure."""
    import matplotlib.pyplot as plt

    plots.use_style()
    figure, axes = plt.subplots(figsize=(7.2, 3.9))
    ends = [0.0] * len(rows)
    for part in comparison.PARTS:
        sizes = [row[f"{part}_bytes"] / 1e6 for row in rows]
        axes.barh([row["technique"] for row in rows], sizes, left=ends, label=part)
        ends = [end + size for end, size in zip(ends, sizes, strict=True)]
    axes.invert_yaxis()
    axes.legend(ncols=len(comparison.PARTS), loc="lower center", bbox_to_anchor=(0.5, -0.35))
    axes.set(title="What a training step keeps in memory", xlabel="memory (MB), 16 longest sentences")
    return figure


def memory_alt(rows: list[dict[str, Any]]) -> str:
    """Describe the figure of the memory for who cannot see it."""
    listed = "; ".join(f"{row['technique']} {memory.human(_bytes(row))}" for row in rows)
    return f"Memory of a training step, stacked by kind. In all: {listed}."


def _difference(row: dict[str, Any]) -> str:
    if row["technique"] == "LoRA" or "minus_lora" not in row:
        return ""
    low, middle, high = (100 * row[f"minus_lora{end}"] for end in ("_low", "", "_high"))
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers into Python's, with the digits that a reader needs."""
    number = getattr(value, "item", lambda: value)()
    return round(number, 5) if isinstance(number, float) else number
