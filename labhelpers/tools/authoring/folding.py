"""Decides which cells of a lesson only draw or print, so that a reader sees their output and one click opens the code."""

import ast
import builtins
import dis
from types import CodeType
from typing import Any

LONG = 6  # lines; a shorter cell is read as quickly as it is opened
METADATA = {"cellView": "form", "jupyter": {"source_hidden": True}}  # Colab's name for it, and JupyterLab's
HANDS = ("plots", "plt", "np", "math")  # what a cell may call by name, beside Python's own functions
TEACHES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.With)


def folded(cells: list[Any]) -> set[int]:
    """Find the code cells to fold: tagged `fold` by their author, or drawing a figure and doing nothing else.

    Such a cell has more than 6 lines, ends in `plots.show`, calls nothing but plots, plt, np, math, Python's own
    functions and methods of values, and no later cell needs a name from it. The tag `open` keeps one open.
    """
    code = [at for at, cell in enumerate(cells) if cell.cell_type == "code"]
    compiled = {at: compile(cells[at].source, f"<cell {at}>", "exec") for at in code}
    imported = set().union(*(_imports(cells[at].source) for at in code))
    chosen = set()
    for order, at in enumerate(code):
        tags = cells[at].metadata.get("tags", [])
        if "fold" in tags or (
            not tags
            and _only_draws(cells[at].source, imported)
            and not _needed(compiled[at], [compiled[later] for later in code[order + 1 :]])
        ):
            chosen.add(at)
    return chosen


def _only_draws(source: str, imported: set[str]) -> bool:
    if len(source.splitlines()) <= LONG or "plots.show(" not in source:
        return False
    nodes = list(ast.walk(ast.parse(source)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    functions = {part.id for part in called if isinstance(part, ast.Name)}
    modules = {
        part.value.id
        for part in called
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
    }
    return (
        not any(isinstance(node, TEACHES) for node in nodes)
        and all(hasattr(builtins, name) for name in functions)
        and not (modules & imported).difference(HANDS)
    )


def _imports(source: str) -> set[str]:
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom))
    return {(name.asname or name.name).split(".")[0] for node in found for name in node.names}


def _needed(cell: CodeType, later: list[CodeType]) -> bool:
    """Whether a later cell reads a name of this one before it gives the name a value of its own."""
    names = _binds(cell)
    for other in later:
        if names & _takes(other):
            return True
        names -= _binds(other)
    return False


def _binds(code: CodeType) -> set[str]:
    return {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}


def _takes(code: CodeType) -> set[str]:
    """Names that a cell has from the cells before it: read, inside its functions too, before they are bound here."""
    taken: set[str] = set()
    bound: set[str] = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in bound:
            taken.add(step.argval)
        elif step.opname == "STORE_NAME":
            bound.add(step.argval)
        elif isinstance(step.argval, CodeType):
            taken |= _takes(step.argval) - bound
    return taken
