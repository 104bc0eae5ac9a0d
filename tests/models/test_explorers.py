"""The five tools: moved like a person would, with and without a browser; the output follows."""

import pytest

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.models import explorers, planner

TOOLS = ("lora_calculator", "memory_planner", "learning_rate_schedules", "should_i_finetune", "which_method")
MOVES = {
    "lora_calculator": {"rank": 64},
    "memory_planner": {"method": "qlora"},
    "learning_rate_schedules": {"warmup_steps": 500},
    "should_i_finetune": {"measure": "not yet"},
    "which_method": {"model": "llama2-70b"},
}


@pytest.fixture
def browser(monkeypatch):
    """Stands for the front end: keeps what is displayed."""
    import IPython.display

    shown = []
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda *things, **_: shown.extend(things))
    return shown


def moved(capsys, exploration, **values):
    capsys.readouterr()
    exploration.set(**values)
    return capsys.readouterr().out


@pytest.mark.parametrize("tool", TOOLS)
def test_moving_a_control_changes_what_is_shown(tool, capsys):
    exploration = getattr(explorers, tool)()
    before = capsys.readouterr().out
    after = moved(capsys, exploration, **MOVES[tool])
    assert before.strip() and after.strip() and before != after


@pytest.mark.parametrize("tool", TOOLS)
def test_a_slider_or_list_moved_in_the_browser_runs_it_again(tool, browser, monkeypatch):
    exploration = getattr(explorers, tool)()
    (name, value), calls = next(iter(MOVES[tool].items())), []
    assert set(exploration.sliders) == set(exploration.controls)
    monkeypatch.setattr(exploration, "function", lambda **values: calls.append(values))
    exploration.sliders[name].value = value
    assert [call[name] for call in calls] == [value]


@pytest.mark.parametrize("tool", ["should_i_finetune", "which_method"])
def test_the_browser_asks_whole_questions(tool, browser):
    exploration = getattr(explorers, tool)()
    assert all(control.description.endswith(("?", ".")) for control in exploration.sliders.values())


def test_the_head_outweighs_the_adapter(capsys):
    exploration = explorers.lora_calculator()
    assert (
        "147,456" in (out := capsys.readouterr().out)
        and "592,130" in out
        and "80% of them in the head" in out
    )
    assert "294,912" in moved(capsys, exploration, model="gpt2")
    assert "4,194,304" in moved(capsys, exploration, model="llama-7b")
    assert "159,907,840" in moved(capsys, exploration, rank=64, layers="all linear")


def test_a_model_of_ones_own_comes_first(capsys):
    from labhelpers import models

    config = models.config("llama-7b", num_hidden_layers=1)
    exploration = explorers.lora_calculator({"mine": config})
    assert exploration.values["model"] == "mine"
    assert f"{planner.lora_parameters(config).adapter:,}" in capsys.readouterr().out


def test_the_plan_names_the_reason_and_the_card(capsys):
    exploration = explorers.memory_planner()
    out = moved(
        capsys, exploration, model="llama-7b", method="qlora", precision="bfloat16", batch_size=1,
        gpu="RTX 4060 (8 GB)",
    )  # fmt: skip
    assert "fits on RTX 4060 (8 GB)" in out and "in NF4 × 4.127 bits" in out
    assert "does not fit" in moved(capsys, exploration, method="full")


def test_a_length_the_model_cannot_read_is_explained_not_raised(capsys):
    exploration = explorers.memory_planner()
    assert "sequence_length=512 or less" in moved(
        capsys, exploration, model="bert-base", sequence_length=1024
    )


def test_too_long_a_warm_up_never_reaches_the_peak(capsys):
    exploration = explorers.learning_rate_schedules()
    assert "30 of 300 steps are warm-up (10%)" in capsys.readouterr().out
    assert "never gets past 60% of its peak" in moved(capsys, exploration, warmup_steps=500)
    assert "33%" in moved(capsys, exploration, warmup_steps=100)


@pytest.mark.parametrize("schedule", explorers.SCHEDULES)
def test_rates_are_those_a_training_would_use(schedule):
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2e-4)
    scheduler = get_scheduler(explorers.SCHEDULES[schedule], optimizer, 10, 50)
    used = []
    for _ in range(50):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert explorers.learning_rates(schedule, 50, 10, 2e-4) == pytest.approx(used)


def test_advice_follows_the_answers_and_says_what_did_not_matter(capsys):
    exploration = explorers.should_i_finetune()
    out = moved(capsys, exploration, prompting="not good enough", examples=500)
    assert "Yes. Fine-tune" in out and "Made no difference here: cost, constrained, output." in out
    assert "Put the facts into the prompt" in moved(
        capsys, exploration, missing="facts it does not know, or that change"
    )


def test_the_method_follows_the_card(capsys):
    exploration = explorers.which_method()
    moved(capsys, exploration, model="llama-7b", tasks=1, examples=500)
    assert "QLoRA: the model frozen" in moved(capsys, exploration, gpu="RTX 4060 (8 GB)")
    assert "LoRA and QLoRA fit on 24 GB" in moved(capsys, exploration, gpu="RTX 4090 (24 GB)")


def test_an_impossible_answer_is_refused():
    with pytest.raises(LabError, match="does not fit its control"):
        explorers.which_method().set(tasks=0)


@pytest.mark.parametrize("module", ["planner", "decisions", "explorers"])
def test_importing_stays_cheap(module):
    import subprocess
    import sys

    heavy = "{'torch', 'transformers', 'matplotlib', 'ipywidgets', 'peft'}"
    code = f"import sys, labhelpers.models.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
