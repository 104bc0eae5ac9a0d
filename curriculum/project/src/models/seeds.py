"""One recipe, several seeds: what a promotion asks for. Each seed is a run in MLflow, with its test predictions.

python -m src.models.seeds --count 3
"""

from pathlib import Path
from typing import Annotated

import typer
from src import config, logs
from src.evaluation import evaluate
from src.models import finetune

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
log = logs.start("seeds")


def several(chosen: config.Params, seeds: list[int]) -> list[str]:
    """Train and judge the recipe once for each seed; give back the runs. models/adapter is the last one's."""
    runs = []
    for seed in seeds:
        one = chosen.model_copy(update={"finetune": chosen.finetune.model_copy(update={"seed": seed})})
        runs.append(finetune.logged(one))
        evaluate.logged(one)
    return runs


@app.command()
def main(
    params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml"),
    count: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=2)] = 3,
) -> None:
    """Train the recipe of params.yaml under seeds 0, 1, …, and print the ids of the runs."""
    runs = several(config.load(params), list(range(count)))
    log.info("afterwards `dvc checkout` brings the pipeline's own adapter back")
    typer.echo("\n".join(runs))


if __name__ == "__main__":
    app()
