"""The `lab` command."""

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.settings import LabError

app = typer.Typer(
    help="The course from the command line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
progress_app = typer.Typer(help="Show where you stand; update, pack and bring back your own files.")
app.add_typer(progress_app, name="progress")
project_app = typer.Typer(help="Make and judge the project of Weeks 3 and 4.", no_args_is_help=True)
app.add_typer(project_app, name="project")


@app.command()
def prepare() -> None:
    """Fetch and verify models and data; make sure Jupyter finds this environment. Safe to repeat."""
    from ..data import assets, samples

    assets.prepare()
    samples.write()


@app.command()
def start(
    browser: Annotated[bool, typer.Option(help="Open the start page in a browser.")] = True,
    port: Annotated[int, typer.Option(help="Port to serve on; a free one is found if it is taken.")] = 8888,
) -> None:
    """Open the day: what you wrote last time, what is next, and JupyterLab on the start page."""
    from ..core.settings import current
    from ..progress import routine
    from . import start_page

    folder, page = start_page.desk(), start_page.write_notebook()
    if folder != current().root:
        typer.echo(f"The course's own folder is read-only: your copies of its notebooks are in {folder}.")
    routine.morning(say=typer.echo)
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{page}"]
    # The address with its token is logged as critical; the dozen lines before it only worry people.
    command += ["--ServerApp.log_level=WARN", "--LabApp.log_level=WARN"]
    # No news and no version check: the course asks nothing of the network after set-up.
    command += [f"--LabApp.app_settings_dir={Path(__file__).parent / 'jupyterlab'}"]
    command += [] if browser else ["--no-browser"]
    # In a container one is root. The server listens to this machine only, and asks for its token.
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    typer.echo("Starting JupyterLab. Stop it with Ctrl-C.")
    raise typer.Exit(subprocess.call(command))


@app.command()
def doctor(
    speed: Annotated[bool, typer.Option(help="Measure the matmul rate (a few seconds).")] = True,
) -> None:
    """Examine this machine and say how to repair what is wrong."""
    from rich.console import Console
    from rich.text import Text

    from . import doctor as checks

    console = Console()
    findings = checks.examine()
    for finding in findings:
        mark = Text("ok  ", "green") if finding.ok else Text("FIX ", "red")
        fix = f"\n       {finding.fix}" if finding.fix else ""
        console.print(mark, Text(f"{finding.what}: {finding.found}{fix}"))  # a folder [old] is no markup
    if speed:
        _print_speed()
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def build(
    lessons: Annotated[list[str] | None, typer.Argument(help="Lesson ids; all when omitted.")] = None,
) -> None:
    """Build the notebooks from the manuscripts, and draw the guides' figures (for authors)."""
    from .authoring import guides
    from .authoring import notebooks as authoring

    for path in authoring.build(lessons or None) + ([] if lessons else guides.draw_all()):
        typer.echo(path)


@app.command()
def run(
    lesson: Annotated[str, typer.Argument(help='Lesson id, such as "day04".')],
    variant: Annotated[str, typer.Option(help="learner, solved or misconceptions.")] = "learner",
    profile: Annotated[str | None, typer.Option(help="smoke, cpu or gpu.")] = None,
) -> None:
    """Run a whole lesson without a browser and say where its outputs are."""
    from ..display import words
    from .authoring import verify as verifying

    result = verifying.run(lesson, variant, profile)
    for event in result.of_kind("record"):
        typer.echo(f"{event['name']} = {words.number(event['value'], 4)}")
    memory = f", peak memory {result.peak_bytes / 2**30:.1f} GiB" if result.peak_bytes else ""
    typer.echo(f"{lesson} ({variant}): {result.seconds:.0f} s{memory}. Outputs: {result.notebook}")
    if result.error:
        typer.echo(f"It stopped at {result.error}", err=True)
        raise typer.Exit(1)


@app.command()
def verify(
    lessons: Annotated[list[str] | None, typer.Argument(help="Lesson ids; all when omitted.")] = None,
    profile: Annotated[str, typer.Option(help="smoke, cpu or gpu.")] = "cpu",
    report: Annotated[
        Path | None, typer.Option(help="Also write a page about all that was verified in this profile.")
    ] = None,
    run: Annotated[
        bool, typer.Option(help="--no-run: run nothing, make the page of what was verified earlier.")
    ] = True,
) -> None:
    """Run lessons solved and untouched, compare results with their bands, refresh the measured minutes and memory."""
    from .authoring import verify as verifying
    from .authoring import verify_report

    if not (run or report):
        raise LabError("--no-run leaves nothing to do. Add `--report report.html`, or leave it out.")
    sound = verifying.verify(lessons or None, profile) if run else True
    if report:
        typer.echo(f"The page for the instructor: {verify_report.write(report, profile)}")
    if not sound:
        raise typer.Exit(1)


@app.command()
def mutate(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="Lesson ids, such as day04; all by default.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="One exercise, such as day04/lora-config.")] = None,
) -> None:
    """Prove the checks of lessons: change our answers by rule and list what their checks let pass. For authors."""
    from .authoring import mutants, verify

    chosen = [only.split("/")[0]] if only else lessons or verify.ready()
    for lesson in chosen:
        print(mutants.table(mutants.run(lesson, only)), flush=True)


@app.command()
def compare(
    techniques: Annotated[
        list[str] | None, typer.Argument(help='Such as "lora full"; all when omitted.')
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the guide's figures (for authors).")
    ] = False,
    train: Annotated[bool, typer.Option(help="--no-train: only make the page of what MLflow holds.")] = True,
    family: Annotated[
        bool, typer.Option("--family", help="LoRA's family at equal numbers of trained weights.")
    ] = False,
) -> None:
    """Train every technique on one task with the same number of trials, and make one page of what it cost."""
    from ..core.settings import current
    from .comparison import family as lora
    from .comparison import page as comparison_page
    from .comparison import train as comparison

    field = lora.FAMILY if family else comparison.TECHNIQUES
    if train:
        comparison.compare(techniques or None, say=typer.echo, field=field)
    page = comparison_page.write(current().workspace / "comparison", field)
    typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(f"The page and its figure: {page.parent}")
    if publish:
        typer.echo(comparison_page.publish(field))


@app.command()
def record_runs(
    names: Annotated[list[str] | None, typer.Argument(help="Prepared runs; all when omitted.")] = None,
    to: Annotated[Path | None, typer.Option(help="Folder; the cpu profile has a default.")] = None,
) -> None:
    """Train the prepared runs of Day 5 again (for authors)."""
    from ..training import recorded_runs

    for run in recorded_runs.record(names or None, to):
        typer.echo(f"{run.name}: validation accuracy {run.validation_accuracy:.1%}, {run.seconds:.0f} s")


@app.command()
def plan(
    path: Annotated[
        str | None, typer.Option(help="A path, such as quick_start; a wrong name lists them all.")
    ] = None,
    pace: Annotated[str | None, typer.Option(help="standard, accelerated, relaxed or weekend.")] = None,
    focus: Annotated[str | None, typer.Option(help="research, application, cost or quality.")] = None,
    background: Annotated[
        str | None, typer.Option(help="strong_ml, strong_engineering or new_to_both.")
    ] = None,
    hours_per_week: Annotated[float | None, typer.Option(help="The hours you really have.")] = None,
    start: Annotated[
        str | None, typer.Option(help="First day, such as 2026-11-30; today if omitted.")
    ] = None,
    ics: Annotated[Path | None, typer.Option(help="Also write a calendar file.")] = None,
    replan: Annotated[bool, typer.Option("--replan", help="Move what is left of your plan.")] = False,
    quiz: Annotated[bool, typer.Option("--quiz", help="Eight questions, then a suggestion.")] = False,
    save: Annotated[bool, typer.Option(help="Write progress/plan.yaml and plan.md.")] = True,
) -> None:
    """Make a dated study plan, show it, move it, put it into a calendar."""
    from ..progress.plan import page, planning

    stated = {"path": path, "pace": pace, "focus": focus, "background": background}
    stated |= {"hours_per_week": hours_per_week}
    options = {name: value for name, value in stated.items() if value is not None}
    if replan and (options or quiz):
        raise LabError(
            "--replan moves the saved plan as it is. For another path or pace, leave --replan out."
        )
    first, done = _day(start) if start else None, planning.done_lessons()
    if replan:
        chosen = planning.replan(_saved_plan(), first, done)
    elif options or quiz or start:
        chosen = planning.make(**_wishes(options, quiz), start=first, done=done)
    else:
        chosen, save = _saved_plan(), False
    if save:
        chosen = _save_plan(chosen, done)
    page.show(chosen, done)
    if ics:
        written = page.write_calendar(chosen, ics)
        typer.echo(f"Calendar: {written}. Open it with your calendar; after a re-plan, open it again.")


@app.command("class")
def class_(
    folder: Annotated[Path, typer.Argument(help="Folder with your learners' summary files.")],
    out: Annotated[Path | None, typer.Option(help="The page; class.html in the folder if omitted.")] = None,
) -> None:
    """Show instructors where a class stands and what stops people, here and on a page of its own."""
    from .classroom import report as show

    show.show(folder, out)


@app.command("next")
def next_() -> None:
    """Say which lesson is next and how long it takes here."""
    from ..progress import standing, standing_view

    now = standing.now()
    standing_view.show_next(now)
    standing.remember(now)


@app.command()
def wrap_up(
    entry: Annotated[str | None, typer.Argument(help="Your journal entry; asked for when omitted.")] = None,
    question: Annotated[str | None, typer.Option(help="A question that is still open.")] = None,
    lesson: Annotated[str | None, typer.Option(help='Lesson it is about, such as "day04".')] = None,
) -> None:
    """Close the day: file a journal entry, then look at tomorrow."""
    from ..progress import routine

    routine.wrap_up(entry, question, lesson, say=typer.echo)


@progress_app.callback(invoke_without_command=True)
def progress(context: typer.Context) -> None:
    """Show where you stand; update, pack and bring back your own files."""
    if context.invoked_subcommand is None:
        from ..progress import standing, standing_view

        now = standing.now()
        standing_view.show(now)
        standing.remember(now)
        _print_problems()


@progress_app.command()
def sync(
    restore: Annotated[
        bool, typer.Option("--restore", help="Tick again what a lesson ticked and the files show open.")
    ] = False,
) -> None:
    """Bring your checklists up to date after the course was updated; ticks and notes stay."""
    from .. import progress
    from ..progress import sync as progress_sync

    changes = progress_sync.sync()
    _print_lines(changes)
    if not changes:
        typer.echo("Your checklists agree with the course.")
    if forgotten := progress_sync.forgotten():
        typer.echo(f"Ticked by a lesson or command, and open in the files now: {', '.join(forgotten)}.")
        if restore:
            progress.tick_all(forgotten)
        typer.echo("Ticked again." if restore else "Not cleared by you? `lab progress sync --restore`.")
    _print_problems()


@progress_app.command()
def pack(
    file: Annotated[
        Path | None, typer.Argument(help="File to make; progress-DATE.zip here if omitted.")
    ] = None,
) -> None:
    """Put everything that is yours into one file: checklists, journal, attempts, plan, reports."""
    from ..progress import archive

    file = file or Path(f"progress-{date.today()}.zip")
    names = archive.pack(file)
    typer.echo(f"{file}: {len(names)} files. Bring them back with: lab progress unpack {file.name}")


@progress_app.command()
def unpack(file: Annotated[Path, typer.Argument(help="File that `lab progress pack` made.")]) -> None:
    """Bring packed files back; nothing of yours is overwritten, ticks are united."""
    from ..progress import archive

    _print_lines(archive.unpack(file))
    _print_problems()


@progress_app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(help="File or folder to write to; summary-NUMBER.json here if omitted.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What your instructor calls you; no name if omitted.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="You agree already (for scripts).")] = False,
) -> None:
    """Show a summary for your instructor, and write it if you say yes. Nothing is sent."""
    from ..progress import summary

    summary.export(file, name, yes)


@project_app.command()
def new(
    folder: Annotated[
        Path, typer.Argument(help="Where; a folder that is not there yet, outside any git repository.")
    ],
    task: Annotated[
        str, typer.Option(help="classify: a label for each text. generate: answers.")
    ] = "classify",
    data: Annotated[
        Path | None, typer.Option(help="Your own raw .csv or .jsonl; the course's if omitted.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="The day you begin at; what earlier days fill is filled.")
    ] = "day11",
) -> None:
    """Make a project with git and DVC, and with gaps for you to fill."""
    from .. import production

    made = production.new(folder, task, data, at)
    typer.echo(f"Your project: {made}. It has one commit. What is to be written: lab project check {made}")


@project_app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Your project; this folder if omitted.")] = Path(),
    day: Annotated[str | None, typer.Option(help="Only what this day fills, such as day13.")] = None,
    fresh_clone: Annotated[
        bool,
        typer.Option("--fresh-clone", "--rebuild", help="Also rebuild everything in a clone and compare."),
    ] = False,
    final: Annotated[
        bool, typer.Option("--final", help="The finished project: every point of the rubric, with evidence.")
    ] = False,
) -> None:
    """Run what you wrote, in a copy, and say what is wrong first; nothing of yours is changed."""
    from .. import production

    if not (production.final(folder) if final else production.check(folder, day, fresh_clone)):
        raise typer.Exit(1)


@project_app.command()
def image(
    folder: Annotated[Path, typer.Argument(help="Your project; this folder if omitted.")] = Path(),
    tag: Annotated[str, typer.Option(help="The image's name.")] = "films",
    dry: Annotated[
        bool, typer.Option("--dry", help="Without Docker: run the steps in an empty folder.")
    ] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="One more word for the builder, such as --no-cache.")
    ] = None,
) -> None:
    """Build the image of your project's service with Docker or Podman, or try its steps without them."""
    from ..production import image as images

    if not (images.dry(folder) if dry else images.build(folder, tag, tuple(option or ()))):
        raise typer.Exit(1)


