"""Texts: fetched, loaded, converted, freed of copies, split."""

from .formats import format_of, to_chat, to_instruction, to_question_answer, to_text_label
from .sets import load, prepared, save, tokenize
from .splitting import SPLIT_SEED, Leak, deduplicate, leaks, split, text_hash

__all__ = [
    "SPLIT_SEED", "Leak", "deduplicate", "format_of", "leaks", "load", "prepared", "save", "split", "text_hash",
    "to_chat", "to_instruction", "to_question_answer", "to_text_label", "tokenize",
]  # fmt: skip
