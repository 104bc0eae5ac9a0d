"""Shows how a tokenizer cuts a text: as a page for a browser and as a table for a terminal."""

import html
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.settings import LabError

MOST_TOKENIZERS = 6
MOST_TOKENS_SHOWN = 240
TABLE_WIDTH = 100
TABLE_LINES = 25
# Dark text on these has a contrast above 10, whatever theme surrounds the card.
CHIPS = ("#DCEBF7", "#FBE6CF", "#DDF1E8", "#F6E1EE")
CARD = "background:#FBFAF7;color:#222;border-radius:6px;padding:.8em 1em;margin:.6em 0"


@dataclass(frozen=True)
class Token:
    """One token: its text made visible, its id, and "special", "unknown" or "" for an ordinary one."""

    text: str
    id: int
    kind: str


def check(tokenizers: Any, text: Any, max_length: Any) -> None:
    """Complain about input that cannot be shown.

    Raises:
        LabError: see `widgets.tokenizer_explorer`.
    """
    if not isinstance(tokenizers, Mapping) or not 1 <= len(tokenizers) <= MOST_TOKENIZERS:
        raise LabError(
            f"tokenizer_explorer(): `tokenizers` should be a dictionary name → tokenizer with 1 to {MOST_TOKENIZERS} "
            f"entries, for example {{'MiniLM': tokenizer}}; it is {type(tokenizers).__name__}."
        )
    for name, tokenizer in tokenizers.items():
        if not callable(tokenizer) or not hasattr(tokenizer, "all_special_ids"):
            raise LabError(
                f"tokenizer_explorer(): {name!r} is {type(tokenizer).__name__}, not a tokenizer. "
                "Load it with AutoTokenizer.from_pretrained(…) first."
            )
    if not isinstance(text, str):
        raise LabError(f"tokenizer_explorer(): `text` should be a text, not {type(text).__name__}.")
    if type(max_length) is not int or max_length < 1:
        raise LabError(
            f"tokenizer_explorer(): `max_length` is {max_length!r}; give a whole number of tokens."
        )


def cut(tokenizer: Any, text: str) -> list[Token]:
    """Tokenize a text, special tokens included.

    Args:
        tokenizer: a Hugging Face tokenizer.
        text: any text.

    Returns:
        The tokens in order, as the model would see them.
    """
    special, tokens = set(tokenizer.all_special_ids), []
    for id in tokenizer(text, truncation=False, verbose=False)["input_ids"]:
        # GPT-like tokenizers declare their end marker as "unknown" too; only a token called so means it.
        unknown = id == tokenizer.unk_token_id and "unk" in tokenizer.unk_token.lower()
        kind = "unknown" if unknown else "special" if id in special else ""
        tokens.append(Token(_visible(tokenizer, id), id, kind))
    return tokens


def characters_per_token(tokens: list[Token], text: str) -> float:
    """Divide the characters of a text by its tokens, special ones left out."""
    plain = sum(token.kind != "special" for token in tokens)
    return len(text) / plain if plain else 0.0


