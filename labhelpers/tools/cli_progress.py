"""The commands about the learner's own files: `lab done`, `lab progress …`, `lab journal`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

progress_app = typer.Typer(help="Show where you stand; update, pack and bring back your own files.")


@progress_app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
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
    from datetime import date

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


def done(
    ids: Annotated[list[str], typer.Argument(help="Ids of checklist items, such as D04-T5.")],
    undo: Annotated[bool, typer.Option("--undo", help="Clear the boxes instead.")] = False,
) -> None:
    """Tick items of your checklists: all that you name, or none."""
    from .. import progress

    known = {id.casefold(): id for id in progress.read()}
    ids = [known.get(id.casefold(), id) for id in ids]
    progress.tick_all(ids, done=not undo)
    typer.echo(f"{'Cleared' if undo else 'Ticked'}: {', '.join(dict.fromkeys(ids))}.")
    _print_problems()


def journal(
    open_: Annotated[bool, typer.Option("--open", help="Open the pages in your editor.")] = False,
) -> None:
    """Make the check-in or review that is due, and say where it and your journal are."""
    from ..core import settings
    from ..progress import journal_pages

    journal_pages.make_due()
    pages = journal_pages.waiting()
    for page in pages:
        typer.echo(f"Waiting for you: {page}")
    typer.echo(
        f"{'' if pages else 'No page is due. '}Your journal: {settings.current().progress / 'journal.md'}"
    )
    for page in pages if open_ else ():
        typer.launch(str(page))


def _print_lines(lines: Iterable[object]) -> None:
    for line in lines:
        typer.echo(line)


def _print_problems() -> None:
    """Say on the error channel what nobody could read, with file and line."""
    from ..progress import week_files

    for problem in week_files.problems():
        typer.echo(problem, err=True)
