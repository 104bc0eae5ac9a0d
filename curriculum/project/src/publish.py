"""What other people read: two cards, the README's table, and a report. Numbers by code, words by a person.

python -m src.publish
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from src import config, files, logs

DOCS = Path("docs")
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
log = logs.start("publish")


class Words(config.Section):
    """What only a person can say; docs/words.yaml holds it."""

    title: str
    purpose: str
    users: str
    not_for: str
    texts_from: str
    texts_licence: str
    personal_data: str
    model_licence: str
    next_step: str


# <gap day20>
# def shown(value: float, low: float, high: float) -> str:
#     """A value with its interval, in the decimals that the interval deserves: "0.74 (0.70 to 0.78)".
#
#     As many decimals as it takes to see the first digit of half the interval's width; at least 0, at most 6.
#     Three where the interval has no width.
#     """
#     ...
# <solution>
def shown(value: float, low: float, high: float) -> str:
    """A value with its interval, in the decimals that the interval deserves: "0.74 (0.70 to 0.78)"."""
    half = (high - low) / 2
    decimals = min(6, max(0, -math.floor(math.log10(half)))) if half > 0 else 3
    return f"{value:z.{decimals}f} ({low:z.{decimals}f} to {high:z.{decimals}f})"


# </solution>


def words(path: Path = DOCS / "words.yaml") -> Words:
    """Read what a person wrote; a sentence that is still open ends the program with its name."""
    said = config.read(files.needed(path, "git restore docs/words.yaml"), Words)
    for name, value in said.model_dump().items():
        if not value.strip(" ….") or len(value) < 3:
            config.stop(f"{path}: {name} is still open. One sentence of yours is enough.")
    return said


def facts(chosen: config.Params) -> dict[str, Any]:
    """Every number and name that the pages show, each read where it was made."""
    found = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    lock = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]["prepare_data"]
    splits = Path("data/finetuning")
    return {
        "task": chosen.task, "base": chosen.model.base, "settings": chosen.finetune.model_dump(),
        "measure": "ROUGE-L" if chosen.task == "generate" else "accuracy",
        "rival": "the model before its fine-tuning" if chosen.task == "generate" else "counted words",
        "score": shown(found["score"], found["score_low"], found["score_high"]),
        "gain": shown(found["gain"], found["gain_low"], found["gain_high"]),
        "baseline": shown(found["baseline"], found["score_low"], found["score_high"]).split()[0],
        "verdict": verdict(found), "examples": found["examples"], "metrics": found,
        "rows": {path.stem: len(path.read_text("utf-8").splitlines()) for path in sorted(splits.glob("*.jsonl"))},
        "raw": chosen.prepare.raw,
        "raw_md5": next(each["md5"] for each in lock["deps"] if each["path"] == chosen.prepare.raw),
    }  # fmt: skip


def verdict(found: dict[str, float]) -> str:
    """What the interval of the difference allows to say."""
    if found["gain_low"] > 0:
        return "better"
    return "worse" if found["gain_high"] < 0 else "undecided"


def results(known: dict[str, Any]) -> str:
    """The README's table, between its two marks."""
    return "\n".join(
        [
            BEGIN, "", f"| | {known['measure']} (95 % interval) |", "|---|---:|",
            f"| fine-tuned | {known['score']} |", f"| {known['rival']} | {known['baseline']} |",
            f"| difference | {known['gain']} |", "",
            f"Judged on {known['examples']} texts that no training saw. Against {known['rival']}: {known['verdict']}.", "",
            END,
        ]
    )  # fmt: skip


def into_readme(table: str, path: Path = Path("README.md")) -> None:
    """Put the table between the README's marks, or at its end where there are none."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begin else "\n"
    files.write(path, (before if begin else text.rstrip() + "\n\n## Results\n\n") + table + after)


def card(said: Words, known: dict[str, Any]) -> str:
    """The model card, with the front matter that the Hub reads."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    kind = "text-generation" if known["task"] == "generate" else "text-classification"
    name = "rouge" if known["task"] == "generate" else "accuracy"
    result = EvalResult(kind, "csv", Path(known["raw"]).name, name, round(known["metrics"]["score"], 4))
    head = ModelCardData(
        model_name=said.title, license=said.model_licence, base_model=known["base"], library_name="peft",
        pipeline_tag=kind, eval_results=[result], ignore_metadata_errors=True,
    )  # fmt: skip
    return str(
        ModelCard.from_template(head, template_path=str(DOCS / "model_card.md.j2"), said=said, **known)
    )


def page(template: str, said: Words, known: dict[str, Any]) -> str:
    """Fill one of the templates of docs/; a name that nobody knows is an error."""
    from jinja2 import Environment, StrictUndefined

    source = (DOCS / template).read_text(encoding="utf-8")
    return (
        Environment(undefined=StrictUndefined, trim_blocks=True)
        .from_string(source)
        .render(said=said, **known)
    )


def pdf(markdown: str, path: Path) -> int:
    """Print Markdown on A4 pages and tell how many there are."""
    from datetime import UTC, datetime

    from fpdf import FPDF
    from markdown_it import MarkdownIt
    from matplotlib import get_data_path

    paper = FPDF(format="A4")
    paper.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))  # the same words make the same bytes
    for style, font in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold"), ("I", "DejaVuSans-Oblique")):
        paper.add_font("DejaVu", style, f"{get_data_path()}/fonts/ttf/{font}.ttf")
    paper.add_font("Mono", "", f"{get_data_path()}/fonts/ttf/DejaVuSansMono.ttf")
    paper.add_page()
    paper.set_font("DejaVu", size=10)
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    paper.write_html(html, font_family="DejaVu", tag_styles=_styles())
    paper.output(str(path))
    return paper.pages_count


def _styles() -> dict[str, Any]:
    from fpdf import FontFace, TextStyle

    heads = {
        f"h{level}": TextStyle("DejaVu", "B", size, t_margin=4, b_margin=2)
        for level, size in ((1, 18), (2, 13))
    }
    return heads | {"code": FontFace("Mono", "", 9), "pre": TextStyle("Mono", "", 9)}


@app.command()
def main(params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml")) -> None:
    """Write docs/model_card.md, docs/data_card.md, docs/report.md and .pdf, and the README's table."""
    chosen = config.load(params)
    for made in ("metrics.json", "dvc.lock"):
        files.needed(Path(made), "dvc repro")
    said, known = words(), facts(chosen)
    files.write(DOCS / "model_card.md", card(said, known))
    files.write(DOCS / "data_card.md", page("data_card.md.j2", said, known))
    report = page("report.md.j2", said, known)
    files.write(DOCS / "report.md", report)
    into_readme(results(known))
    log.info(
        "docs/report.pdf has %d pages; %s %s",
        pdf(report, DOCS / "report.pdf"),
        known["measure"],
        known["score"],
    )


if __name__ == "__main__":
    app()
