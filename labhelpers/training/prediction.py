"""Quick prediction: sentences of like length share a batch, so that little is spent on padding."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch.nn import Module

ROW_KEYS = ("input_ids", "attention_mask", "token_type_ids")


def predict(
    model: "Module", tokenized: Any, batch_size: int = 64, collator: Callable[..., Any] | None = None
) -> "np.ndarray":
    """Compute the logits of a classifier for every example.

    Args:
        model: a classifier; it is used where it lies (CPU or GPU), without dropout, and left in the mode it had.
        tokenized: a data set (or list of dictionaries) with `input_ids`; other columns may be there.
        batch_size: examples per forward pass.
        collator: makes a batch from a list of dictionaries; without one, rows are padded on the right with the
            model's own padding token.

    Returns:
        Array of shape (examples, labels), float32, in the order of the data set.

    Raises:
        LabError: when there is nothing to predict, when a row has no tokens, or when the model does not
            answer with one row of logits per example.
    """
    import numpy as np
    import torch

    rows = _rows(tokenized, batch_size)
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]["input_ids"]))
    device = next(model.parameters()).device
    blocks = []
    with _resting(model), torch.inference_mode(), _precision(model, device):
        for first in range(0, len(rows), batch_size):
            chosen = [rows[index] for index in order[first : first + batch_size]]
            batch = collator(chosen) if collator else _pad(chosen, model)
            blocks.append(_logits(model, {key: part.to(device) for key, part in batch.items()}))
    logits = torch.cat(blocks).numpy()
    answer = np.empty_like(logits)
    answer[order] = logits
    return answer


def _rows(tokenized: Any, batch_size: int) -> Sequence[dict[str, Any]]:
    if batch_size < 1:
        raise LabError(f"predict(batch_size={batch_size}): a batch holds at least one example. Try 64.")
    plain = tokenized.with_format(None) if hasattr(tokenized, "with_format") else tokenized
    rows = [{key: row[key] for key in ROW_KEYS if key in row} for row in plain]
    if not rows:
        raise LabError("predict(tokenized): the data set is empty. Check how it was filtered or split.")
    for index, row in enumerate(rows):
        if len(row.get("input_ids", ())) == 0:
            raise LabError(
                f"predict(tokenized): row {index} has no `input_ids`. Tokenize the data set first (data.tokenize)."
            )
    return rows


def _pad(rows: Sequence[dict[str, Any]], model: "Module") -> "dict[str, torch.Tensor]":
    import torch

    padding = getattr(getattr(model, "config", None), "pad_token_id", None) or 0
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        key: [
            [*row[key], *[padding if key == "input_ids" else 0] * (longest - len(row[key]))] for row in rows
        ]
        for key in rows[0]
    }
    batch.setdefault(
        "attention_mask", [[int(i < len(row["input_ids"])) for i in range(longest)] for row in rows]
    )
    return {key: torch.tensor(values) for key, values in batch.items()}


def _logits(model: "Module", batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
    logits = getattr(model(**batch), "logits", None)
    if logits is None or logits.ndim != 2:
        shape = None if logits is None else tuple(logits.shape)
        raise LabError(
            f"predict(model={type(model).__name__}): its logits have the shape {shape}, not (examples, labels). "
            "predict is for sequence classifiers: load the model with AutoModelForSequenceClassification."
        )
    return logits.float().cpu()


@contextlib.contextmanager
def _resting(model: "Module") -> Iterator[None]:
    """Switch to evaluation, and give every layer its own mode back: a frozen base may rest while its head trains."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _precision(model: "Module", device: "torch.device") -> Any:
    """A bf16 base with fp32 adapters only multiplies under autocast, as in training."""
    import torch

    half = {part.dtype for part in model.parameters()} & {torch.bfloat16, torch.float16}
    mixed = half and any(part.dtype == torch.float32 for part in model.parameters())
    return torch.autocast(device.type, dtype=half.pop()) if mixed else contextlib.nullcontext()
