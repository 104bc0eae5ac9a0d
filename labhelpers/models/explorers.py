"""Five tools to think with: what LoRA trains, what fits in memory, how the rate moves, whether and how to fine-tune."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..display import plots, widgets
from ..display.canvas import QUIET, plain_axes
from ..display.widgets import Exploration
from . import decisions, memory, planner
from .shapes import SHAPES

if TYPE_CHECKING:
    from transformers import PretrainedConfig

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LAYERS = {"query and value": "attention", "all of attention": "attention_all", "all linear": "all_linear"}
METHODS = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
# Names a person would use → names transformers.get_scheduler knows; its "constant" has no warm-up.
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
PEAKS = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
EXAMPLES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
NO_GPU = "no GPU"


def lora_calculator(shapes: "Mapping[str, PretrainedConfig] | None" = None) -> Exploration:
    """Explore what LoRA trains: rank and layers on one side, the classification head on the other.

    Args:
        shapes: further models, name → transformers configuration (`AutoConfig.from_pretrained(…)`); they come first.

    Returns:
        The Exploration; its controls are `model`, `rank` and `layers`.

    Source:
        `planner.lora_parameters`.
    """
    known = _shapes(shapes)

    def calculate(model: str, rank: int = 8, layers: str = "query and value") -> None:
        counts = [planner.lora_parameters(known[model], r, LAYERS[layers]) for r in RANKS]
        count = counts[RANKS.index(rank)]
        series = {"adapter": [each.adapter for each in counts]}
        if count.head:
            series |= {"head": [each.head for each in counts]}
        title = f"{model}, rank {rank}: {count.trainable:,} trained ({count.share:.3%} of the model)"
        if count.head:
            title += f", {count.head / count.trainable:.0%} of them in the head"
        figure = plots.lines(
            RANKS, series, log_x=True, log_y=True, title=title, xlabel="rank r", ylabel="trained numbers"
        )
        _name_ticks(figure.axes[0], RANKS)
        figure.axes[0].axvline(rank, color=QUIET, lw=1.2, ls="--", zorder=0)
        plots.show(figure, alt=f"Trained numbers against the rank, both on logarithmic axes. {title}.")
        rows = [
            ("adapter", f"{count.adapter:,}", "r × (in + out) for each adapted matrix"),
            ("head", f"{count.head:,}", _about_head(count)),
            ("trained", f"{count.trainable:,}", f"{count.share:.4%} of {count.base:,}"),
        ]
        _table(("part", "numbers", "because"), rows)

    return widgets.explore(calculate, model=list(known), rank=list(RANKS), layers=list(LAYERS))


def memory_planner(shapes: "Mapping[str, PretrainedConfig] | None" = None) -> Exploration:
    """Explore what a training run keeps in memory, the reason for every byte, and the card that holds it.

    Args:
        shapes: further models, name → transformers configuration; they come first.

    Returns:
        The Exploration; its controls are `model`, `method`, `precision`, `optimizer`, `batch_size`,
        `sequence_length`, `gradient_checkpointing` and `gpu`.

    Source:
        `planner.memory_plan`.
    """
    known = _shapes(shapes)

    def plan(
        model: str, method: str = "full", precision: str = "float32", optimizer: str = "adamw", batch_size: int = 8,
        sequence_length: int = 128, gradient_checkpointing: bool = False, gpu: str = "T4 (16 GB)",
    ) -> None:  # fmt: skip
        run = {"batch_size": batch_size, "sequence_length": sequence_length}
        try:
            needed = planner.memory_plan(
                known[model], method, precision, optimizer,
                gradient_checkpointing=gradient_checkpointing, **run,
            )  # fmt: skip
        except settings.LabError as error:
            print(error)
            return
        _show_plan(f"{model}, {METHODS[method]}", needed, gpu)

    return widgets.explore(
        plan, model=list(known), method=list(METHODS), precision=list(planner.PRECISIONS),
        optimizer=["adamw", "adamw_8bit", "sgd", "sgd_momentum", "lion"], batch_size=(1, 64),
        sequence_length=list(LENGTHS), gradient_checkpointing=False, gpu=list(planner.GPUS),
    )  # fmt: skip


def learning_rate_schedules() -> Exploration:
    """Explore how the learning rate moves during a run: warm-up steps against all steps.

    Returns:
        The Exploration; its controls are `schedule`, `total_steps`, `warmup_steps` and `peak`.

    Source:
        transformers.get_scheduler, which Trainer uses.
    """

    def schedule_rate(
        schedule: str = "linear", total_steps: int = 300, warmup_steps: int = 30, peak: float = 2e-4
    ) -> None:
        rates = learning_rates(schedule, total_steps, warmup_steps, peak)
        title = _rate_finding(rates, warmup_steps, peak)
        figure, axes = plain_axes(title, "optimiser step", "learning rate")
        axes.plot(range(total_steps), rates, color=plots.BLUE)
        axes.axhline(peak, color=QUIET, lw=1.2, ls="--", zorder=0)
        axes.annotate("peak", (1.01, peak), xycoords=("axes fraction", "data"), va="center")
        axes.set_ylim(0, peak * 1.12)
        axes.set_yticks([0, peak / 2, peak], ["0", f"{peak / 2:g}", f"{peak:g}"])
        axes.grid(axis="y")
        plots.show(
            figure, alt=f"The learning rate at each of {total_steps} steps, schedule {schedule}. {title}."
        )

    return widgets.explore(
        schedule_rate, schedule=list(SCHEDULES), total_steps=(50, 1000, 10), warmup_steps=(0, 600, 10),
        peak=list(PEAKS),
    )  # fmt: skip


def learning_rates(schedule: str, total_steps: int, warmup_steps: int, peak: float) -> list[float]:
    """Compute the learning rate of every step of a run, as Trainer would set it after a linear warm-up from 0."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    scheduler = get_scheduler(SCHEDULES[schedule], optimizer, warmup_steps, total_steps)
    return [peak * scheduler.lr_lambdas[0](step) for step in range(total_steps)]


