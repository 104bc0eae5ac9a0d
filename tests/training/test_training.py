"""Training with a memory: found again, resumed after a kill, never confused with another run."""

import json
import multiprocessing
import os
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver

import numpy as np
import pytest
import torch

from labhelpers import progress, training
from labhelpers.core import files, settings
from labhelpers.core.settings import LabError
from labhelpers.training import fingerprints, runs

EXAMPLES, EPOCHS, STEPS_PER_EPOCH = 48, 3, 6


def tiny_data(examples=EXAMPLES, seed=0):
    from datasets import Dataset

    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, examples).tolist()
    rows = [random.integers(5, 30, random.integers(4, 12)).tolist() for _ in range(examples)]
    for row, label in zip(rows, labels, strict=True):
        row[0] = 40 + label
    return Dataset.from_dict(
        {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows], "labels": labels}
    )


def tiny_model(adapter=True, seed=0, dtype=torch.float32):
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification, set_seed

    set_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=64, **sizes)).to(dtype)
    if adapter:
        model = get_peft_model(
            model, LoraConfig(r=2, target_modules=["query", "value"], lora_dropout=0.1, task_type="SEQ_CLS")
        )
        training.keep_adapters_precise(model)
    return model


def pad(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    filled = {
        key: torch.tensor([list(row[key]) + [0] * (longest - len(row[key])) for row in rows])
        for key in ("input_ids", "attention_mask")
    }
    return {**filled, "labels": torch.tensor([row["labels"] for row in rows])}


def tiny_trainer(model=None, data=None, callbacks=None, evaluate=False, **overrides):
    from transformers import Trainer

    if evaluate:
        overrides["eval_strategy"] = "epoch"
    settled = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        **overrides,
    }
    return Trainer(
        model=model or tiny_model(),
        args=training.arguments("anywhere", **settled),
        train_dataset=data or tiny_data(),
        eval_dataset=tiny_data(16, seed=1) if evaluate else None,
        data_collator=pad,
        callbacks=callbacks,
    )


def weights(model):
    return {name: part.detach().clone() for name, part in model.named_parameters() if part.requires_grad}


def assert_same(left, right, tolerance=1e-6):
    assert left.keys() == right.keys()
    for name in left:
        assert torch.allclose(left[name], right[name], atol=tolerance), name


# A process that dies at a chosen moment: SIGKILL leaves no chance to tidy up.


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


class DieAtStep(training.LivePlot):
    # A callback of the learner's own would make another run; this one poses as one of the course.
    __module__ = "labhelpers.test"

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            die()


def die_while_writing(monkeypatch_target, name, marker, count):
    """Replace a writer by one that leaves half of the count-th matching file and dies."""
    real, seen = getattr(monkeypatch_target, name), []

    def write(content, path, *rest, **named):
        real(content, path, *rest, **named)
        if marker in str(path):
            seen.append(path)
            if len(seen) == count:
                os.truncate(path, os.path.getsize(path) // 2)
                die()

    setattr(monkeypatch_target, name, write)


def train_and_die(workspace, moment, adapter):
    os.environ.update(LAB_WORKSPACE=str(workspace), LAB_PROFILE="smoke", LAB_HEADLESS="1", HF_HUB_OFFLINE="1")
    from transformers import TrainerState

    callbacks = []
    if moment.startswith("step"):
        callbacks = [DieAtStep(int(moment.split()[1]))]
    elif moment == "while saving the optimizer":
        die_while_writing(torch, "save", "optimizer.pt", 2)
    elif moment == "while saving the state":
        die_while_writing(TrainerState, "save_to_json", "trainer_state.json", 2)
    elif moment == "before the finished weights are in place":
        runs.save_weights = lambda model, path: die() if path.name == runs.WEIGHTS else "unused"
    elif moment == "before the finished mark":
        files.write = lambda path, text: die() if path.name == runs.FINISHED else None
    training.train(tiny_trainer(tiny_model(adapter), callbacks=callbacks), "killed")


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    context = multiprocessing.get_context("forkserver")
    # The server imports the slow libraries once; each child starts from there.
    context.set_forkserver_preload(["torch", "transformers", "peft", "datasets"])
    with pytest.MonkeyPatch.context() as patch:
        # Its folder stays until the interpreter ends, so it lies among pytest's own.
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("server")))
        forkserver.ensure_running()
    return context


