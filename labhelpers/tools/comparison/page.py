"""The comparison of the techniques on one page: what each costs, what each brings, and a figure."""

import datetime
import re
from pathlib import Path
from typing import Any

from ...core import files, settings
from ...core.settings import LabError
from ...display import plots
from ...models import memory
from .. import doctor
from ..authoring import guides
from ..authoring import verify as verifying
from . import techniques
from . import train as comparison

HEAD = "# Written by `lab compare --publish` from the runs in MLflow; never by hand.\n"


def location() -> Path:
    """Where the figures that the guide shows are kept."""
    return settings.current().root / "curriculum" / "techniques.yaml"


def publish() -> Path:
    """Write what MLflow holds into the course, for its guide.

    Returns:
        The file.

    Raises:
        LabError: when nothing was compared, or not in the cpu profile.
    """
    import yaml

    if settings.current().profile != "cpu":
        raise LabError("Only the cpu profile is published. Run `LAB_PROFILE=cpu lab compare --publish`.")
    rows = [
        {name: _plain(value) for name, value in row.items()} for row in comparison.table().to_dict("records")
    ]
    document = {
        "date": f"{datetime.date.today()}",
        "machine": verifying.machine(doctor.rates()),
        "rows": rows,
    }
    files.write(location(), HEAD + yaml.safe_dump(document, sort_keys=False, width=110))
    guide = guides.folder() / "comparison.md"
    files.write(guide, refresh(guide.read_text(encoding="utf-8"), rows))
    return location()


def refresh(page: str, rows: list[dict[str, Any]]) -> str:
    """Put new figures into the guide: what its two tables print, and the description of its picture.

    Args:
        page: text of `curriculum/guides/comparison.md`.
        rows: as in `comparison.table`.

    Returns:
        The text with everything that a person wrote left as it is.
    """
    for name, table in (("quality", quality(rows)), ("costs", costs(rows))):
        call = re.escape(f'>>> print(comparison_page.{name}(found["rows"]))\n')
        page = re.sub(
            f"({call}).*?(\n\n```)", lambda found, table=table: found[1] + table + found[2], page, flags=re.S
        )
    for name, described in (("comparison", alt(rows)), ("comparison_memory", memory_alt(rows))):
        picture = rf"!\[.*?\](?=\(figures/{name}\.png\))"
        page = re.sub(picture, lambda _, described=described: f"![{described}]", page)
    return page


def published() -> dict[str, Any]:
    """Read the figures that the guide shows.

    Returns:
        "date", "machine" and "rows"; a row as in `comparison.table`.
    """
    import yaml

    return yaml.safe_load(location().read_text(encoding="utf-8"))


def write(folder: Path) -> Path:
    """Write the page of this workspace's own comparison, with its figure beside it.

    Args:
        folder: gets `techniques.md`, `techniques.png` and `techniques_memory.png`.

    Returns:
        The page.

    Raises:
        LabError: when nothing was compared yet.
    """
    rows = comparison.table().to_dict("records")
    folder.mkdir(parents=True, exist_ok=True)
    figure(rows).savefig(folder / "techniques.png", bbox_inches="tight")
    memory_figure(rows).savefig(folder / "techniques_memory.png", bbox_inches="tight")
    page = folder / "techniques.md"
    files.write(
        page,
        f"# The techniques on one task\n\n{conditions(rows)}\n\n```text\n{quality(rows)}\n```\n\n"
        f"![{alt(rows)}](techniques.png)\n\n```text\n{costs(rows)}\n```\n\n"
        f"![{memory_alt(rows)}](techniques_memory.png)\n\n{sources(rows)}\n",
    )
    return page


def conditions(rows: list[dict[str, Any]]) -> str:
    """Say how fair the comparison is, in a sentence or two."""
    seeds = sorted({row["seeds"] for row in rows})
    return (
        f"Every technique had the same sentences and the same number of learning rates to try; validation chose one "
        f"of them, which was trained with {' or '.join(map(str, seeds))} seeds. Accuracy is measured on sentences that "
        "neither trained nor chose."
    )


def quality(rows: list[dict[str, Any]]) -> str:
    """Lay out what each technique brings, best first, and whether that differs from LoRA by more than chance."""
    lines = ["technique             rate     accuracy (seeds)        minus LoRA, 95 %          verdict"]
    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        lines.append(
            f"{row['technique']:<20}{row['learning_rate']:>7.2g}  {row['accuracy']:>7.1%} ({row['lowest']:.1%} to "
            f"{row['highest']:.1%})  {_difference(row):<25} {verdict(row)}"
        )
    return "\n".join(lines)


def costs(rows: list[dict[str, Any]]) -> str:
    """Lay out what each technique costs: numbers trained, bytes by kind, bytes kept, time to train, time to answer."""
    lines = [
        "                       trained   weights  gradients  optimizer  activations    in all   to keep  training  one answer"
    ]
    for row in rows:
        sizes = [row[f"{part}_bytes"] for part in comparison.PARTS]
        parts = [memory.human(size) for size in [*sizes, sum(sizes)]]
        lines.append(
            f"{row['technique']:<20}{row['trainable']:>10,.0f}{parts[0]:>10}{parts[1]:>11}{parts[2]:>11}{parts[3]:>13}"
            f"{parts[4]:>10}{memory.human(row['checkpoint_bytes']):>10}{row['seconds']:>8.0f} s{row['latency_ms']:>9.1f} ms"
        )
    return "\n".join(lines)


def sources(rows: list[dict[str, Any]]) -> str:
    """Say where each technique comes from."""
    known = {one.name: one.source for one in techniques.every().values()}
    return "Sources: " + "; ".join(f"{row['technique']}: {known[row['technique']]}" for row in rows) + "."


def verdict(row: dict[str, Any]) -> str:
    """Name what the interval of the difference to LoRA says."""
    if row["technique"] == "LoRA" or "minus_lora" not in row:
        return ""
    if row["minus_lora_low"] <= 0 <= row["minus_lora_high"]:
        return "a tie"
    return "better" if row["minus_lora"] > 0 else "worse"


def figure(rows: list[dict[str, Any]]) -> Any:
    """Draw each technique's difference to LoRA with its interval.

    Returns:
        Matplotlib figure.
    """
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
    said = {word: sum(verdict(row) == word for row in rows) for word in ("better", "a tie", "worse")}
    return f"Against LoRA: {said['better']} better, {said['a tie']} tied, {said['worse']} worse"


def alt(rows: list[dict[str, Any]]) -> str:
    """Describe the figure for who cannot see it."""
    parts = [f"{row['technique']} {_difference(row)} ({verdict(row)})" for row in rows if verdict(row)]
    return f"Accuracy minus LoRA's, in points with 95 % intervals: {'; '.join(parts)}."


def memory_figure(rows: list[dict[str, Any]]) -> Any:
    """Draw the bytes of a training step of each technique, stacked by kind.

    Returns:
        Matplotlib figure.
    """
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
    totals = {row["technique"]: sum(row[f"{part}_bytes"] for part in comparison.PARTS) for row in rows}
    listed = "; ".join(f"{name} {memory.human(total)}" for name, total in totals.items())
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