def should_i_finetune() -> Exploration:
    """Answer seven questions about your task and read whether fine-tuning is the next step, and why.

    Returns:
        The Exploration; its controls are the questions of the tree in curriculum/decisions.yaml.
    """
    return _questions("should_i_finetune", examples=list(EXAMPLES))


def which_method() -> Exploration:
    """Answer six questions about model, card, data and use, and read which method fits, and why.

    Returns:
        The Exploration; its controls are the questions of the tree in curriculum/decisions.yaml.
    """
    cards = [NO_GPU, *planner.GPUS]
    return _questions(
        "which_method",
        _show_needs,
        model=list(SHAPES),
        gpu=cards,
        examples=list(EXAMPLES),
        tasks=[1, 2, 5, 10],
    )


def _questions(
    name: str, picture: Callable[[Mapping[str, Any]], None] | None = None, **numeric: Any
) -> Exploration:
    """Show one control per question of a tree; the advice appears below."""
    about = decisions.tree(name)["questions"]
    words = {question: entry["choices"] for question, entry in about.items() if "choices" in entry}

    def advise(**chosen: Any) -> None:
        answers = {question: _answer(words.get(question), value) for question, value in chosen.items()}
        advice = decisions.advice(name, answers)
        if picture:
            picture(answers)
        _say_advice(advice, [question for question in about if question not in advice.asked])

    controls = {question: numeric.get(question) or list(words[question].values()) for question in about}
    exploration = widgets.explore(advise, **controls)
    for question, control in exploration.sliders.items():
        control.description = about[question]["ask"]
        control.layout.width = "min(100%, 60em)"
    return exploration


def _answer(choices: Mapping[str, str] | None, value: Any) -> Any:
    """Turn what a control shows into what the tree calls it."""
    if choices:
        return next(answer for answer, meaning in choices.items() if meaning == value)
    return 0 if value == NO_GPU else planner.GPUS.get(value, value)


