"""Ctrl-C, or the stop button, in a cell that trains inside an MLflow run."""

import asyncio

import pytest

from labhelpers.core import settings

from . import kernels

SETUP = """
import mlflow
from labhelpers import tracking, training
from tests.faults import tiny

class Slow(training.LivePlot):
    __module__ = "labhelpers.test"

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 6:
            import time
            print("WAITING", flush=True)
            time.sleep(wait)

wait, trainer = 60, tiny.trainer([Slow()])
"""
TRAIN = """
with tracking.start_run("sentiment", "stopped"):
    run = training.train(trainer, "tiny")
    mlflow.log_metric("loss", run.history[-1]["train_loss"])
"""
LOOK = """
for found in mlflow.search_runs(search_all_experiments=True, output_format="list"):
    print("RUN", found.info.status)
print("ACTIVE", mlflow.active_run())
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What the training cell says when it is stopped, when it is run again, and what MLflow holds in the end."""
    monkeypatch.setenv("LAB_HEADLESS", "1")
    monkeypatch.setenv("PYTHONPATH", str(settings.current().root))
    notebook = kernels.notebook_of(SETUP, TRAIN, "wait = 0", TRAIN, LOOK)
    client = kernels.client_for(notebook, tmp_path)
    client.allow_errors = True

    async def run_and_stop() -> None:
        async with client.async_setup_kernel():
            for index, cell in enumerate(notebook.cells):
                running = asyncio.ensure_future(client.async_execute_cell(cell, index))
                while index == 1 and not running.done() and "WAITING" not in kernels.printed(notebook):
                    await asyncio.sleep(0.1)
                if index == 1:
                    await client.km.interrupt_kernel()
                await running

    asyncio.run(run_and_stop())
    return [
        kernels.printed(kernels.nbformat.v4.new_notebook(cells=[cell])) for cell in notebook.cells
    ], notebook


def test_the_cell_says_how_to_go_on_and_does(said):
    texts, notebook = said
    errors = [
        output.get("ename")
        for cell in notebook.cells
        for output in cell.outputs
        if output.output_type == "error"
    ]
    assert errors == ["KeyboardInterrupt"]
    assert "Stopped at step 6 of 16. Run this cell again to go on from step 4" in texts[1]
    assert "going on from step 4." in texts[3] and "Trained 16 steps" in texts[3]
    assert texts[4].split("ACTIVE")[0].split("RUN ")[1:] == ["FINISHED\n", "FAILED\n"]
    assert "ACTIVE None" in texts[4]
