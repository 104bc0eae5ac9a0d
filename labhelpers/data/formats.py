"""Converts one row between the four formats of supervised fine-tuning.

text and label · instruction, input and output · question, context and answers · chat messages
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.settings import LabError

FORMATS = {
    "text_label": ("text", "label"),
    "instruction": ("instruction", "output"),
    "question_answer": ("question", "context"),
    "chat": ("messages",),
}
QUESTION = "Answer the question with words from the text."


def format_of(row: Mapping[str, Any]) -> str:
    """Recognise the format of a row by its columns: "text_label", "instruction", "question_answer" or "chat"."""
    if not isinstance(row, Mapping):
        raise LabError(
            f"A row is a dictionary such as dataset[0], but this is {type(row).__name__}: {_short(row)}."
        )
    for name, columns in FORMATS.items():
        if all(column in row for column in columns):
            return name
    known = "; ".join(", ".join(columns) for columns in FORMATS.values())
    raise LabError(
        f"A row with the columns {list(row)} fits none of the formats. Each needs, in turn: {known}."
    )


def to_instruction(
    row: Mapping[str, Any], labels: Sequence[str] | None = None, instruction: str | None = None
) -> dict[str, str]:
    """Write a row as a task, its material and the answer.

    Args:
        row: in any of the four formats.
        labels: names of the classes, by number: `dataset.features["label"].names`. Needed when the label is a number.
        instruction: the task in words, for a text with a label; None for a plain one that lists the labels.

    Returns:
        `instruction`, `input` (may be empty) and `output`, three strings.

    Raises:
        LabError: when the row is incomplete, or is a chat of more than one question and one answer.
    """
    kind = format_of(row)
    if kind == "text_label":
        task = instruction or _task(labels)
        return {
            "instruction": task,
            "input": _string(row, "text"),
            "output": _label_name(row["label"], labels),
        }
    if kind == "question_answer":
        answer = to_question_answer(row)
        material = f"Text: {answer['context']}\nQuestion: {answer['question']}"
        return {"instruction": QUESTION, "input": material, "output": answer["answers"]["text"][0]}
    if kind == "chat":
        return _instruction_from_chat(_messages(row))
    return {
        "instruction": _string(row, "instruction"),
        "input": _string(row, "input", may_be_empty=True),
        "output": _string(row, "output"),
    }


def to_chat(
    row: Mapping[str, Any], labels: Sequence[str] | None = None, system: str | None = None
) -> dict[str, list[dict[str, str]]]:
    """Write a row as messages, ready for `tokenizer.apply_chat_template`.

    Args:
        row: in any of the four formats.
        labels: names of the classes, needed when the label is a number.
        system: text of a system message to put first, if the row has none.

    Returns:
        `messages`: dictionaries with `role` and `content`; the last one is the assistant's.

    Raises:
        LabError: when the row is incomplete.
    """
    if format_of(row) == "chat":
        messages = _messages(row)
    else:
        task = to_instruction(row, labels)
        question = "\n\n".join(part for part in (task["instruction"], task["input"]) if part)
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": task["output"]}]
    if system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    return {"messages": messages}


def to_text_label(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row as a text and its label.

    Args:
        row: text and label, or an instruction or chat whose answer is the label.

    Returns:
        `text` and `label`. The label is what the row holds: a number, a name or the whole answer.

    Raises:
        LabError: when the row is incomplete, or is a question about a text: its answer is not a class.
    """
    kind = format_of(row)
    if kind == "question_answer":
        raise LabError(
            f"The question {_short(row['question'])} has a piece of text as its answer, not a class, so it has no label. "
            "Use to_instruction() or to_chat() for such rows."
        )
    if kind == "text_label":
        if row["label"] is None:
            raise LabError(
                f"The row with the text {_short(row['text'])} has no label. Add one, or drop the row."
            )
        return {"text": _string(row, "text"), "label": row["label"]}
    task = to_instruction(row)
    return {"text": task["input"] or task["instruction"], "label": task["output"]}