@pytest.fixture
def workspace():
    return settings.current().workspace


def kill_at(processes, workspace, moment, adapter=True):
    child = processes.Process(target=train_and_die, args=(workspace, moment, adapter))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


def reference(monkeypatch, tmp_path, adapter=True):
    with monkeypatch.context() as patch:
        patch.setenv("LAB_WORKSPACE", str(tmp_path / "elsewhere"))
        trainer = tiny_trainer(tiny_model(adapter))
        run = training.train(trainer, "killed")
    return weights(trainer.model), run


MOMENTS = {
    "step 2": 0,
    "step 9": 6,
    "step 13": 12,
    "while saving the optimizer": 6,
    "while saving the state": 6,
    "before the finished weights are in place": 18,
    "before the finished mark": 18,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_goes_on_and_ends_like_an_uninterrupted_one(
    processes, workspace, tmp_path, monkeypatch, capsys, moment
):
    kill_at(processes, workspace, moment)
    expected, whole = reference(monkeypatch, tmp_path)
    capsys.readouterr()
    trainer = tiny_trainer()
    run = training.train(trainer, "killed")
    said = capsys.readouterr().out
    assert run.folder.name == whole.folder.name
    assert (f"going on from step {MOMENTS[moment]}." in said) == (MOMENTS[moment] > 0)
    assert not run.reused and trainer.state.global_step == EPOCHS * STEPS_PER_EPOCH
    assert_same(weights(trainer.model), expected)
    assert [row["step"] for row in run.history] == [row["step"] for row in whole.history]
    assert run.history[-1]["train_loss"] == pytest.approx(whole.history[-1]["train_loss"], abs=1e-3)


def test_killed_full_model_goes_on(processes, workspace, tmp_path, monkeypatch):
    kill_at(processes, workspace, "step 9", adapter=False)
    expected, _ = reference(monkeypatch, tmp_path, adapter=False)
    trainer = tiny_trainer(tiny_model(adapter=False))
    training.train(trainer, "killed")
    assert_same(weights(trainer.model), expected)


@pytest.mark.parametrize("adapter", [True, False])
def test_finished_run_is_found_again(capsys, adapter):
    first = tiny_trainer(tiny_model(adapter), evaluate=True)
    made = training.train(first, "first")
    capsys.readouterr()
    second = tiny_trainer(tiny_model(adapter), evaluate=True)
    found = training.train(second, "first")
    said = capsys.readouterr().out
    assert "Found the finished run" in said and str(found.folder) in said and said.count("\n") == 1
    assert not made.reused and found.reused and found.seconds == made.seconds
    assert found.history == made.history == second.state.log_history
    assert_same(weights(first.model), weights(second.model), tolerance=0)
    assert second.evaluate()["eval_loss"] == pytest.approx(first.evaluate()["eval_loss"])


def test_rerunning_the_cell_does_not_train_a_trained_model_further():
    model = tiny_model()
    first = training.train(tiny_trainer(model), "cell")
    again = training.train(tiny_trainer(model), "cell")
    assert again.reused and again.folder == first.folder


def test_continuing_with_other_arguments_says_so(capsys):
    model = tiny_model()
    training.train(tiny_trainer(model), "stage-one")
    capsys.readouterr()
    run = training.train(tiny_trainer(model, learning_rate=1e-3), "stage-two")
    assert not run.reused
    assert "already holds the weights of stage-one" in capsys.readouterr().out


def test_same_trainer_after_the_folder_was_deleted_asks_for_a_fresh_model():
    import shutil

    trainer = tiny_trainer()
    shutil.rmtree(training.train(trainer, "gone").folder)
    with pytest.raises(LabError, match="build the model and the Trainer again"):
        training.train(trainer, "gone")


def test_next_cell_draws_the_same_numbers_whether_or_not_training_was_needed():
    training.train(tiny_trainer(), "first")
    after_training = torch.rand(3)
    torch.rand(7)
    training.train(tiny_trainer(), "first")
    assert torch.equal(torch.rand(3), after_training)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 2e-2},
        {"num_train_epochs": 1},
        {"seed": 7},
        {"data": tiny_data(seed=3)},
        {"model": "other start"},
        {"model": "full"},
    ],
    ids=str,
)
def test_whatever_changes_the_result_is_another_run(change):
    models = {"other start": lambda: tiny_model(seed=5), "full": lambda: tiny_model(adapter=False)}
    changed = {key: models[value]() if key == "model" else value for key, value in change.items()}
    plain, other = tiny_trainer(), tiny_trainer(**changed)
    assert fingerprint(plain) != fingerprint(other)