@project_app.command()
def reference(
    file: Annotated[str, typer.Argument(help="The file, such as src/files.py.")],
    folder: Annotated[Path, typer.Option(help="Your project.")] = Path(),
) -> None:
    """Show our version of a file, after an attempt of yours."""
    from .. import production

    typer.echo(production.reference(folder, file))


@app.command()
def done(
    ids: Annotated[list[str], typer.Argument(help="Ids of checklist items, such as D04-T5.")],
    undo: Annotated[bool, typer.Option("--undo", help="Clear the boxes instead.")] = False,
) -> None:
    """Tick items of your checklists: all that you name, or none."""
    from .. import progress

    known = {id.casefold(): id for id in progress.read(strict=False)}
    ids = [known.get(id.casefold(), id) for id in ids]
    progress.tick_all(ids, done=not undo)
    typer.echo(f"{'Cleared' if undo else 'Ticked'}: {', '.join(dict.fromkeys(ids))}.")
    _print_problems()


@app.command()
def journal(
    open_: Annotated[bool, typer.Option("--open", help="Open the pages in your editor.")] = False,
) -> None:
    """Make the check-in or review that is due, and say where it and your journal are."""
    from ..core import settings
    from ..progress import routine

    routine.make_due()
    pages = routine.waiting()
    for page in pages:
        typer.echo(f"Waiting for you: {page}")
    typer.echo(
        f"{'' if pages else 'No page is due. '}Your journal: {settings.current().progress / 'journal.md'}"
    )
    for page in pages if open_ else ():
        typer.launch(str(page))


