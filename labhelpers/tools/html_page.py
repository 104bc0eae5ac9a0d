"""One HTML page that needs no other file and no network: its style in both themes, its tables, its marks."""

from collections.abc import Iterable, Sequence
from html import escape

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; --page: #fbfaf7; --ink: #23211d; --quiet: #5d5950; --line: #cfcbc2; --good: #05603f;
  --bad: #a3210e; --badly: #fdeeea; --head: #f0ede6; --link: #0a5488; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #1b1a18; --ink: #ece9e2; --quiet: #b3aea3; --line: #4b4842;
  --good: #7fd6ae; --bad: #ffa38f; --badly: #3a211c; --head: #292723; --link: #8cc8f5; }} }}
body {{ margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 66rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; }}
h1 {{ margin: 0 0 .25rem; }} h2 {{ margin: 2.5rem 0 .75rem; border-top: 1px solid var(--line); padding-top: 1.25rem; }}
.verdict {{ font-size: 1.25rem; margin: 0 0 1rem; }} .quiet, caption {{ color: var(--quiet); }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); font-weight: 600; }} a {{ color: var(--link); }}
article {{ background: var(--badly); border-left: .3rem solid var(--bad); padding: .75rem 1rem; margin: 0 0 1rem; }}
article h3 {{ margin: 0; }} pre, code {{ font-family: ui-monospace, monospace; font-size: .9rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; }}
.wide {{ overflow-x: auto; margin: .75rem 0 1.5rem; }} table {{ border-collapse: collapse; min-width: 30rem; }}
caption {{ text-align: left; padding-bottom: .35rem; }} thead th {{ background: var(--head); }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }}
tbody th {{ font-weight: 500; }} .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.figures {{ display: flex; flex-wrap: wrap; gap: 1rem; }} details {{ width: 15rem; }} details[open] {{ width: 100%; }}
summary {{ cursor: zoom-in; list-style: none; }} details[open] summary {{ cursor: zoom-out; }}
img {{ display: block; width: 100%; max-width: 826px; border: 1px solid var(--line); border-radius: .3rem; }}
span.good, span.bad {{ white-space: nowrap; }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px; }}
</style></head><body>
{body}
</body></html>
"""


def document(title: str, body: str) -> str:
    """Put a body into a page that follows the reader's light or dark theme and loads nothing.

    Args:
        title: text for the window.
        body: HTML.

    Returns:
        The whole page.
    """
    return PAGE.format(title=escape(title), body=body)


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[int] = ()
) -> str:
    """Write a table that a screen reader can follow and a narrow window can scroll.

    Args:
        caption: text above the table.
        heads: text per column.
        rows: cells of each row, as HTML; the first one names the row.
        numbers: columns whose cells stand at the right, counted from 0.

    Returns:
        HTML.
    """
    classes = ['class="number"' if column in set(numbers) else "" for column in range(len(heads))]
    head = "".join(
        f'<th scope="col" {kind}>{escape(text)}</th>' for text, kind in zip(heads, classes, strict=True)
    )
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td {kind}>{cell}</td>" for cell, kind in zip(rest, classes[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
            f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
            "</table></div>")  # fmt: skip


def mark(good: bool, yes: str, no: str) -> str:
    """Say whether something is as it should be, in colour, sign and word.

    Args:
        good: whether it is.
        yes, no: the word for either case, as text.

    Returns:
        HTML.
    """
    return (
        f'<span class="good">✔ {escape(yes)}</span>' if good else f'<span class="bad">✘ {escape(no)}</span>'
    )
