"""Open the test split: how good, how sure, and how much better than something simple?

python -m src.evaluation.evaluate
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from src import config, files, logs

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
log = logs.start("evaluate")


def logged(chosen: config.Params) -> dict[str, float]:
    """Judge models/adapter on the test split; files and the run that made it keep what came out."""
    from src import tracking  # seconds to load: only after all that can be checked without them
    from src.evaluation import answers, summary

    table = answers.scored(chosen)
    found = summary.measured(table, chosen.evaluate.resamples)
    files.write(Path("predictions.csv"), table.to_csv(index=False))
    files.write(Path("report.md"), summary.report(found, chosen.task, table))
    files.write(Path("metrics.json"), json.dumps(found, indent=1) + "\n")
    made_from = (answers.ADAPTER / "fingerprint.txt").read_text(encoding="utf-8")
    with tracking.run_of(made_from, "evaluate", chosen.model_dump()):
        tracking.mlflow.log_metrics({f"test_{name}": value for name, value in found.items()})
        tracking.mlflow.log_artifact("predictions.csv")
    return found


@app.command()
def main(params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml")) -> None:
    """Write metrics.json, predictions.csv and report.md, and keep the result in MLflow."""
    chosen = config.load(params)
    files.needed(Path("models/adapter/fingerprint.txt"), "python -m src.models.finetune")
    for part in ("train", "test"):
        files.needed(Path(f"data/finetuning/{part}.jsonl"), "python -m src.data.prepare_finetuning_data")
    found = logged(chosen)
    log.info("%.3f, baseline %.3f; see report.md", found["score"], found["baseline"])


if __name__ == "__main__":
    app()