@pytest.mark.parametrize(
    "change", [{"output_dir": "x"}, {"logging_steps": 3}, {"save_strategy": "no"}], ids=str
)
def test_paths_and_logging_do_not_make_another_run(change, tmp_path):
    if "output_dir" in change:
        change = {"output_dir": str(tmp_path / "x")}
    assert fingerprint(tiny_trainer()) == fingerprint(tiny_trainer(**change))


def test_a_lora_config_used_for_a_second_model_does_not_make_another_run():
    from peft import LoraConfig, get_peft_model

    recipe = LoraConfig(r=2, target_modules=["query", "value"], lora_dropout=0.1, task_type="SEQ_CLS")
    names = set()
    for _ in range(2):
        trainer = tiny_trainer(get_peft_model(tiny_model(adapter=False), recipe))
        names.add(fingerprints.of_trainer(trainer, "the same start"))
    assert len(names) == 1


def test_two_named_adapters_on_one_base_are_trained_in_turn_and_found_again():
    from peft import LoraConfig, get_peft_model

    def trained_in_turn():
        recipe = LoraConfig(r=2, target_modules=["query", "value"])
        model = get_peft_model(tiny_model(adapter=False), recipe, adapter_name="films")
        model.add_adapter("spam", recipe)
        found = []
        for name in ("films", "spam"):
            model.set_adapter(name)
            found.append(
                training.train(tiny_trainer(model, num_train_epochs=1, save_strategy="no"), name).reused
            )
        return found, model.state_dict()

    first, weights_first = trained_in_turn()
    second, weights_second = trained_in_turn()
    assert (first, second) == ([False, False], [True, True])
    assert_same(weights_first, weights_second)


def test_own_loss_code_makes_another_run():
    from transformers import Trainer

    def heavy(model, scale):
        class Weighted(Trainer):
            def compute_loss(self, model, inputs, return_outputs=False, **_):
                output = model(**inputs)
                loss = output.loss * 3 if scale == 3 else output.loss
                return (loss, output) if return_outputs else loss

        return Weighted(model, training.arguments("x"), train_dataset=tiny_data(), data_collator=pad)

    assert fingerprint(heavy(tiny_model(), 3)) != fingerprint(tiny_trainer(num_train_epochs=3))


def test_an_edited_layer_of_the_notebook_makes_another_run():
    def with_bend(source):
        notebook = {"__name__": "__main__", "nn": torch.nn, "torch": torch}
        exec(f"class Bend(nn.Module):\n    def forward(self, x):\n        return {source}", notebook)
        model = tiny_model()
        model.base_model.model.dropout = notebook["Bend"]()
        return fingerprint(tiny_trainer(model))

    assert with_bend("torch.relu(x)") == with_bend("torch.relu(x)")
    assert with_bend("torch.relu(x)") != with_bend("torch.tanh(x)")


def fingerprint(trainer):
    return fingerprints.of_trainer(trainer, fingerprints.of_weights(trainer.model))


