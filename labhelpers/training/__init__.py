"""Train, remember, predict, measure, record."""

from .live import LivePlot
from .runs import save_once
from .trainer import TrainingRun, predict, train
from .training_arguments import arguments, keep_adapters_precise, load_options, widened

__all__ = [
    "LivePlot", "TrainingRun", "arguments", "keep_adapters_precise", "load_options", "predict", "save_once", "train",
    "widened",
]  # fmt: skip