def _say_advice(advice: decisions.Advice, not_asked: Sequence[str]) -> None:
    reasons = "\n".join(f"- {sentence}" for sentence in advice.because)
    ignored = f"Made no difference here: {', '.join(not_asked)}." if not_asked else ""
    _show(f"**{advice.text}**\n\n{reasons}\n\n{ignored}", f"{advice}\n{ignored}".rstrip())


def _show_needs(answers: Mapping[str, Any]) -> None:
    """Draw what each method needs at least, against the card."""
    needs = {
        name: planner.memory_plan(answers["model"], method, **decisions.FITS[method]).total
        for method, name in METHODS.items()
    }
    card = answers["gpu"]
    holds = [name for name, needed in needs.items() if planner.fits(needed, card)]
    verdict = f"{_listed(holds)} on {card} GB" if card else "what each method needs at least"
    title = f"{answers['model']}: {verdict}"
    figure = plots.bars(
        list(needs), [needed / 1e9 for needed in needs.values()], reference=card or None,
        reference_label="your card", title=title, xlabel="GB for one sequence of 512 tokens",
    )  # fmt: skip
    each = ", ".join(f"{name} {memory.human(needed)}" for name, needed in needs.items())
    plots.show(figure, alt=f"Memory that each method needs at least: {each}. {title}.")


def _listed(holds: Sequence[str]) -> str:
    if len(holds) < 2:
        return f"{holds[0]} fits" if holds else "nothing fits"
    return f"{', '.join(holds[:-1])} and {holds[-1]} fit"


def _show_plan(what: str, needed: memory.MemoryAccount, gpu: str) -> None:
    parts = ("weights", "gradients", "optimizer", "activations", "total")
    verdict = "fits" if planner.fits(needed.total, planner.GPUS[gpu]) else "does not fit"
    title = f"{what}: {memory.human(needed.total)}, {verdict} on {gpu}"
    sizes = [getattr(needed, part) for part in parts]
    figure = plots.bars(
        parts, [size / 1e9 for size in sizes], reference=planner.GPUS[gpu], reference_label="card",
        title=title, xlabel="GB",
    )  # fmt: skip
    each = ", ".join(f"{part} {memory.human(size)}" for part, size in zip(parts, sizes, strict=True))
    plots.show(figure, alt=f"Memory of the run by purpose: {each}. {title}.")
    smallest = planner.smallest_gpu(needed.total) or "none of these cards"
    reasons = {**needed.reasons, "total": f"smallest card: {smallest}, a tenth left free (rule of thumb)"}
    rows = [(part, memory.human(getattr(needed, part)), reasons.get(part, "")) for part in parts]
    _table(("part", "size", "because"), rows)


def _rate_finding(rates: Sequence[float], warmup_steps: int, peak: float) -> str:
    total = len(rates)
    if warmup_steps >= total:
        return f"{warmup_steps} warm-up steps in a run of {total}: the rate never gets past {max(rates) / peak:.0%} of its peak"
    return f"{warmup_steps} of {total} steps are warm-up ({warmup_steps / total:.0%}), the last rate is {rates[-1] / peak:.0%} of the peak"


def _about_head(count: planner.LoraCount) -> str:
    if not count.head:
        return "a language model keeps its own head, frozen"
    return (
        f"a fresh head for 2 classes, trained in full: {count.head / count.trainable:.0%} of what is trained"
    )


def _shapes(more: "Mapping[str, PretrainedConfig] | None") -> dict[str, Any]:
    return {**(more or {}), **{name: name for name in SHAPES}}


def _name_ticks(axes: Any, ticks: Sequence[int]) -> None:
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [" | ".join(row) for row in (heads, ["---", "---:", "---"], *rows)]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in (0, 1)]
    plain = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in (heads, *rows)]
    _show("\n".join(f"| {line} |" for line in lines), "\n".join(plain))


def _show(markdown: str, plain: str) -> None:
    """Put a text on the page in the theme's own colours, or print it where there is no page."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if not InteractiveShell.initialized():
        print(plain)
        return
    display({"text/markdown": markdown, "text/plain": plain}, raw=True)