@pytest.mark.parametrize("damage", ["short weights", "flipped byte", "no weights", "half json", "wrong json"])
def test_damaged_finished_run_is_set_aside_and_trained_again(capsys, damage):
    made = training.train(tiny_trainer(), "first")
    stored, mark = made.folder / runs.WEIGHTS, made.folder / runs.FINISHED
    content = bytearray(stored.read_bytes())
    if damage == "short weights":
        stored.write_bytes(content[:-20])
    elif damage == "flipped byte":
        content[-3] ^= 255
        stored.write_bytes(content)
    elif damage == "no weights":
        stored.unlink()
    elif damage == "half json":
        mark.write_text(mark.read_text()[:50])
    else:
        mark.write_text(json.dumps({"seconds": "many"}))
    again = training.train(tiny_trainer(), "first")
    assert f"{made.folder} is damaged. It now lies in broken-{made.folder.name}" in capsys.readouterr().out
    assert not again.reused and training.train(tiny_trainer(), "first").reused
    assert (made.folder.parent / f"broken-{made.folder.name}" / "checkpoint-18").is_dir()


def test_a_lone_half_written_checkpoint_is_set_aside(capsys):
    made = training.train(tiny_trainer(), "first")
    (made.folder / runs.FINISHED).unlink()
    for checkpoint in made.folder.glob("checkpoint-*"):
        (checkpoint / "scheduler.pt").write_bytes(b"PK")
    again = training.train(tiny_trainer(), "first")
    assert again.history[-1]["step"] == 18 and "going on" not in capsys.readouterr().out
    assert (made.folder / "broken-checkpoint-18").is_dir()


class StopAtStep(DieAtStep):
    __module__ = "labhelpers.test"

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step,place", [(2, "from the start"), (8, "from step 6")])
def test_stopped_run_says_how_to_go_on_and_goes_on_with_the_same_model(
    step, place, capsys, tmp_path, monkeypatch
):
    expected, _ = reference(monkeypatch, tmp_path)
    model = tiny_model()
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny_trainer(model, callbacks=[StopAtStep(step)]), "killed")
    said = capsys.readouterr().out
    assert f"Stopped at step {step} of 18. Run this cell again to go on {place}" in said
    trainer = tiny_trainer(model)
    run = training.train(trainer, "killed")
    assert_same(weights(trainer.model), expected)
    assert len([path for path in run.folder.parent.iterdir() if path.is_dir() and "killed" in path.name]) == 1


def test_stopped_trainer_starts_again_without_the_old_optimizer_moments(tmp_path, monkeypatch):
    expected, _ = reference(monkeypatch, tmp_path)
    stop = StopAtStep(4)
    trainer = tiny_trainer(callbacks=[stop])
    with pytest.raises(KeyboardInterrupt):
        training.train(trainer, "killed")
    trainer.remove_callback(stop)
    training.train(trainer, "killed")
    assert_same(weights(trainer.model), expected)


def test_loss_that_is_no_number_is_explained():
    data = tiny_data()
    model = tiny_model()
    with torch.no_grad():
        next(part for part in model.parameters() if part.requires_grad).fill_(float("nan"))
    with pytest.raises(LabError, match=r"loss is nan at step 1.*learning rate"):
        training.train(tiny_trainer(model, data), "broken")


def test_weights_that_are_no_numbers_are_never_kept_as_finished(workspace):
    model = tiny_model()
    with torch.no_grad():
        next(part for part in model.parameters() if part.requires_grad).fill_(float("nan"))
    with pytest.raises(LabError, match="not kept as finished"):
        training.train(tiny_trainer(model, logging_strategy="no", logging_first_step=False), "broken")
    assert not list(workspace.rglob(runs.FINISHED))


def test_output_dir_becomes_the_folder_of_the_run(tmp_path):
    trainer = tiny_trainer(output_dir=str(tmp_path / "elsewhere"))
    run = training.train(trainer, "first")
    assert trainer.args.output_dir == str(run.folder)
    assert not list((tmp_path / "elsewhere").glob("checkpoint-*"))