@app.command()
def mlflow(
    port: Annotated[int, typer.Option(help="Port to serve on; a free one is found if it is taken.")] = 5000,
) -> None:
    """Open the MLflow UI over your runs, on this machine only."""
    from ..training import tracking

    tracking.make_ready()
    free = tracking.free_port(port)
    taken = "" if free == port else f"Port {port} is taken, by another program. "
    typer.echo(f"{taken}Your runs: http://127.0.0.1:{free} (in some seconds). Stop it with Ctrl-C.")
    try:
        code = subprocess.call(tracking.ui_command(free))
    except KeyboardInterrupt:
        return
    raise LabError(f"MLflow's page ended by itself (exit code {code}); its last lines above say why.")


@app.command()
def update() -> None:
    """Bring the course up to date; what you worked in and the update changes stays beside it as NAME.mine1.ipynb."""
    from . import update as updating

    _print_lines(updating.update())


def _wishes(stated: dict[str, Any], quiz: bool) -> dict[str, Any]:
    """Complete what the learner stated by what the quiz suggests."""
    from ..progress.plan import paths, placement

    if quiz:
        suggestion = placement.ask()
        typer.echo(f"\n{suggestion}\n")
        names = ("path", "pace", "focus", "background", "hours_per_week")
        stated = {name: getattr(suggestion, name) for name in names} | stated
    if "path" not in stated:
        raise LabError(
            f"A plan needs a path. Add --path and one of {', '.join(paths.names('path'))}, or let `lab plan --quiz` "
            "suggest one."
        )
    return stated