def to_question_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row as a question about a text, with the place of the answer in the text.

    Args:
        row: question and context with `answers` (`text` and `answer_start`, as in SQuAD) or one `answer`; or an
            instruction or chat whose answer stands word for word in its input.

    Returns:
        `question`, `context` and `answers`: `text` and `answer_start` (in characters, from 0), lists of equal length.

    Raises:
        LabError: when the answer is not in the text, or not where `answer_start` says.

    Source: Rajpurkar et al. (2016), SQuAD, arXiv 1606.05250
    """
    kind = format_of(row)
    if kind == "text_label":
        raise LabError(
            f"The text {_short(row['text'])} has a label, not a question with an answer in the text. Use to_instruction() "
            "or to_chat() for such rows."
        )
    if kind != "question_answer":
        task = to_instruction(row)
        row = {"question": task["instruction"], "context": task["input"], "answer": task["output"]}
    question, context = _string(row, "question"), _string(row, "context")
    texts, starts = _answers(row, context)
    for text, start in zip(texts, starts, strict=True):
        _check_span(context, text, start)
    return {"question": question, "context": context, "answers": {"text": texts, "answer_start": starts}}


def _answers(row: Mapping[str, Any], context: str) -> tuple[list[str], list[int]]:
    answers = row.get("answers")
    if (
        isinstance(answers, Mapping)
        and answers.get("text")
        and len(answers["text"]) == len(answers["answer_start"])
    ):
        return list(answers["text"]), list(answers["answer_start"])
    answer = _string(row, "answer")
    start = row.get("answer_start")
    return [answer], [context.find(answer) if start is None else start]


def _check_span(context: str, text: str, start: int) -> None:
    if context[max(start, 0) : max(start, 0) + len(text)] == text and start >= 0:
        return
    place = context.find(text)
    if place < 0:
        raise LabError(
            f"The answer {_short(text)} does not stand word for word in the text {_short(context)}. Copy the answer from "
            "the text, with the same letters and spaces, or drop the row."
        )
    raise LabError(
        f"answer_start={start}, but there the text reads {_short(context[max(start, 0) :][: len(text)])}. The answer "
        f"{_short(text)} starts at character {place}: correct answer_start, or leave it out to have it found."
    )


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        raise LabError(f"messages={_short(messages)}: give a list of {{'role': …, 'content': …}}.")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in ("system", "user", "assistant"):
            raise LabError(
                f"messages[{number}] is {_short(message)}. Each message needs a `role` (system, user or assistant) and "
                "a `content`."
            )
        _string(message, "content")
    if messages[-1]["role"] != "assistant":
        raise LabError(
            f"The last message is the {messages[-1]['role']}'s, so there is nothing to learn from. End with the "
            "assistant's answer."
        )
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _instruction_from_chat(messages: list[dict[str, str]]) -> dict[str, str]:
    roles = [message["role"] for message in messages if message["role"] != "system"]
    if roles != ["user", "assistant"]:
        raise LabError(
            f"A chat with {len(messages)} messages ({', '.join(roles)}) is more than one question and one answer, so it "
            "has no instruction format. Cut it to one exchange, or train on the chat itself."
        )
    task, _, material = messages[-2]["content"].partition("\n\n")
    return {"instruction": task, "input": material, "output": messages[-1]["content"]}


def _task(labels: Sequence[str] | None) -> str:
    return f"Classify the text as one of: {', '.join(labels)}." if labels else "Classify the text."


def _label_name(label: Any, labels: Sequence[str] | None) -> str:
    if isinstance(label, str) and label:
        return label
    if hasattr(label, "__index__") and labels and 0 <= label < len(labels):  # NumPy's whole numbers, too
        return labels[label]
    raise LabError(
        f"label={label!r} has no name: a model that writes cannot learn from a number. Give the names with "
        "labels=dataset.features['label'].names (number 0 is the first name)."
    )


def _string(row: Mapping[str, Any], column: str, may_be_empty: bool = False) -> str:
    value = row.get(column)
    if may_be_empty and value is None:
        return ""
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        raise LabError(
            f"{column}={_short(value)} is {'empty' if value in ('', None) else 'not a text'} in the row {_short(dict(row))}. "
            "Fill it in, or drop the row."
        )
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