def test_no_empty_folder_is_left_behind(workspace):
    run = training.train(tiny_trainer(), "first")
    assert [path for path in (workspace / "runs").iterdir() if path.is_dir()] == [run.folder]


class WaitAtStep(DieAtStep):
    __module__ = "labhelpers.test"

    def __init__(self, step):
        super().__init__(step)
        self.there, self.go_on = threading.Event(), threading.Event()

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            self.there.set()
            self.go_on.wait(120)


def test_two_notebooks_do_not_train_the_same_run_at_once(capsys):
    wait = WaitAtStep(2)
    with ThreadPoolExecutor(2) as notebooks:
        first = notebooks.submit(training.train, tiny_trainer(callbacks=[wait]), "shared")
        assert wait.there.wait(120)
        second = notebooks.submit(training.train, tiny_trainer(), "shared")
        with pytest.raises(TimeoutError):
            second.result(timeout=3)
        wait.go_on.set()
    assert not first.result().reused and second.result().reused
    assert "Another notebook is training this very run. Waiting" in capsys.readouterr().out


def test_no_lock_is_left_in_the_temporary_folder(monkeypatch, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    training.train(tiny_trainer(num_train_epochs=1), "first")
    progress.tick("D04-T1")
    assert not list(temporary.rglob("*.lock"))


@pytest.mark.parametrize("name", ["", "a/b", "..", None, "über uns"])
def test_bad_run_name_is_explained(name):
    with pytest.raises(LabError, match="cannot name a run"):
        training.arguments(name)


def test_train_wants_a_trainer_with_data_and_something_to_train():
    with pytest.raises(LabError, match="no Trainer"):
        training.train(tiny_model(), "first")
    frozen = tiny_model()
    trainer = tiny_trainer(frozen)
    frozen.requires_grad_(False)
    with pytest.raises(LabError, match="frozen"):
        training.train(trainer, "first")
    trainer.train_dataset = None
    with pytest.raises(LabError, match="no training data"):
        training.train(trainer, "first")


def test_arguments_are_meant_for_this_machine_and_every_override_wins(workspace):
    made = training.arguments("first")
    assert made.output_dir == str(workspace / "runs" / "first")
    assert made.use_cpu and made.report_to == [] and made.seed == 42 and made.disable_tqdm
    assert made.save_strategy == "epoch" and made.per_device_train_batch_size == 32
    changed = training.arguments("first", bf16=False, save_strategy="no", seed=3, output_dir="/tmp/there")
    assert (changed.bf16, changed.save_strategy, changed.seed) == (False, "no", 3)
    assert changed.output_dir == "/tmp/there"


@pytest.mark.parametrize(
    "old,new",
    [
        ("evaluation_strategy", "eval_strategy"),
        ("learning_rat", "learning_rate"),
        ("warmup_ratio", "warmup_steps"),
        ("batch_size", "per_device_train_batch_size"),
    ],
)
def test_unknown_argument_names_the_right_one(old, new):
    with pytest.raises(LabError, match=f"no `{old}`.*`{new}`"):
        training.arguments("first", **{old: 1})


@pytest.mark.parametrize("text,fix", [("2e-4", r'float\("2e-4"\)'), ("small", "…")])
def test_learning_rate_as_text_is_explained(text, fix):
    with pytest.raises(LabError, match=rf"needs a number.*YAML.*{fix}"):
        training.arguments("first", learning_rate=text)


@pytest.mark.parametrize("value", [0, -1e-3, float("nan"), None])
def test_impossible_learning_rate_is_refused(value):
    with pytest.raises(LabError, match="learning_rate"):
        training.arguments("first", learning_rate=value)


def test_arguments_that_contradict_each_other_are_a_lab_error():
    with pytest.raises(LabError, match="refused"):
        training.arguments("first", load_best_model_at_end=True, eval_strategy="steps", eval_steps=3)


def test_load_options_switch_off_dropout_of_the_frozen_base_only():
    options = training.load_options()
    assert options["hidden_dropout_prob"] == options["attention_probs_dropout_prob"] == 0
    assert options["classifier_dropout"] > 0
    assert "hidden_dropout_prob" not in training.load_options("decoder")
    with pytest.raises(LabError, match="no such kind"):
        training.load_options("transformer")


def test_trainable_parameters_become_fp32_and_the_base_stays_bf16():
    model = tiny_model(dtype=torch.bfloat16)
    assert {part.dtype for part in model.parameters() if part.requires_grad} == {torch.float32}
    assert {part.dtype for part in model.parameters() if not part.requires_grad} == {torch.bfloat16}


def test_predict_keeps_the_order_and_agrees_with_the_model_one_by_one():
    model, data = tiny_model(), tiny_data()
    model.train()
    logits = training.predict(model, data, batch_size=7)
    assert all(module.training for module in model.modules())
    model.eval()
    with torch.no_grad():
        single = [model(input_ids=torch.tensor([row["input_ids"]])).logits[0].numpy() for row in data]
    assert logits.shape == (EXAMPLES, 2) and logits.dtype == np.float32
    assert np.allclose(logits, np.stack(single), atol=1e-5)
    assert np.allclose(training.predict(model, data, collator=pad_inputs), logits, atol=1e-5)


def pad_inputs(rows):
    batch = pad([{**row, "labels": 0} for row in rows])
    del batch["labels"]
    return batch


@pytest.mark.parametrize(("said", "multiplied_in"), [("0", torch.float32), ("1", torch.bfloat16)])
def test_what_is_stored_in_bf16_is_multiplied_in_fp32_where_bf16_is_only_emulated(
    monkeypatch, said, multiplied_in
):
    monkeypatch.setenv("LAB_BF16", said)
    model = tiny_model(adapter=False, dtype=torch.bfloat16).eval()
    tokens = torch.tensor([[1, 2, 3]])
    with training.widened():
        logits = model(tokens).logits
        logits.sum().backward()
    assert logits.dtype == multiplied_in
    assert {part.grad.dtype for part in model.parameters() if part.grad is not None} == {torch.bfloat16}
    assert {part.dtype for part in model.parameters()} == {torch.bfloat16}
    if said == "0":
        torch.testing.assert_close(logits, model.float()(tokens).logits, atol=0.02, rtol=0)


def test_predict_works_with_a_bf16_base_and_leaves_resting_layers_at_rest():
    model = tiny_model(dtype=torch.bfloat16)
    model.train()
    model.base_model.model.bert.embeddings.eval()
    logits = training.predict(model, tiny_data())
    assert np.isfinite(logits).all()
    assert model.training and not model.base_model.model.bert.embeddings.training


def test_predict_explains_what_it_cannot_use():
    model = tiny_model()
    with pytest.raises(LabError, match="empty"):
        training.predict(model, [])
    with pytest.raises(LabError, match="input_ids"):
        training.predict(model, [{"text": "hello"}])
    with pytest.raises(LabError, match="batch_size=0"):
        training.predict(model, tiny_data(), batch_size=0)


def test_live_plot_collects_points_and_draws_nothing_without_a_browser(capsys):
    plot = training.LivePlot()
    training.train(tiny_trainer(callbacks=[plot], evaluate=True), "watched")
    assert [step for step, _ in plot.validation] == [6, 12, 18]
    assert plot.training and all(size > 1e6 for _, size in plot.memory)
    assert "img" not in capsys.readouterr().out
    assert len(plot.figure().axes) == 2


def test_live_plot_updates_one_picture_in_a_notebook(monkeypatch):
    import IPython.display

    shown, updates = [], []
    handle = type("Handle", (), {"update": lambda self, picture: updates.append(picture)})()
    monkeypatch.setattr(IPython.display, "display", lambda picture, **_: shown.append(picture) or handle)
    monkeypatch.setattr(settings, "is_interactive", lambda: True)
    training.train(tiny_trainer(callbacks=[training.LivePlot()], disable_tqdm=True), "watched")
    assert len(shown) == 1 and len(updates) >= 1
    assert 'alt="Loss and memory during training' in updates[-1].data


@pytest.mark.parametrize(("strategy", "in_order"), [("group_by_length", False), ("sequential", True)])
def test_sorting_by_length_mixes_up_predictions_as_the_pitfalls_say(strategy, in_order):
    """When this fails, transformers has changed: Day 9 and the guide on pitfalls warn of nothing then."""
    rows = tiny_data(40)
    trainer = tiny_trainer(train_sampling_strategy=strategy)
    assert (trainer.predict(rows).label_ids.tolist() == rows["labels"][:]) is in_order


# --- what is looked at before and after --------------------------------------------------------------------------


class OwnRows(torch.utils.data.Dataset):
    """A learner's own data set: rows of one length, labels as they happen to be."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, at):
        return {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": self.labels[at]}


def plain_trainer(data, model=None, **more):
    """A Trainer with the library's own collator and loss."""
    from transformers import Trainer

    arguments = training.arguments("anywhere", num_train_epochs=1)
    return Trainer(model=model or tiny_model(), args=arguments, train_dataset=data, **more)


@pytest.mark.parametrize(
    "labels, says",
    [
        ([1, 2, 1, 2], "run from 1 to 2, and the model has 2 classes, 0 to 1: 2 means nothing.*subtract 1"),
        ([-1, 1, 1, -1], "Write 0 in place of -1"),
        ([0, 1, 2, 3], "num_labels=4"),
        ([0, -5, 1, 0], "Number the classes from 0 to 1"),
        (["neg", "pos", "neg", "pos"], "row 0 of train_dataset is 'neg', a word.*class_encode_column"),
        ([0, 1.0, 0, 1], "row 1 of train_dataset is 1.0, a number with a point.*0 to 1"),
        ([0, 1, True, 0], "row 2 of train_dataset is True"),
        ([0, 1, 0, None], "Row 3 of train_dataset has no label"),
        ([0, float("nan"), 0, 1], "Row 1 of train_dataset has no label"),
        ([np.int64(1), torch.tensor(2), 1, 2], "subtract 1"),
        ([[0, 1], [1, 0], [1, 1], [0, 0]], "row 0 of train_dataset is .0, 1.*multi_label_classification"),
        ([[0.0, 1.0], [1.0, 0.0], 1, 0], "row 2 of train_dataset is 1"),
    ],
)
@pytest.mark.parametrize("place", ["train", "eval"])
def test_labels_are_looked_at_before_training(labels, says, place):
    good = OwnRows([0, 1, 0, 1])
    with pytest.raises(LabError, match=says.replace("train_dataset", f"{place}_dataset")):
        if place == "train":
            training.train(plain_trainer(OwnRows(labels)), "labels")
        else:
            training.train(plain_trainer(good, eval_dataset=OwnRows(labels)), "labels")


@pytest.mark.parametrize(
    "labels",
    [[0, 1, -100, 1], [np.int64(0), torch.tensor(1), 0, 1], [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]],
)
def test_labels_that_a_classifier_knows_are_trained_on(labels):
    assert training.train(plain_trainer(OwnRows(labels)), "labels").history


def test_a_model_with_one_output_learns_from_any_number():
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=64, num_labels=1, **sizes))
    assert training.train(plain_trainer(OwnRows([0.5, 3.0, -7.0, 1.5]), model), "regression").history
    with pytest.raises(LabError, match=r"'high', a word.*one output learns from numbers"):
        training.train(plain_trainer(OwnRows([0.5, "high"]), model), "words")


