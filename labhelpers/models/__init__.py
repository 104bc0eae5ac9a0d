"""What a model is and what it costs before it is trained: sources, counts, bytes, the planner."""

from .inspect import ParameterCounts, build_empty, config, count_parameters, describe, lora_targets, source
from .sentence_embeddings import embeddings

__all__ = [
    "ParameterCounts", "build_empty", "config", "count_parameters", "describe", "embeddings", "lora_targets", "source",
]  # fmt: skip