def padding_shares(tokenizer: Any, text: str, max_length: int) -> tuple[float, float] | None:
    """Work out which share of a batch would be padding if each line were an example.

    Args:
        tokenizer: a Hugging Face tokenizer.
        text: lines; empty ones do not count.
        max_length: longer lines are cut here.

    Returns:
        Shares between 0 and 1 when padded to the longest line and to `max_length`; None below two lines.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    lengths = [min(len(tokenizer(line, verbose=False)["input_ids"]), max_length) for line in lines]
    real, count = sum(lengths), len(lengths)
    return 1 - real / (count * max(max(lengths), 1)), 1 - real / (count * max_length)


def page(tokenizers: Mapping[str, Any], text: str, max_length: int) -> str:
    """Write the tokens as HTML: one card per tokenizer, one labelled chip per token.

    Args:
        tokenizers: name → tokenizer.
        text: any text; it is escaped.
        max_length: for the padding sentence.

    Returns:
        HTML that needs no script and reads well in light and dark themes.
    """
    return "".join(_card(name, tokenizer, text, max_length) for name, tokenizer in tokenizers.items())


def table(tokenizers: Mapping[str, Any], text: str, max_length: int) -> str:
    """Write counts and pieces as text, at most 25 lines.

    Args:
        tokenizers: name → tokenizer, at most 6.
        text: any text.
        max_length: for the padding column.

    Returns:
        One line of counts per tokenizer under a heading, then the first pieces of each.
    """
    width = max(len("tokenizer"), *(len(name) for name in tokenizers))
    lines = [
        f"{'tokenizer':{width}}  tokens  characters per token  padding to longest line  padding to {max_length} tokens"
    ]
    pieces, most = [], min(4, (TABLE_LINES - 2 - len(tokenizers)) // len(tokenizers))
    for name, tokenizer in tokenizers.items():
        tokens = cut(tokenizer, text)
        shares = padding_shares(tokenizer, text, max_length)
        longest, fixed = (f"{share:.0%}" for share in shares) if shares else ("-", "-")
        per_token = f"{characters_per_token(tokens, text):.1f}"
        lines.append(
            f"{name:{width}}  {len(tokens):6}  {per_token:>20}  {longest:>23}  {fixed:>{18 + len(str(max_length))}}"
        )
        row = f"{name}: " + " | ".join(f"{token.text} {token.id}" for token in tokens)
        pieces += textwrap.wrap(row, TABLE_WIDTH, max_lines=most, placeholder=" …", subsequent_indent="  ")
    return "\n".join([*lines, "", *pieces])


def _card(name: str, tokenizer: Any, text: str, max_length: int) -> str:
    tokens = cut(tokenizer, text)
    chips = "".join(_chip(at, token) for at, token in enumerate(tokens[:MOST_TOKENS_SHOWN]))
    more = f"<p>… and {len(tokens) - MOST_TOKENS_SHOWN:,} more</p>" if len(tokens) > MOST_TOKENS_SHOWN else ""
    title = f"{html.escape(name)}: {len(tokens)} tokens, {characters_per_token(tokens, text):.1f} characters per token"
    return (
        f'<section style="{CARD}"><p style="margin:0 0 .4em"><b>{title}</b></p>'
        f'<ol aria-label="Tokens of {html.escape(name)}" style="list-style:none;margin:0;padding:0;display:flex;'
        f'flex-wrap:wrap;gap:3px">{chips}</ol>{more}{_padding(tokenizer, text, max_length)}</section>'
    )


def _chip(at: int, token: Token) -> str:
    marked = bool(token.kind)
    colour = "#FFFFFF" if marked else CHIPS[at % len(CHIPS)]
    border = "2px dashed #444" if marked else "1px solid #8A8A8A"
    label = html.escape(f"{token.text}, id {token.id}" + (f", {token.kind}" if marked else ""))
    small = html.escape(f"{token.id} {token.kind}".strip())
    return (
        f'<li aria-label="{label}" style="background:{colour};color:#1B1B1B;border:{border};border-radius:4px;'
        f'padding:1px 5px;margin:0;line-height:1.3;text-align:center;font-family:monospace;white-space:pre">'
        f'{html.escape(token.text)}<br><span style="font-size:.75em;color:#333">{small}</span></li>'
    )


def _padding(tokenizer: Any, text: str, max_length: int) -> str:
    shares = padding_shares(tokenizer, text, max_length)
    if shares is None:
        return ""
    return (
        f'<p style="margin:.5em 0 0">As a batch with one example per line: <b>{shares[0]:.0%}</b> padding when padded '
        f"to the longest line, <b>{shares[1]:.0%}</b> when padded to {max_length} tokens.</p>"
    )


def _visible(tokenizer: Any, id: int) -> str:
    """Write one token so that spaces and line ends can be seen."""
    text = tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if "\ufffd" in text:  # one character can be spread over several byte tokens
        return "‹part of a character›"
    raw = tokenizer.convert_ids_to_tokens(id)
    if isinstance(raw, str) and raw.startswith("▁") and not text.startswith(" "):
        text = f" {text}"  # SentencePiece keeps the space before a word, decoding a single token drops it
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥") or "‹nothing›"