def test_labels_of_another_loss_are_its_own_business():
    from transformers import Trainer

    class Regression(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            wanted = inputs.pop("labels").float()
            return ((model(**inputs).logits[:, 0] - wanted) ** 2).mean()

    arguments = training.arguments("anywhere", num_train_epochs=1)
    trainer = Regression(model=tiny_model(), args=arguments, train_dataset=OwnRows([0.5, 3.0, 7.0, 1.5]))
    assert training.train(trainer, "regression").history


def without_task_type(**options):
    from peft import LoraConfig, get_peft_model

    base = tiny_model(adapter=False)
    return get_peft_model(base, LoraConfig(r=2, target_modules=["query", "value"], **options))


def test_a_new_head_that_stays_frozen_is_spoken_of(capsys):
    training.train(plain_trainer(OwnRows([0, 1, 0, 1]), without_task_type()), "frozen")
    assert "classifier" in (said := capsys.readouterr().out) and 'task_type="SEQ_CLS"' in said
    for sound in (without_task_type(task_type="SEQ_CLS"), without_task_type(modules_to_save=["classifier"])):
        training.train(plain_trainer(OwnRows([0, 1, 0, 1]), sound), "sound")
        assert "frozen" not in capsys.readouterr().out
    trained_before = without_task_type()
    trained_before.get_base_model().classifier.bias.data += 1
    training.train(plain_trainer(OwnRows([0, 1, 0, 1]), trained_before), "probe")
    assert "frozen" not in capsys.readouterr().out


def test_a_head_unfrozen_by_hand_is_never_left_out_of_the_files(tmp_path):
    model = without_task_type()
    model.get_base_model().classifier.requires_grad_(True)
    trainer = plain_trainer(OwnRows([0, 1, 0, 1]), model)
    from peft import LoraConfig

    attached = tiny_model(adapter=False)
    attached.add_adapter(
        LoraConfig(r=2, target_modules=["query"])
    )  # the library's own way to have an adapter
    attached.classifier.requires_grad_(True)
    ways = (
        model.save_pretrained,
        lambda folder: model.save_pretrained(folder),
        trainer.save_model,
        attached.save_pretrained,
    )
    for number, save in enumerate(ways):
        with pytest.raises(LabError, match=r"classifier.*modules_to_save"):
            training.save_once(tmp_path / str(number), save)
        assert not (tmp_path / str(number)).exists()


@pytest.mark.parametrize(
    "options",
    [
        {"task_type": "SEQ_CLS"},
        {"modules_to_save": ["classifier"]},
        {"bias": "all"},
        {"bias": "lora_only", "task_type": "SEQ_CLS"},
        {},
    ],
)
def test_whatever_an_adapter_writes_itself_is_saved(tmp_path, options):
    folder = training.save_once(tmp_path / "whole", without_task_type(**options).save_pretrained)
    assert list(folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    "kind", ["PromptTuningConfig", "PromptEncoderConfig", "PrefixTuningConfig", "IA3Config"]
)
def test_other_adapters_are_saved_too(tmp_path, kind):
    import peft

    options = (
        {"num_virtual_tokens": 2}
        if kind != "IA3Config"
        else {"target_modules": ["key"], "feedforward_modules": []}
    )
    model = peft.get_peft_model(
        tiny_model(adapter=False), getattr(peft, kind)(task_type="SEQ_CLS", **options)
    )
    assert training.save_once(tmp_path / "whole", model.save_pretrained).exists()


def test_a_decoder_without_padding_token_is_explained():
    from transformers import LlamaConfig, LlamaForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = LlamaForSequenceClassification(LlamaConfig(vocab_size=64, pad_token_id=None, **sizes))
    rows = tiny_data(8)
    with pytest.raises(LabError, match=r"model.config.pad_token_id = tokenizer.pad_token_id"):
        training.predict(model, rows)
    with pytest.raises(LabError, match=r"model.config.pad_token_id = tokenizer.pad_token_id"):
        training.train(tiny_trainer(model, rows), "decoder")
    model.config.pad_token_id = 0
    one_by_one = np.concatenate([training.predict(model, rows.select([at])) for at in range(8)])
    np.testing.assert_allclose(training.predict(model, rows), one_by_one, atol=1e-5)
