"""params.yaml, read once and checked: a typing mistake is one line, not an hour of training."""

import sys
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Section(BaseModel):
    """No unknown keys, and no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Kind = TypeVar("Kind", bound=Section)


class Prepare(Section):
    raw: str
    rows: int = Field(ge=0)
    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)
    seed: int


class Model(Section):
    base: str
    max_length: int = Field(gt=0)


class Finetune(Section):
    learning_rate: float = Field(gt=0, lt=1)
    epochs: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    lora_r: int = Field(gt=0)
    lora_alpha: int = Field(gt=0)
    lora_dropout: float = Field(ge=0, lt=1)
    seed: int


class Evaluate(Section):
    answer_tokens: int = Field(gt=0)
    resamples: int = Field(ge=100)


class Params(Section):
    task: Literal["classify", "generate"]
    prepare: Prepare
    model: Model
    finetune: Finetune
    evaluate: Evaluate


def load(path: Path) -> Params:
    """Read params.yaml."""
    return read(path, Params)


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read a YAML file and check it; whatever is wrong ends the program with one line and exit code 2."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        stop(f"{path}: {error.strerror}. Run this in the project's folder, or name the file: --params PATH.")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        stop(f"{path}{line}: not YAML. Mend that line (a colon, a quote, the indentation).")
    except ValidationError as error:
        problems = error.errors()  # a misspelt key is two of them: one that nobody knows, and one missing
        unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        stop(f"{path}: {explain((unknown or problems)[0])}")


# <gap day13>
# def explain(problem: dict) -> str:
#     """Say which key is wrong, and what to write instead.
#
#     `problem` is one of Pydantic's: {"loc": ("finetune", "epochs"), "type": …, "input": …, "msg": …}.
#     """
#     ...
# <solution>
def explain(problem: dict) -> str:
    """Say which key is wrong, and what to write instead."""
    key, found = ".".join(map(str, problem["loc"])), problem.get("input")
    if problem["type"] == "extra_forbidden":
        return f"nobody reads {key}. Is it misspelt? Take it out, or use a key of src/config.py."
    if problem["type"] == "missing":
        return f"{key} is missing. Add it."
    if problem["type"] in ("float_type", "int_type") and isinstance(found, str):
        return f"{key} is the text {found!r}. Write a number; 2e-4 needs a dot, 2.0e-4, to be one in YAML."
    return f"{key} is {found!r}. {problem['msg']}."


# </solution>


def stop(message: str) -> None:
    """End with a line for the person and an exit code for the pipeline."""
    print(message, file=sys.stderr)
    raise SystemExit(2)