def _save_plan(chosen: Any, done: set[str]) -> Any:
    """Keep a plan and its page, and give it as it was kept."""
    from ..progress.plan import page, planning

    said = planning.save(chosen)
    kept = _saved_plan()
    _print_lines([*said, *page.write(kept, done)])
    typer.echo(f"Saved in {planning.location()}; to read or print: plan.md beside it.")
    return kept


def _saved_plan() -> Any:
    from ..progress.plan import planning

    if (saved := planning.current()) is None:
        raise LabError(
            "You have no plan yet. `lab plan --quiz` suggests one in eight questions; or choose yourself, "
            "such as `lab plan --path quick_start --pace standard`."
        )
    return saved


def _day(text: str) -> date:
    """Read a date as people write it."""
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y"):
        try:
            return datetime.strptime(text.strip(), pattern).date()
        except ValueError:
            continue
    raise LabError(f"--start {text!r} is not a date. Write it as year-month-day, such as {date.today()}.")


def _print_lines(lines: Iterable[object]) -> None:
    for line in lines:
        typer.echo(line)


def _print_problems() -> None:
    """Say on the error channel what nobody could read, with file and line."""
    from ..progress import checklists

    for problem in checklists.problems():
        typer.echo(problem, err=True)


def _print_speed() -> None:
    from ..core import timetable
    from ..core.settings import current
    from . import doctor as checks

    rates = checks.rates()
    half = (
        f"{rates['bfloat16']:.0f} GFLOP/s in bf16"
        if "bfloat16" in rates
        else "no units for bf16: lessons use fp32"
    )
    typer.echo(f"     Speed: {rates['float32']:.0f} GFLOP/s in fp32, {half}")
    typer.echo(f"     Profile: {current().profile} (set LAB_PROFILE to choose another)")
    for day in timetable.lessons():
        minutes = timetable.predicted_minutes(day["id"])
        if minutes is not None:
            typer.echo(f"     {timetable.label(day)}: about {minutes:.1f} minutes of computing here")


def main() -> None:
    """Run `lab`, turning a repairable mistake into one paragraph instead of a traceback."""
    try:
        app()
    except LabError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None
