"""Shows how a tokenizer cuts a text: as a page for a browser and as a table for a terminal."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.settings import LabError
from .page import render

MOST_TOKENIZERS = 6
MOST_TOKENS_SHOWN = 240
TABLE_WIDTH = 100
TABLE_LINES = 25


@dataclass(frozen=True)
class Token:
    """One token: its text made visible, its id, and "special", "unknown" or "" for an ordinary one."""

    text: str
    id: int
    kind: str


def check(tokenizers: Any, text: Any, max_length: Any) -> None:
    """Complain about input that cannot be shown."""
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
    """Tokenize a text as the model would see it, special tokens included."""
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
    """Work out which share of a batch would be padding if each line of the text were an example.

    Returns shares between 0 and 1, padded to the longest line and to `max_length`; None below two lines.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    lengths = [min(len(tokenizer(line, verbose=False)["input_ids"]), max_length) for line in lines]
    real, count = sum(lengths), len(lengths)
    return 1 - real / (count * max(max(lengths), 1)), 1 - real / (count * max_length)


def page(tokenizers: Mapping[str, Any], text: str, max_length: int) -> str:
    """Write the tokens as HTML: one card per tokenizer, one labelled chip per token; no script, any theme."""
    cards = []
    for name, tokenizer in tokenizers.items():
        tokens = cut(tokenizer, text)
        shares = padding_shares(tokenizer, text, max_length)
        per_token = characters_per_token(tokens, text)
        cards.append({"name": name, "tokens": tokens, "per_token": per_token, "shares": shares})
    options = {"most": MOST_TOKENS_SHOWN, "max_length": max_length}
    return render(Path(__file__).parent, "tokens.html.j2", cards=cards, **options)


def table(tokenizers: Mapping[str, Any], text: str, max_length: int) -> str:
    """Write counts and the first pieces as text, at most 25 lines."""
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


def _visible(tokenizer: Any, id: int) -> str:
    """Write one token so that spaces and line ends can be seen."""
    text = tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if "\ufffd" in text:  # one character can be spread over several byte tokens
        return "‹part of a character›"
    raw = tokenizer.convert_ids_to_tokens(id)
    if isinstance(raw, str) and raw.startswith("▁") and not text.startswith(" "):
        text = f" {text}"  # SentencePiece keeps the space before a word, decoding a single token drops it
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥") or "‹nothing›"
