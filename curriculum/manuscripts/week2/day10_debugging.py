# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import math
import re
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("day10")

# %%
from datasets import Dataset, DatasetDict
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers import AutoTokenizer, DataCollatorWithPadding, EarlyStoppingCallback, Trainer
from transformers import TrainingArguments, set_seed

from labhelpers import memory, training

# %% [markdown]
# ## Why today matters
#
# <!-- asked: D10-T2 -->
# On Day 5 somebody else had broken the runs, and you read their charts. Today the hammer is in your hand. You
# will break twelve runs, each in a way in which people break them every week, and mend every one.
#
# Why practise that? A broken program usually stops and says so. A broken *training run* mostly goes on: a loss
# falls, a file is saved, and the number at the end is simply worse than it could have been. Or better, which is no
# comfort either.
#
# So before you begin: of twelve runs that are really broken, how many will stop with an error message?

# %%
guess = widgets.predict(
    "day10-messages", "Of twelve broken runs, how many stop with an error message?", 0, 12
)

# %% [markdown]
# ## A troubleshooting flow
#
# <!-- asked: D10-L -->
# When a number is odd, the temptation is to change the learning rate and hope. Look first. Six looks, sorted by
# price:
#
# | look | what you do | what it costs |
# |---|---|---|
# | **message** | read its last line | nothing |
# | **batch** | decode one example and its labels, as the model gets them | a second |
# | **what trains** | list what is trained, beside what you asked for | a second |
# | **twins** | hash both parts, look for the same text in both | a second |
# | **start** | compare the first loss with $\ln K$ | one step |
# | **curves** | training and validation loss, side by side | a run |
#
# ($\ln K$ is the loss of a model that gives each of $K$ classes the same chance, as a fresh head nearly does.)
#
# <!-- asked: D10-T1 -->
# The guide to [troubleshooting](../../curriculum/guides/troubleshooting.md) takes over when there is a
# message, and the one on [pitfalls](../../curriculum/guides/pitfalls.md) when there is none. Walk through the
# list of the second now:

# %%
pitfalls = (lab.root / "curriculum" / "guides" / "pitfalls.md").read_text(encoding="utf-8")
print("\n".join(re.findall(r"^## (\d.*)$", pitfalls, flags=re.MULTILINE)))

# %%
# The numbers of those you have met yourself, such as [1, 4]. They go onto your page at the end.
met = []

# %% [markdown]
# A ledger comes with us. For each run it keeps which look rings when the run is broken, and whether the same
# look is silent when it is mended. An alarm that always rings is as useless as one that never does.

# %%
ledger = {}


def case(name, look, broken, mended):
    """Enter a run into the ledger: does this look ring when broken, and when mended?"""
    ledger[name] = {"look": look, "broken": bool(broken), "mended": bool(mended)}
    words = {True: "rings", False: "is silent"}
    print(
        f"{name}: the look at {look!r} {words[bool(broken)]} when broken, "
        f"{words[bool(mended)]} when mended."
    )


def attempt(run):
    """Try what may be broken: its result and, if it stopped, the message's first line."""
    try:
        return run(), None
    except Exception as error:
        return None, f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"


# %% [markdown]
# ## Overfitting, and stopping in time
#
# <!-- asked: D10-T3 -->
# A recipe that one can read in many places: *to see overfitting, raise the learning rate*. We shall try it, and
# beside it the other one: *few examples, many epochs*. Both start from the same few sentences, the same model
# and the same seed. Everything is judged on sentences that neither has seen. A second set of those, the *jury*,
# chooses nothing all day.

# %%
reviews = data.prepared("sentiment")
few = reviews["train"].select(range(settings.pick(smoke=64, cpu=128)))
judges = settings.pick(smoke=60, cpu=160)
fresh = reviews["validation"].select(range(judges))
spare = len(reviews["train"]) - judges  # nothing is trained on these today
jury = reviews["train"].select(range(spare, len(reviews["train"])))
truth = np.array(fresh["label"][:])

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
collator = DataCollatorWithPadding(tokenizer)
parts = DatasetDict(few=few, fresh=fresh, jury=jury)
tokens = data.tokenize(parts, tokenizer, max_length=64)
print(f"{len(few)} sentences to learn from, {len(fresh)} new ones, a jury of {len(jury)}")

# %% [markdown]
# All dropout is off today. It throws dice, and when you compare a broken run with a mended one you want them to
# differ in one thing, not in one thing and the dice.


# %%
def plain_base(seed=lab.seed, **options):
    """The encoder without dropout; its new head depends on the seed only."""
    config = AutoConfig.from_pretrained(models.source("encoder"), num_labels=2)
    for name in [name for name in vars(config) if "dropout" in name]:
        setattr(config, name, 0.0)
    fast = {
        name: value for name, value in training.load_options().items() if "dropout" not in name
    }
    set_seed(seed)
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), config=config, **(fast | options)
    )


def lora_model(targets, task_type="SEQ_CLS"):
    recipe = LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type=task_type)
    model = get_peft_model(plain_base(), recipe)
    training.keep_adapters_precise(model)
    return model


# %%
def accuracy_only(scored):
    """With several validation sets at once, one number for each keeps the table readable."""
    return {"accuracy": metrics.compute_metrics(scored)["accuracy"]}


# %%
def make_trainer(name, model, rows, judges, callbacks=(), **choices):
    usual = {"per_device_train_batch_size": 16, "eval_strategy": "epoch", "save_strategy": "no"}
    usual |= {"logging_strategy": "epoch", "logging_first_step": False}
    args = training.arguments(name, **(usual | choices))
    return Trainer(
        model=model,
        args=args,
        train_dataset=rows,
        eval_dataset=judges,
        data_collator=collator,
        compute_metrics=accuracy_only,
        callbacks=[*callbacks],
    )


def per_epoch(run, key):
    return [row[key] for row in run.history if key in row]


# %%
every_matrix = models.lora_targets(plain_base(), "all_linear")
epochs = settings.pick(smoke=6, cpu=12)
rate = settings.pick(smoke=2e-3, cpu=5e-4)

calm = make_trainer(
    "too-long",
    lora_model(every_matrix),
    tokens["few"],
    {"fresh": tokens["fresh"], "jury": tokens["jury"]},
    num_train_epochs=epochs,
    learning_rate=rate,
)
too_long = training.train(calm, "too-long")

# %% [markdown]
# Now the same with a hundred times the rate. Where will its *training* loss end? (Somebody who tosses a coin has
# $\ln 2 \approx 0.69$.)

# %%
hot_guess = widgets.predict(
    "day10-hot", "Training loss at the end, with 100 times the learning rate", 0, 30
)

# %%
hot = make_trainer(
    "too-hot",
    lora_model(every_matrix),
    tokens["few"],
    tokens["fresh"],
    num_train_epochs=epochs,
    learning_rate=100 * rate,
)
too_hot = training.train(hot, "too-hot")
hot_guess.compare(per_epoch(too_hot, "loss")[-1])

# %%
curves = {
    "many epochs: training": per_epoch(too_long, "loss"),
    "many epochs: new sentences": per_epoch(too_long, "eval_fresh_loss"),
    "rate × 100: training": per_epoch(too_hot, "loss"),
    "rate × 100: new sentences": per_epoch(too_hot, "eval_loss"),
}

# %%
ends = {name: values[-1] for name, values in curves.items()}
title = (
    f"Training loss at the end: {ends['many epochs: training']:.2g} after many epochs, "
    f"{ends['rate × 100: training']:.2g} with 100 times the rate"
)
figure = plots.lines(
    range(1, epochs + 1), curves, log_y=True, title=title, xlabel="epoch", ylabel="loss"
)
plots.show(
    figure,
    alt=f"Training and validation loss of two broken runs over {epochs} epochs. {title}.",
)

# %% [markdown]
# Two illnesses that have nothing in common. **Many epochs** teach the few sentences by heart: the training loss
# goes to zero, and on new sentences the loss turns and climbs. That is overfitting. **The huge rate** never fits
# *anything*, not even the sentences it sees in every epoch. To overfit you must first fit.
#
# (Both show a bad validation loss. That is why the look is called *curves*, with an s.) The second one as an alarm:


# %%
def never_fitted(run):
    """The training loss ends no lower than a coin's."""
    return per_epoch(run, "loss")[-1] > 0.9 * math.log(2)


case("rate too high", "curves", never_fitted(too_hot), never_fitted(too_long))

# %% [markdown]
# The medicines differ as well: for the rate, a tenth of it and a *fresh* model; for the epochs, stopping in
# time. The Trainer does that for you. `EarlyStoppingCallback` ends the run when the watched number has not
# improved for `early_stopping_patience` evaluations, and `load_best_model_at_end` puts the best weights back.
#
# Somebody has set it up, with care, every argument spelt out:

# %%
options = {
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_loss",
    "greater_is_better": True,
}
each_epoch = {"save_strategy": "epoch"}  # what shall be put back must have been saved
careful = make_trainer(
    "stop-careful",
    lora_model(every_matrix),
    tokens["few"],
    tokens["fresh"],
    [EarlyStoppingCallback(early_stopping_patience=3)],
    num_train_epochs=epochs,
    learning_rate=rate,
    **(each_epoch | options),
)
stopped = training.train(careful, "stop-careful")


# %%
def kept_epoch(trainer):
    """The epoch whose weights the Trainer put back, counted from 1."""
    return round(trainer.state.best_global_step / trainer.state.max_steps * epochs)


losses = per_epoch(stopped, "eval_loss")
print("validation loss per epoch:", [round(loss, 3) for loss in losses])
print(f"stopped after epoch {len(losses)}, kept the weights of epoch {kept_epoch(careful)}")

# %% [markdown]
# <!-- asked: D10-T4 -->
# No error, no warning. Is that right? Commit yourself: choose a diagnosis below.

# %%
replies = {
    "choose one": "Look at the four losses, then at the epoch that was kept.",
    "patience too short": (
        "Patience counts epochs without improvement. Did the loss fail to improve in them?"
    ),
    "learning rate too low": (
        "The losses move, and downwards. What does the callback make of that?"
    ),
    "it counts up where it should count down": (
        "Yes. For a loss, smaller is better. Told otherwise, it takes epoch 1 for the summit, "
        "sees three 'worse' epochs and stops, and it puts the weights of epoch 1 back."
    ),
}
widgets.explore(
    lambda diagnosis: print(textwrap.fill(replies[diagnosis], 100)), diagnosis=list(replies)
)

# %% tags=["exercise"] exercise="day10/stopping" answer="stopping" minutes=6 difficulty=1
# The same dictionary of arguments, mended: the run shall end with the weights of the epoch that
# had the lowest loss on new sentences. (What you leave out takes the Trainer's default.)
stopping = ...
# <solution>
stopping = {
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_loss",
    "greater_is_better": False,
}
# </solution>


# %% tags=["check"] exercise="day10/stopping"
def check(answer):
    if not isinstance(answer, dict):
        return f"This is a {type(answer).__name__}. Write a dictionary, as in the cell above: it is unpacked into the arguments."
    if {"num_train_epochs", "learning_rate"} & set(answer):
        return "Epochs and learning rate are given beside your dictionary in the cell below; leave them out."
    args, message = attempt(
        lambda: training.arguments(
            "judge", **({"eval_strategy": "epoch"} | each_epoch | answer)
        )
    )
    if message:
        return f"The Trainer's arguments refuse this: {message}"
    if not args.load_best_model_at_end:
        return "The run would stop in time, and then hand you the weights of its last epoch, which is by definition not the best one."
    metric = str(args.metric_for_best_model).removeprefix("eval_")
    if metric == "accuracy":
        return "You watch accuracy. It hardly moves while the loss climbs, as Day 5 showed, and the task asks for the lowest loss."
    if metric != "loss":
        return f"No evaluation reports `eval_{metric}`: the run would stop with a KeyError after its first epoch. Which number do you want to watch?"
    if args.greater_is_better:
        return (
            "It still hunts for the greatest loss: one argument tells it that more is better."
        )
    usual = training.arguments("judge", eval_strategy="epoch", **each_epoch).to_dict()
    asked = {"load_best_model_at_end", "metric_for_best_model", "greater_is_better"}
    asked |= {"save_total_limit"}
    more = [name for name, value in args.to_dict().items() if usual[name] != value]
    if more := [name for name in more if name not in asked]:
        return f"The weights would be the right ones, but your dictionary also changes {', '.join(more)}, and then this run is no longer the one above, mended. Leave that out."
    return None


def agrees(expected, found):
    def meaning(answer):
        chosen = {"eval_strategy": "epoch"} | each_epoch | answer
        args = training.arguments("judge", **chosen).to_dict()
        args["metric_for_best_model"] = str(args["metric_for_best_model"]).removeprefix("eval_")
        return args | {"save_total_limit": None}

    wanted, (made, _) = meaning(expected), attempt(lambda: meaning(found))
    return made == wanted


hints = [
    "Three arguments, and one of them contradicts another.",
    "A loss is better when it is smaller.",
    "Either say so with `greater_is_better`, or leave that one out: for names that end in `loss` the Trainer knows.",
]
misconceptions = [
    (
        'stopping = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": True}',
        "hunts for the greatest loss",
    ),
    (
        'stopping = {"load_best_model_at_end": False, "metric_for_best_model": "eval_loss", "greater_is_better": False}',
        "last epoch",
    ),
    (
        'stopping = {"load_best_model_at_end": True, "metric_for_best_model": "eval_accuracy", "greater_is_better": True}',
        "hardly moves",
    ),
    (
        'stopping = {"load_best_model_at_end": True, "metric_for_best_model": "train_loss", "greater_is_better": False}',
        "KeyError",
    ),
    ('stopping = "eval_loss"', "Write a dictionary"),
]

# %%
mended = make_trainer(
    "stop-mended",
    lora_model(every_matrix),
    tokens["few"],
    tokens["fresh"],
    [EarlyStoppingCallback(early_stopping_patience=3)],
    num_train_epochs=epochs,
    learning_rate=rate,
    **(each_epoch | stopping),
)
in_time = training.train(mended, "stop-mended")
kept = kept_epoch(mended)

# %%
best_losses, right = per_epoch(in_time, "eval_loss"), per_epoch(in_time, "eval_accuracy")
print(f"stopped after epoch {len(best_losses)} of {epochs}, kept epoch {kept}")
print(f"{'':22}loss on new sentences   accuracy")
print(f"{'kept':<22}{best_losses[kept - 1]:>21.3f}{right[kept - 1]:>11.1%}")
end_loss = per_epoch(too_long, "eval_fresh_loss")[-1]
end_right = per_epoch(too_long, "eval_fresh_accuracy")[-1]
print(f"{'after all epochs':<22}{end_loss:>21.3f}{end_right:>11.1%}")

# %% [markdown]
# Compare the two columns before you praise the medicine. Early stopping repairs the *loss*, which means: how
# sure the model is when it is wrong. On so few sentences the accuracy says little about it.
#
# And these sentences have now chosen the epoch, so at that epoch they cannot complain. An alarm that shall be able to
# ring must ask somebody who chose nothing: the jury. Are the weights that you *hold in the end* clearly worse, to
# the jury, than those of its own best epoch?


# %%
def held_loss(trainer, part):
    """The loss of the weights that the trainer holds now."""
    logits = torch.tensor(training.predict(trainer.model, tokens[part]))
    labels = torch.tensor(tokens[part]["labels"][:])
    return torch.nn.functional.cross_entropy(logits, labels).item()


def overfitted(trainer):
    return held_loss(trainer, "jury") > 1.1 * min(jury_losses)


jury_losses = per_epoch(too_long, "eval_jury_loss")
print(
    f"the jury: {min(jury_losses):.3f} in its best epoch; {held_loss(calm, 'jury'):.3f} after "
    f"all epochs; {held_loss(mended, 'jury'):.3f} for what early stopping kept"
)

# %%
case("trained too long", "curves", overfitted(calm), overfitted(mended))
case(
    "stopping upside down",
    "curves",
    held_loss(careful, "fresh") > 1.01 * min(losses),
    held_loss(mended, "fresh") > 1.01 * min(best_losses),
)

# %% [markdown]
# ## Out of memory, and accumulating gradients
#
# <!-- asked: D10-T5 -->
# When a training runs out of memory in a notebook, the kernel goes, and with it everything you had. So we let
# it happen to somebody else: a **child process** with its own small limit. If it dies, this notebook lives.
#
# The work is one step of full fine-tuning, on the longest sentences we have.

# %%
folder = lab.workspace / "day10"
folder.mkdir(parents=True, exist_ok=True)
size = 64
longest = np.argsort([len(text) for text in reviews["train"]["text"]])[-size:]
rows = reviews["train"].select(longest)
batch = dict(
    tokenizer(
        rows["text"][:], padding=True, truncation=True, max_length=64, return_tensors="pt"
    )
)
batch["labels"] = torch.tensor(rows["label"][:])
torch.save(batch, folder / "batch.pt")
print({name: tuple(part.shape) for name, part in batch.items()})

# %% [markdown]
# First half of the child's program: the limit. On Linux the operating system enforces it, on a GPU PyTorch
# does, and elsewhere a watchman looks at the memory and pulls the plug.

# %%
limit = '''
import os, sys, threading, time, torch

def impose(mib, device):
    """Allow this process so many MiB more than it has now."""
    if device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        most = torch.cuda.memory_reserved() + (mib << 20)
        torch.cuda.set_per_process_memory_fraction(most / total)
    elif sys.platform == "linux":
        import resource
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + (mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    else:
        threading.Thread(target=watch, args=[mib], daemon=True).start()
'''

# %%
limit += """
def watch(mib):
    import psutil
    end = psutil.Process().memory_info().rss + (mib << 20)
    while psutil.Process().memory_info().rss < end:
        time.sleep(0.005)
    os._exit(137)
"""

# %% [markdown]
# Second half: the step. It cuts the batch into parts of `micro` sentences, and hands each part's share of the
# loss backward. With one part, it is an ordinary step.

# %%
step = """
from transformers import AutoModelForSequenceClassification

source, file, device, mib, micro, out = sys.argv[1:]
micro = int(micro)
torch.manual_seed(0)
model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=2)
model = model.to(device).eval()
batch = {name: part.to(device) for name, part in torch.load(file, weights_only=True).items()}
first = {name: part[:1] for name, part in batch.items()}
model(**first).loss.backward()  # what a first step sets up
model.zero_grad()
impose(int(mib), device)
starts = range(0, len(batch["labels"]), micro)
parts = [{name: part[at : at + micro] for name, part in batch.items()} for at in starts]
for part in parts:
    (model(**part).loss / len(parts)).backward()
torch.save(torch.cat([weight.grad.flatten() for weight in model.parameters()]).cpu(), out)
print(len(parts), "x", micro, "sentences: the step is done")
"""

# %%
written = (folder / "one_step.py").write_text(limit + step, encoding="utf-8")


# %%
def child(mib, micro):
    """Run the step in a process that may take `mib` MiB more; did it get through?"""
    out = folder / f"gradient-{micro}.pt"
    out.unlink(missing_ok=True)
    program = [sys.executable, folder / "one_step.py", models.source("encoder")]
    options = [folder / "batch.pt", settings.device(), str(mib), str(micro), out]
    done = subprocess.run([*program, *options], capture_output=True, text=True, check=False)
    text = done.stdout if done.returncode == 0 else done.stderr
    last = (text.strip().splitlines() or ["(not a word)"])[-1]
    print(textwrap.fill(f"exit code {done.returncode}: {last}", 100, break_long_words=False))
    return done.returncode == 0


allowed = 400
whole_fits = child(allowed, size)

# %% [markdown]
# This notebook is still alive. The message names the piece that did not fit any more, and that one may be small.
# What filled the memory before it?
#
# Day 6 counted: weights, gradients, optimiser state, and the **activations** that the forward pass leaves for the
# way back. Only those depend on the batch. How many sentences at once leave room for the gradients as well?

# %%
whole = AutoModelForSequenceClassification.from_pretrained(
    models.source("encoder"), num_labels=2
)
sizes = [2**power for power in range(int(math.log2(size)) + 1)]
one, two = (
    memory.account(whole, batch={k: v[:n] for k, v in batch.items()}).activations
    for n in (1, 2)
)
kept_bytes = [one + (n - 1) * (two - one) for n in sizes]  # each further sentence adds the same
gradient_bytes = sum(weight.nbytes for weight in whole.parameters())


# %%
def fits(at_once=8, limit_mib=allowed):
    needed = (kept_bytes[sizes.index(at_once)] + gradient_bytes) / 2**20
    verdict = "fits" if needed < limit_mib else "does not fit"
    title = f"{at_once} at once: {needed:.0f} MiB, which {verdict} into {limit_mib}"
    bars = [(kept + gradient_bytes) / 2**20 for kept in kept_bytes]
    line = {"reference": limit_mib, "reference_label": "limit"}
    captions = {"xlabel": "activations and gradients (MiB)", "ylabel": "sentences at once"}
    figure = plots.bars([str(n) for n in sizes], bars, title=title, **line, **captions)
    plots.show(
        figure, alt=f"Memory by the number of sentences at once, with the limit. {title}."
    )


widgets.explore(fits, at_once=sizes, limit_mib=(100, 2000, 50))

# %% [markdown]
# <!-- asked: D10-T6 -->
# So fewer at once. But a smaller batch is another training: noisier gradients, other learning rate. **Gradient
# accumulation** keeps the large batch and pays in time only: send the parts through one after the other, let
# their gradients add up, and take one step at the end. The claim is that the sum *equals* the large batch's
# gradient. Write it, and prove it.


# %% tags=["exercise"] exercise="day10/accumulate" answer="accumulate" minutes=10 difficulty=2
# parts: a list of equally large batches (dictionaries); model(**part).loss is the mean over
# that part. Afterwards each weight's .grad shall hold the gradient of the mean over ALL
# examples, and no more than one part's activations may be in memory at a time. Gradients of an
# earlier step may still lie around. No step here.
def accumulate(model, parts): ...


# <solution>
def accumulate(model, parts):
    model.zero_grad()
    for part in parts:
        (model(**part).loss / len(parts)).backward()


# </solution>


# %% tags=["check"] exercise="day10/accumulate"
class Toy(torch.nn.Module):
    """A small classifier that keeps count: forward passes, sentences at once, when gradients came."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(3, 2)
        self.forwards, self.order, self.largest = 0, [], 0

    def forward(self, x, labels):
        from types import SimpleNamespace

        self.forwards, self.largest = self.forwards + 1, max(self.largest, len(x))
        loss = torch.nn.functional.cross_entropy(self.layer(x), labels)
        if loss.requires_grad:
            loss.register_hook(lambda _: self.order.append(self.forwards))
        return SimpleNamespace(loss=loss)


def check(answer):
    draw = torch.Generator().manual_seed(1)
    x, labels = torch.randn(8, 3, generator=draw), torch.tensor([0, 1, 1, 0, 1, 1, 0, 0])
    parts = [{"x": x[at : at + 2], "labels": labels[at : at + 2]} for at in range(0, 8, 2)]

    def gradient(run, model):
        run(model)
        return None if model.layer.weight.grad is None else model.layer.weight.grad.clone()

    wanted = gradient(lambda model: model(x, labels).loss.backward(), Toy())
    last = gradient(lambda model: model(**parts[-1]).loss.backward(), Toy())
    toy = Toy()
    before = toy.layer.weight.detach().clone()
    made = gradient(lambda model: answer(model, parts), toy)

    def same(other):
        return torch.allclose(made, other, atol=1e-6)

    if not torch.equal(before, toy.layer.weight.detach()):
        return "The weights have moved. The step comes later and belongs to the optimiser; here only gradients are collected."
    if made is None or same(torch.zeros_like(wanted)):
        return "When you are done there is no gradient: was it cleared after the last part, or never computed?"
    if same(4 * wanted):
        return "Four parts, and a gradient four times too long: each part's loss is already a mean. What is the mean of four means?"
    if same(last) or same(last / 4):
        return "Only the last part's gradient is left. Something inside the loop wipes out what the parts before have added."
    if not same(wanted):
        return f"For four parts of two examples the gradient is not the large batch's: it begins with {made.flatten()[0]:.4f} instead of {wanted.flatten()[0]:.4f}. We do not recognise the mistake. With equal parts, the mean over all examples is the mean of the parts' means."
    if toy.largest > 2:
        return "The gradient is right, but you put the parts together again: the model saw the whole batch at once, and so did the memory."
    if toy.order[0] > 1:
        return f"The gradient is right, but {toy.forwards} forward passes came before the first backward pass: all their activations lay in memory at once, as many as the large batch's. Go backward part by part."
    stale = Toy()
    stale.layer.weight.grad = torch.ones_like(wanted)
    if not torch.allclose(
        gradient(lambda model: answer(model, parts), stale), wanted, atol=1e-6
    ):
        return "A gradient that an earlier step had left was added to yours. Begin with none."
    return None


def inputs(draw):
    for count, size, stale in ((1, 3, True), (2, 4, False), (3, 1, True), (5, 2, True)):
        x = torch.tensor(draw.normal(size=(count, size, 3)), dtype=torch.float32)
        labels = torch.tensor(draw.integers(0, 2, (count, size)))
        parts = [{"x": one, "labels": two} for one, two in zip(x, labels, strict=True)]
        yield parts, stale


def trial(answer, parts, stale):
    model = Toy(seed=3)
    if stale:
        model.layer.weight.grad = torch.full_like(model.layer.weight, 0.5)
    answer(model, parts)
    weights = [weight.detach() for weight in model.parameters()]
    gradients = [
        None if w.grad is None else w.grad.round(decimals=5) for w in model.parameters()
    ]
    memory_used = {"largest": model.largest, "forwards before a backward": model.order[:1]}
    return {"gradients": gradients, "weights": weights, **memory_used}


def agrees(expected, found):
    def near(one, other):
        return other is not None and torch.allclose(one, other, atol=3e-5)

    rest = {"largest", "forwards before a backward"}
    lists = all(
        all(map(near, expected[name], found[name])) for name in ("gradients", "weights")
    )
    return lists and all(expected[name] == found[name] for name in rest)


hints = [
    "backward() adds to .grad; it does not replace it. That is the whole trick, and the reason for zero_grad.",
    "Once before the loop: model.zero_grad(). In the loop: forward, then backward of that part's share.",
    "A part's share of the mean over all is its own mean divided by the number of parts.",
]
misconceptions = [
    (
        "def accumulate(model, parts):\n    model.zero_grad()\n    for part in parts:\n        model(**part).loss.backward()",
        "four times too long",
    ),
    (
        "def accumulate(model, parts):\n    for part in parts:\n        model.zero_grad()\n        (model(**part).loss / len(parts)).backward()",
        "Only the last part",
    ),
    (
        "def accumulate(model, parts):\n    model.zero_grad()\n    (sum(model(**part).loss for part in parts) / len(parts)).backward()",
        "forward passes came before",
    ),
    (
        "def accumulate(model, parts):\n    for part in parts:\n        (model(**part).loss / len(parts)).backward()",
        "an earlier step had left",
    ),
    (
        "def accumulate(model, parts):\n    for part in parts:\n        (model(**part).loss / len(parts)).backward()\n    model.zero_grad()",
        "there is no gradient",
    ),
]


# %%
def gradient_of(model):
    return torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )


def distance(one, other):
    """Length of the difference of two gradients, as a share of the second one's length."""
    return ((one - other).norm() / other.norm()).item()


# %%
whole.eval()  # no dropout: the dice would fall differently for parts
small = {name: part[:16] for name, part in batch.items()}
accumulate(whole, [small])
at_once = gradient_of(whole).clone()
accumulate(
    whole, [{name: part[at : at + 4] for name, part in small.items()} for at in range(0, 16, 4)]
)
print(
    "4 parts of 4 against 16 at once: "
    f"the gradients differ by {distance(gradient_of(whole), at_once):.0e}"
)

# %% [markdown]
# Equal, up to the last digits of 32-bit arithmetic, which adds in another order. Back to the child. The same
# limit as before, eight sentences at a time; then, to compare, once more all at once with no limit to speak of.

# %%
parts_fit = child(allowed, 8)
child(100_000, size)
small_steps, one_step = (
    torch.load(folder / f"gradient-{micro}.pt", weights_only=True) for micro in (8, size)
)
rescued = distance(small_steps, one_step)
print(f"The rescued step and the one that needed all the memory differ by {rescued:.0e}.")
case("out of memory", "message", not whole_fits, not parts_fit)

# %% [markdown]
# A word about what you will see elsewhere. On a GPU the message reads `CUDA out of memory`. If the operating
# system itself runs dry, it does not write anything: it kills the largest process (exit code -9 or 137), and
# JupyterLab says that *the kernel appears to have died*. The medicine is the same.
#
# In practice nobody writes the loop; `TrainingArguments` has `gradient_accumulation_steps`. Prove that one too. One
# step on 16 sentences at once, and one on 4 × 4:


# %%
def first_step(at_once, parts, **options):
    args = training.arguments(
        f"first-step-{at_once}",
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=parts,
        max_steps=1,
        logging_steps=1,
        save_strategy="no",
        learning_rate=1e-3,
        train_sampling_strategy="sequential",
    )
    trainer = Trainer(
        model=lora_model(every_matrix),
        args=args,
        train_dataset=tokens["few"].select(range(16)),
        data_collator=collator,
        **options,
    )
    return training.train(trainer, f"first-step-{at_once}").history[0]


# %%
in_one, in_four = first_step(16, 1), first_step(4, 4)
for name, row in {"16 at once": in_one, "4 × 4": in_four}.items():
    print(f"{name:<12} loss {row['loss']:.3f}   gradient norm {row['grad_norm']:.3f}")
length_ratio = in_four["grad_norm"] / in_one["grad_norm"]

# %% [markdown]
# The same sentences, the same model, and the gradient is several times as long. The *start* look would have
# told you: a fresh head on two classes begins near $\ln 2$, whatever the batch. What has happened?

# %%
replies = {
    "choose one": "Compare the two losses, and the two norms. Which number is their ratio?",
    "the learning rate is scaled up": (
        "Neither the loss nor the gradient of a first step depends on the learning rate."
    ),
    "the parts are added, and nobody divides": (
        "Yes. The sum of four means, as in the first wrong answer to your exercise. "
        "But this time it is a library that everybody uses."
    ),
    "the data are read four times": "Then the loss, a mean, would be the same. It is larger.",
}
widgets.explore(
    lambda diagnosis: print(textwrap.fill(replies[diagnosis], 100)), diagnosis=list(replies)
)

# %% [markdown]
# The mechanism, because it is a lesson in itself. In October 2024 people noticed that naive averaging is wrong
# for *tokens* (we come to that in a minute). Since then the Trainer counts the items of all parts together and
# passes that number into the model, which is to divide by it. How does it know that a model does so? It looks
# whether `forward` accepts keyword arguments of any name. This classifier's does, *and ignores this one*. So
# the Trainer thinks that the model divides, and the model thinks that the Trainer does.
#
# The makers know of it (issue 47688 of transformers). Why did hardly anybody scream before? AdamW divides each
# gradient by its own size, so the steps come out nearly the same. What does change is everything that looks at the
# length: clipping at `max_grad_norm`, your charts, and SGD altogether.
#
# You can mend it from outside: `Trainer(compute_loss_func=…)` takes a function that is given the number. With
# it the loss is right for any parts, also for a last one that is smaller than the others.


# %% tags=["exercise"] exercise="day10/summed-loss" answer="summed_loss" minutes=9 difficulty=2
# outputs.logits: (n, classes).  labels: (n,).  num_items_in_batch: examples in ALL parts of
# this step together, or None when nothing is accumulated (in evaluation).
# Return this part's contribution: added up over all parts, the contributions are the mean
# cross-entropy.
def summed_loss(outputs, labels, num_items_in_batch=None): ...


# <solution>
def summed_loss(outputs, labels, num_items_in_batch=None):
    total = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


# </solution>


# %% tags=["check"] exercise="day10/summed-loss"
def check(answer):
    from transformers.modeling_outputs import SequenceClassifierOutput

    draw = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(6, 2, generator=draw), torch.tensor([0, 1, 1, 0, 1, 0])
    mean = torch.nn.functional.cross_entropy(logits, labels).item()

    def contribution(rows, count):
        made = answer(
            SequenceClassifierOutput(logits=logits[rows]),
            labels[rows],
            num_items_in_batch=count,
        )
        return float(made)

    leaf = logits.clone().requires_grad_(True)
    if not getattr(
        answer(SequenceClassifierOutput(logits=leaf), labels, 6), "requires_grad", False
    ):
        return "The Trainer calls backward() on what you return, and from yours no gradient flows back to the logits: stay in torch, without item(), detach() or NumPy."

    uneven = contribution(slice(0, 4), 6) + contribution(slice(4, 6), 6)
    parts_means = sum(
        torch.nn.functional.cross_entropy(logits[rows], labels[rows]).item()
        for rows in (slice(0, 4), slice(4, 6))
    )
    if math.isclose(uneven, 6 * mean, rel_tol=1e-4):
        return "You add up the losses of the examples, and never divide: with 16 examples the gradient would be 16 times too long."
    if math.isclose(uneven, parts_means, rel_tol=1e-4):
        return "Each part contributes its own mean, so two parts give about twice the loss: that is the very bug. Divide by the examples of all parts together."
    if math.isclose(uneven, parts_means / 2, rel_tol=1e-4):
        return "You average the parts' means. A part of two examples then counts as much as a part of four: right for equal parts only."
    if not math.isclose(uneven, mean, rel_tol=1e-4):
        return f"Parts of 4 and 2 examples contribute {uneven:.3f} together; the mean over the six is {mean:.3f}."
    alone, message = attempt(lambda: contribution(slice(0, 6), None))
    if message:
        return f"Without accumulation the number is None, and your function stops ({message}). Divide by the examples you were given then."
    if not math.isclose(alone, mean, rel_tol=1e-4):
        return "Right when the number is given. When it is None, the six examples at hand are all there are: their mean is wanted."
    if not math.isclose(contribution(slice(0, 6), torch.tensor(6)), mean, rel_tol=1e-4):
        return "The Trainer passes the number as a tensor, and then your result is another one."
    return None


def inputs(draw):
    for classes, count in ((2, 6), (3, 1), (5, 4)):
        logits = torch.tensor(draw.normal(0, 2, (count, classes)), dtype=torch.float32)
        labels = torch.tensor(draw.integers(0, classes, count))
        for together in (None, count, count + 7, torch.tensor(3 * count)):
            yield logits, labels, together


def trial(answer, logits, labels, together):
    from transformers.modeling_outputs import SequenceClassifierOutput

    leaf = logits.clone().requires_grad_(True)
    made = answer(SequenceClassifierOutput(logits=leaf), labels, num_items_in_batch=together)
    made.backward()
    return made.item(), leaf.grad


def agrees(expected, found):
    return math.isclose(expected[0], found[0], rel_tol=1e-4) and torch.allclose(
        expected[1], found[1], rtol=1e-4, atol=1e-6
    )


hints = [
    'torch.nn.functional.cross_entropy(…, reduction="sum") adds up instead of averaging.',
    "The sum over this part, divided by the number of examples in all parts: added over the parts, that is the mean.",
    "When num_items_in_batch is None, divide by len(labels).",
]
misconceptions = [
    (
        "def summed_loss(outputs, labels, num_items_in_batch=None):\n    return torch.nn.functional.cross_entropy(outputs.logits, labels)",
        "the very bug",
    ),
    (
        'def summed_loss(outputs, labels, num_items_in_batch=None):\n    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")',
        "never divide",
    ),
    (
        "def summed_loss(outputs, labels, num_items_in_batch=None):\n    return torch.nn.functional.cross_entropy(outputs.logits, labels) / 2",
        "average the parts' means",
    ),
    (
        'def summed_loss(outputs, labels, num_items_in_batch=None):\n    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch',
        "the number is None",
    ),
]

# %%
in_four_mended = first_step(4, 4, compute_loss_func=summed_loss)
print(f"16 at once    loss {in_one['loss']:.3f}   gradient norm {in_one['grad_norm']:.3f}")
print(
    f"4 × 4 mended  loss {in_four_mended['loss']:.3f} "
    f"  gradient norm {in_four_mended['grad_norm']:.3f}"
)


def odd_start(row, classes=2):
    return abs(row["loss"] - math.log(classes)) > 0.3


case("parts added, not averaged", "start", odd_start(in_four), odd_start(in_four_mended))

# %% [markdown]
# Now the tokens. A language model's loss is a mean over *tokens*, and texts differ in length. Take the headlines
# of eight news articles (the model shall continue an article with its headline; the article itself does not
# count). Sorted by length, two at a time:

# %%
articles = data.prepared("topics")
writer = AutoTokenizer.from_pretrained(models.source("decoder"))
shown_words, width = settings.pick(smoke=20, cpu=30), settings.pick(smoke=64, cpu=96)


# %%
def lesson_of(article):
    """Token ids of `article + headline + end of text`, and how many of them are the article."""
    prompt = writer(
        "Article: " + " ".join(article["text"].split()[:shown_words]) + "\nHeadline:"
    )["input_ids"]
    headline = writer(" " + article["headline"])["input_ids"] + [writer.eos_token_id]
    return (prompt + headline)[:width], len(prompt)


def padded(lessons):
    """input_ids and attention_mask (n, width), padded on the right; the n prompt lengths."""
    ids, mask = (
        torch.full((len(lessons), width), writer.pad_token_id),
        torch.zeros(len(lessons), width).long(),
    )
    for row, (lesson, _) in enumerate(lessons):
        ids[row, : len(lesson)], mask[row, : len(lesson)] = torch.tensor(lesson), 1
    return ids, mask, [prompt for _, prompt in lessons]


# %%
eight = sorted(
    map(lesson_of, articles["train"].select(range(8))), key=lambda pair: len(pair[0]) - pair[1]
)
ids, mask, prompts = padded(eight)
place = torch.arange(width)
counts_here = (mask == 1) & (place >= torch.tensor(prompts)[:, None])
labels = ids.masked_fill(
    ~counts_here, -100
)  # -100 tells PyTorch's loss: do not count this place
pairs = [slice(at, at + 2) for at in range(0, 8, 2)]
print("tokens that count, in each pair:", [int(counts_here[pair].sum()) for pair in pairs])

# %%
teller = AutoModelForCausalLM.from_pretrained(models.source("decoder"), dtype=torch.float32)
weight = teller.requires_grad_(False).model.layers[-1].mlp.down_proj.weight.requires_grad_(True)


def token_gradient(parts, total=None):
    """Gradient of one matrix: each part weighs the same, or (with `total`) each token does."""
    weight.grad = None
    count = {} if total is None else {"num_items_in_batch": total}
    for part in parts:
        loss = teller(
            input_ids=ids[part], attention_mask=mask[part], labels=labels[part], **count
        ).loss
        (loss / (1 if count else len(parts))).backward()
    return weight.grad.clone()


# %%
together = token_gradient([slice(0, 8)])
naive = distance(token_gradient(pairs), together)
by_token = distance(token_gradient(pairs, counts_here.sum()), together)
print(
    f"mean of the pairs' means: off by {naive:.1%}; "
    f" divided by all tokens: off by {by_token:.0e}"
)
teller = weight = None  # half a gigabyte that nobody needs any more

# %% [markdown]
# With parts of unequal length, the naive mean is another gradient: short headlines count for more than their
# tokens. This model *does* read `num_items_in_batch`, and with it accumulation is exact again, so for language
# models the Trainer is right. The rule fits both cases: **add up first, divide once, by everything.**

# %% [markdown]
# ## Leakage, and splitting properly
#
# On Day 2 a classifier that only remembers was flattered by copies. Does that also happen to an honest model on
# natural copies? The news articles hold some: the same article, filed twice. Random splits, TF-IDF, and again
# the score on *all* test articles beside the one on those that have no copy in training.

# %%
everything = data.load("topics")
openings = np.array([" ".join(text.split()[:60]) for text in everything["text"]], dtype=object)
topics, prints = (
    np.array(everything["label"][:]),
    np.array([data.text_hash(text) for text in everything["text"]]),
)


def naive_split(seed):
    order = np.random.default_rng(seed).permutation(len(openings))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
    right = model.fit(openings[train], topics[train]).predict(openings[test]) == topics[test]
    known = np.isin(prints[test], prints[train])
    return known.mean(), right.mean(), right[~known].mean()


# %%
splits = np.array([naive_split(seed) for seed in range(settings.pick(smoke=3, cpu=10))])
known, reported, honest = splits.mean(axis=0)
natural_gain = 100 * (splits[:, 1] - splits[:, 2]).mean()
print(f"{known:.1%} of the test articles have a copy in training.")
print(
    f"reported {reported:.2%}, honest {honest:.2%}: "
    f"{natural_gain:+.2f} points, over {len(splits)} splits"
)

# %% [markdown]
# If that is next to nothing, say so. Where the task is easy, copies have little to give.
#
# Here is how it becomes serious. A team has too few sentences, so they *augment*: each sentence four times, in
# light disguise. They look for exact copies and find none. Then they split.

# %%
unique = reviews["train"].select(range(settings.pick(smoke=32, cpu=120)))
disguises = [str, str.upper, str.title, lambda text: text.replace(" ", "  ")]
augmented = Dataset.from_dict(
    {
        "text": [disguise(text) for text in unique["text"] for disguise in disguises],
        "label": [label for label in unique["label"] for _ in disguises],
    }
).shuffle(seed=lab.seed)
print(f"{len(augmented)} rows, {len(set(augmented['text'][:]))} of them different")

# %%
cut = len(augmented) * 3 // 4
theirs = DatasetDict(
    train=augmented.select(range(cut)), validation=augmented.select(range(cut, len(augmented)))
)
ready = data.tokenize(theirs, tokenizer, max_length=64)
leaky_epochs = settings.pick(smoke=4, cpu=5)

leaky = make_trainer(
    "leaky",
    lora_model(every_matrix),
    ready["train"],
    {"theirs": ready["validation"], "fresh": tokens["fresh"]},
    num_train_epochs=leaky_epochs,
    learning_rate=rate,
)
leak_run = training.train(leaky, "leaky")

# %% [markdown]
# One model, two judges after each epoch: *their* validation part, and sentences that have no relative in
# training.

# %%
judged = {
    "training": per_epoch(leak_run, "loss"),
    "their validation part": per_epoch(leak_run, "eval_theirs_loss"),
    "sentences without relatives": per_epoch(leak_run, "eval_fresh_loss"),
}
scores = {
    name: per_epoch(leak_run, f"eval_{name}_accuracy")[-1] for name in ("theirs", "fresh")
}

# %%
title = f"Their part says {scores['theirs']:.0%}, new sentences say {scores['fresh']:.0%}"
figure = plots.lines(
    range(1, leaky_epochs + 1), judged, title=title, xlabel="epoch", ylabel="loss"
)
plots.show(
    figure,
    alt=f"Loss per epoch: training and the leaky validation part fall together. {title}.",
)

# %% [markdown]
# <!-- asked: D10-T7 -->
# Admire the score, and then look at *their* line. In our run it followed the training loss down, epoch by epoch, while
# the loss on really new sentences did not. **The leak switches off the alarm**: early stopping watches their line,
# where memorising pays and nothing turns. A leak does not only flatter the result, it blinds the tool with which
# you would choose epochs, rank and learning rate.
#
# <!-- asked: D10-T8 -->
# The cure is to let the *text* decide on which side it goes, not its row. Turn the fingerprint into a number,
# and cut on the number. Copies share a fingerprint, so they share a side, also tomorrow, when more data arrive.


# %% tags=["exercise"] exercise="day10/side-of" answer="side_of" minutes=9 difficulty=2
# Return "train" or "validation" for a text: "train" for about 80 % of all texts. It depends on
# the text alone: the same today, tomorrow and on another computer, and the same for copies that
# differ in capitals or spacing. data.text_hash(text) gives a fingerprint of that kind, in
# hexadecimal digits; int(digits, 16) makes it a number.
def side_of(text): ...


# <solution>
def side_of(text):
    return "train" if int(data.text_hash(text), 16) % 100 < 80 else "validation"


# </solution>


# %% tags=["check"] exercise="day10/side-of"
def check(answer):
    import inspect

    texts = [f"sentence number {number} about a film" for number in range(1000)]
    sides = [answer(text) for text in texts]
    odd = next((side for side in sides if side not in ("train", "validation")), None)
    if odd is not None or None in sides:
        return f'Your function returned {odd!r}. It should return "train" or "validation".'
    if sides != [answer(text) for text in texts]:
        return "Asked twice about the same text, it gave two answers. Chance may not decide: a copy would end up on the other side."
    if any(answer(text) != answer(text.upper()) for text in texts):
        return "A shouted copy went to the other side: capitals still count."
    if any(answer(text) != answer("  " + text.replace(" ", "  ")) for text in texts):
        return "A copy with wider spaces went to the other side: white space still counts."
    code = getattr(inspect.unwrap(answer), "__code__", None)
    if {"hash", "__hash__"} & set(getattr(code, "co_names", ())):
        return "Python's own hash() is salted anew at every start: tomorrow the same text would be on another side."
    share = sides.count("train") / len(sides)
    if not 0.75 <= share <= 0.85:
        return f"{share:.0%} of 1,000 texts went to train. It should be about 80 %."
    if len({answer(f"aaaa {number} bbbb") for number in range(1000, 1100)}) == 1:
        return "A hundred texts of one length all went to the same side: the side depends on something other than the whole text."
    return None


def inputs(draw):
    yield [f"{number} good reasons not to see this film" for number in range(300)]
    words = ["a", "dull", "warm", "film", "with", "no", "heart", "two", "fine", "actors", "it"]
    yield [" ".join(draw.choice(words, 9)) for _ in range(300)]


def trial(answer, texts):
    sides = [answer(text) for text in texts]
    copies = {
        "upper": str.upper,
        "title": str.title,
        "wide": lambda text: f" {'   '.join(text.split())}\n",
    }
    return {
        "the two sides": sorted(set(sides)),
        "about 80 % train": 0.7 <= sides.count("train") / len(sides) <= 0.9,
        "asked again": sides == [answer(text) for text in texts],
    } | {
        name: [answer(change(text)) for text in texts] == sides
        for name, change in copies.items()
    }


hints = [
    "A fingerprint behaves like a random number, yet it is always the same for the same text.",
    "int(data.text_hash(text), 16) % 100 is a number from 0 to 99.",
    "80 of these hundred numbers are below 80.",
]
misconceptions = [
    (
        'import random\ndef side_of(text):\n    return "train" if random.random() < 0.8 else "validation"',
        "Asked twice",
    ),
    (
        'import hashlib\ndef side_of(text):\n    return "train" if int(hashlib.sha256(text.encode()).hexdigest(), 16) % 100 < 80 else "validation"',
        "capitals still count",
    ),
    (
        'import hashlib\ndef side_of(text):\n    return "train" if int(hashlib.sha256(text.lower().encode()).hexdigest(), 16) % 100 < 80 else "validation"',
        "white space still counts",
    ),
    (
        'def side_of(text):\n    return "train" if hash(" ".join(text.lower().split())) % 100 < 80 else "validation"',
        "salted",
    ),
    (
        'def side_of(text):\n    return "train" if int(data.text_hash(text), 16) % 100 < 20 else "validation"',
        "should be about 80 %",
    ),
]

# %%
sides = np.array([side_of(text) for text in augmented["text"]])
ours = DatasetDict(
    {side: augmented.select(np.flatnonzero(sides == side)) for side in ("train", "validation")}
)
ready = data.tokenize(ours, tokenizer, max_length=64)
clean = make_trainer(
    "clean-split",
    lora_model(every_matrix),
    ready["train"],
    {"ours": ready["validation"], "fresh": tokens["fresh"]},
    num_train_epochs=leaky_epochs,
    learning_rate=rate,
)
clean_run = training.train(clean, "clean-split")

# %%
for name, run, part, parts in (
    ("split by row", leak_run, "theirs", theirs),
    ("split by hash", clean_run, "ours", ours),
):
    judge, open_air = (per_epoch(run, f"eval_{who}_accuracy")[-1] for who in (part, "fresh"))
    texts = len({data.text_hash(text) for text in parts["validation"]["text"]})
    print(
        f"{name:<14} says {judge:.1%} (on {texts} different texts); "
        f"new sentences say {open_air:.1%}"
    )
leak_points = 100 * (scores["theirs"] - scores["fresh"])
losses_by_hash = per_epoch(clean_run, "eval_ours_loss")
print("validation loss by epoch, split by hash:", [round(loss, 2) for loss in losses_by_hash])
case("copies on both sides", "twins", data.leaks(theirs), data.leaks(ours))

# %% [markdown]
# The score by hash is judged on few different texts, so it wobbles (how much? Day 3's standard error tells you);
# but nothing pushes it upwards any more, and its loss is free to turn. Do not compare the two runs' accuracy on new
# sentences: they were trained on different sentences, and not on equally many.
#
# Augment as much as you like, *after* the split, and only the training part.
#
# ### What no hash can see
#
# A fingerprint finds copies, not *relatives*: a paraphrase, two reviews by one author, two pages of one contract, the
# turns of one chat. A model that has met one of them knows something about the other, and the text does not tell you so.
# Only a **group id** does: author, patient, document, source. Keep it from the first day, and let *it* choose
# the side. Your function can do that, for it takes any text. Here each sentence gets a relative without its first word:

# %%
origin = np.repeat(np.arange(len(unique)), 2)
relatives = [kin for text in unique["text"] for kin in (text, " ".join(text.split()[1:]))]
by_key = {"text": relatives, "origin": [f"sentence {number}" for number in origin]}
for key, values in by_key.items():
    sides = pd.Series([side_of(value) for value in values])
    torn = sides.groupby(origin).nunique().gt(1).mean()
    print(f"split by {key:<6}: {torn:.0%} of the sentences have a relative on the other side")

# %% [markdown]
# For tables there are `GroupShuffleSplit` and `GroupKFold` in scikit-learn. And a whole **source** held back (train on
# three newspapers, test on the fourth) asks what the model will be asked in use: texts from somewhere new.

# %% [markdown]
# ## Five quiet bugs: labels, tokenizer, frozen head, targets, YAML
#
# Five patients, each with the code that made it. First a healthy one, for comparison: LoRA on query and value, on
# more sentences than before.

# %%
study = data.tokenize(
    reviews["train"].select(range(settings.pick(smoke=160, cpu=600))), tokenizer, max_length=64
)
query_value = models.lora_targets(plain_base())
choices = {
    "num_train_epochs": 2,
    "learning_rate": settings.pick(smoke=4e-3, cpu=2e-3),
}


# %%
def study_run(name, model):
    """Train on the study sentences, save the adapter; return the model and its accuracy."""
    training.train(make_trainer(name, model, study, tokens["fresh"], **choices), name)
    model.save_pretrained(folder / name)
    return model, accuracy(model)


def accuracy(model, rows=tokens["fresh"]):
    return float((training.predict(model, rows).argmax(axis=1) == truth).mean())


def file_size(name):
    return (folder / name / "adapter_model.safetensors").stat().st_size


# %%
healthy, healthy_accuracy = study_run("healthy", lora_model(query_value))
print(
    f"healthy: {healthy_accuracy:.1%} of the new sentences right, "
    f"adapter file {file_size('healthy'):,} bytes"
)

# %% [markdown]
# **Patient A.** A colleague writes: "In my notebook it works. I sent you the adapter folder. You load it and get
# what?" We load it five times.

# %%
recipe = LoraConfig(r=8, lora_alpha=16, target_modules=query_value)
model = get_peft_model(plain_base(), recipe)
training.keep_adapters_precise(model)
patient_a, a_accuracy = study_run("patient-a", model)


def loaded(name, seed):
    return PeftModel.from_pretrained(plain_base(seed), folder / name)


reloads = [accuracy(loaded("patient-a", seed)) for seed in range(5)]
print(f"A: in the notebook that trained it {a_accuracy:.1%}")
print("A: loaded from its file, five times:", ", ".join(f"{score:.1%}" for score in reloads))

# %% [markdown]
# **Patient B.** "Same recipe as the healthy one, query and value, copied from a tutorial. Works."

# %%
tutorial = [query_value[0], "v_proj"]
patient_b, b_accuracy = study_run("patient-b", lora_model(tutorial))
print(
    f"B: {b_accuracy:.1%} of the new sentences right, "
    f"adapter file {file_size('patient-b'):,} bytes"
)

# %% [markdown]
# **Patient C.** The healthy model, moved to a server. Somebody has tidied up there: "I put a tokenizer into the
# folder that was made for our kind of text. It is smaller and quicker."

# %%
tokenizer.train_new_from_iterator(
    reviews["train"]["text"][:], vocab_size=8000, show_progress=False
).save_pretrained(folder / "server")
server_tokenizer = AutoTokenizer.from_pretrained(folder / "server")
on_server = data.tokenize(fresh, server_tokenizer, max_length=64)
c_accuracy = accuracy(healthy, on_server)
sure = torch.tensor(training.predict(healthy, on_server)).softmax(dim=1).amax(dim=1).mean()
print(
    f"C: on the server {c_accuracy:.1%} right, "
    f"mean confidence {sure:.0%}; no message of any kind"
)

# %% [markdown]
# **Patient D.** SmolLM2 learns headlines. "Look at that loss! A few steps, and it is nearly perfect."

# %%
pupils = [
    lesson_of(article)
    for article in articles["train"].select(range(settings.pick(smoke=8, cpu=24)))
]
exam = [
    lesson_of(article)
    for article in articles["validation"].select(range(settings.pick(smoke=4, cpu=16)))
]


def as_rows(lessons, label_maker):
    ids, mask, prompts = padded(lessons)
    columns = {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": label_maker(ids, mask, prompts),
    }
    return Dataset.from_dict({name: part.tolist() for name, part in columns.items()})


# %%
def headline_writer(name, label_maker):
    set_seed(lab.seed)
    base = AutoModelForCausalLM.from_pretrained(
        models.source("decoder"), **training.load_options("decoder")
    )
    targets = models.lora_targets(base)
    model = get_peft_model(
        base, LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM")
    )
    training.keep_adapters_precise(model)
    args = training.arguments(
        name,
        num_train_epochs=settings.pick(smoke=1, cpu=2),
        per_device_train_batch_size=4,
        learning_rate=2e-3,
        logging_steps=1,
        save_strategy="no",
    )
    trainer = Trainer(model=model, args=args, train_dataset=as_rows(pupils, label_maker))
    return model, per_epoch(training.train(trainer, name), "loss")


# %%
def their_labels(input_ids, attention_mask, prompt_lengths):
    return input_ids.clone()


patient_d, d_losses = headline_writer("patient-d", their_labels)
print("D: training loss by step:", [round(loss, 2) for loss in d_losses])


# %%
longest_headline = settings.pick(smoke=6, cpu=14)
halves = training.load_options("decoder")["dtype"] == torch.bfloat16
fast_type = {"dtype": torch.bfloat16, "enabled": halves}


# %%
def headlines(model, lessons):
    """What the editor wrote, and what the model writes after the article, greedily."""
    for ids, prompt in lessons:
        start = torch.tensor([ids[:prompt]], device=model.device)
        with torch.inference_mode(), torch.autocast(model.device.type, **fast_type):
            made = model.eval().generate(
                input_ids=start,
                attention_mask=torch.ones_like(start),
                max_new_tokens=longest_headline,
                do_sample=False,
                pad_token_id=writer.pad_token_id,
            )
        yield (
            writer.decode(made[0, prompt:]).strip().splitlines()[:1],
            writer.decode(ids[prompt:-1]).strip(),
        )


# %%
for made, editor in headlines(patient_d, exam[: settings.pick(smoke=1, cpu=3)]):
    print(f"editor: {editor}\n     D: {' '.join(made)}")

# %% [markdown]
# **Patient E.** "I only moved the settings into a file."

# %%
settings_file = folder / "train.yaml"
settings_file.write_text("learning_rate: 2e-4\nnum_train_epochs: 1\n", encoding="utf-8")
config = yaml.safe_load(settings_file.read_text(encoding="utf-8"))


# %%
def from_file(config):
    quiet = {
        "output_dir": str(folder / "e"),
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": settings.device() == "cpu",
    }
    args = TrainingArguments(**config, **quiet, max_steps=1, disable_tqdm=True)
    trainer = Trainer(
        model=lora_model(query_value),
        args=args,
        train_dataset=tokens["few"],
        data_collator=collator,
    )
    trainer.create_optimizer()
    return trainer.optimizer.param_groups[0]["lr"]


_, e_message = attempt(lambda: from_file(config))
print("E:", e_message)

# %% [markdown]
# Five reports. Eight causes to choose from, so three are innocent. Read the code again if you like: the bugs are
# in plain sight.

# %% tags=["exercise"] exercise="day10/quiet-bugs" answer="diagnosis" minutes=10 difficulty=3
# One cause for each patient: {"A": "…", "B": "…", "C": "…", "D": "…", "E": "…"}, out of:
#   "random head, neither trained nor saved"   "half of the targets matched nothing"
#   "padding and prompt count in the loss"     "number read as text"
#   "learning rate too low"                    "test sentences in the training data"
#   "wrong tokenizer"                          "overfitting"
diagnosis = ...
# <solution>
diagnosis = {
    "A": "random head, neither trained nor saved",
    "B": "half of the targets matched nothing",
    "C": "wrong tokenizer",
    "D": "padding and prompt count in the loss",
    "E": "number read as text",
}
# </solution>


# %% tags=["check"] exercise="day10/quiet-bugs"
def check(answer):
    causes = {
        "random head, neither trained nor saved": "then the score would hold in the notebook and change with every load from the file",
        "half of the targets matched nothing": "then part of what the recipe promises would be missing from the file",
        "wrong tokenizer": "then the very same weights would score well with one set of ids and like a coin with another",
        "padding and prompt count in the loss": "then the loss would fall on tokens that are no headline, and the headlines would show little of it",
        "number read as text": "then arithmetic with a setting would fail, and the message would name two types",
        "overfitting": "then training would go much better than new sentences, in one and the same notebook",
        "learning rate too low": "then loss and accuracy would hardly have moved from where they began",
        "test sentences in the training data": "then the score on the sentences at hand would be too good, not too bad",
    }
    facts = {
        "A": "the weights that were trained are in the file. Which layer gives its answer after loading, and where do its numbers come from?",
        "B": f"accuracy looks healthy. But compare {file_size('patient-b'):,} bytes with the healthy {file_size('healthy'):,}.",
        "C": f"the model is the healthy one, at {healthy_accuracy:.0%} here. Only one thing is different on the server.",
        "D": "the loss falls beautifully, and the headlines do not look it. Which tokens does `their_labels` count?",
        "E": f"the message says: {e_message[:90]}",
    }
    truths = dict(zip("ABCDE", list(causes)[:5], strict=True))
    if not isinstance(answer, dict) or set(answer) != set(truths):
        return 'A dictionary with five letters is wanted: {"A": "…", "B": "…", "C": "…", "D": "…", "E": "…"}.'
    for letter, cause in answer.items():
        if cause not in causes:
            return f"{cause!r} for patient {letter} is not on the list. Copy one of the eight causes."
    wrong = [letter for letter in truths if answer[letter] != truths[letter]]
    if not wrong:
        return None
    letter = wrong[0]
    return f"{5 - len(wrong)} of 5 are right. Patient {letter}: if it were {answer[letter]!r}, {causes[answer[letter]]}. Here {facts[letter]}"


hints = [
    "E has a message; it names two types. C's weights are fine, they have just scored well a few cells above.",
    "Compare A's LoraConfig with the one inside lora_model, argument by argument. Compare B's target names with query_value.",
    "D: print writer.decode of the places at which `their_labels` is not -100. How much of it is a headline?",
]
misconceptions = [
    (
        'diagnosis = {"A": "overfitting", "B": "half of the targets matched nothing", "C": "wrong tokenizer", "D": "padding and prompt count in the loss", "E": "number read as text"}',
        "Patient A: if it were 'overfitting'",
    ),
    (
        'diagnosis = {"A": "random head, neither trained nor saved", "B": "learning rate too low", "C": "wrong tokenizer", "D": "padding and prompt count in the loss", "E": "number read as text"}',
        "Patient B: if it were 'learning rate too low'",
    ),
    (
        'diagnosis = {"A": "random head, neither trained nor saved", "B": "half of the targets matched nothing", "C": "random head, neither trained nor saved", "D": "padding and prompt count in the loss", "E": "number read as text"}',
        "Patient C: if it were",
    ),
    (
        'diagnosis = {"A": "random head, neither trained nor saved", "B": "half of the targets matched nothing", "C": "wrong tokenizer", "D": "test sentences in the training data", "E": "number read as text"}',
        "Patient D: if it were",
    ),
    ('diagnosis = ["overfitting"] * 5', "five letters"),
]

# %% [markdown]
# ### A: a head that nobody keeps
#
# The recipe has no `task_type`. So PEFT does not know that the fresh head must be trained, freezes it with
# everything else, and does not save it either. The adapter then learns to turn the sentences so that *this one
# random head* reads them well. Load the file beside another random head, and
# the answer depends on how that one happens to point.

# %%
figure = plots.dots(
    [a_accuracy, *reloads],
    ["in its notebook", *(f"loaded, head {seed}" for seed in range(5))],
    reference=0.5,
    reference_label="a coin",
    xlabel="accuracy on new sentences",
    title=f"One adapter file, five heads: {min(reloads):.0%} to {max(reloads):.0%}",
)
plots.show(
    figure,
    alt=(
        f"Accuracy in the notebook {a_accuracy:.0%}; "
        f"after loading {min(reloads):.0%} to {max(reloads):.0%}."
    ),
)

# %% [markdown]
# A score far *below* a coin is no better news than one at a coin, by the way: that head points the other way
# round. The mended recipe says `task_type="SEQ_CLS"` (or `modules_to_save=["classifier"]`), and the look is a
# list of what trains.


# %%
def head_is_frozen(model):
    head = {name for name, _ in model.get_base_model().named_children() if "classifier" in name}
    trained = [name for name, part in model.named_parameters() if part.requires_grad]
    return not any(f"{part}." in name for part in head for name in trained)


again = [accuracy(loaded("healthy", seed)) for seed in range(5)]
print(
    "healthy, loaded five times beside five heads:",
    ", ".join(f"{score:.1%}" for score in again),
)
case("frozen head", "what trains", head_is_frozen(patient_a), head_is_frozen(healthy))

# %% [markdown]
# ### B: a name that matches nothing, and one that matches too much
#
# `v_proj` belongs to another family of models. If *no* name fits, PEFT stops with an error. If one of two fits, it
# is content, and says nothing. Half of the recipe is missing, and one accuracy cannot tell you. (Whether half costs
# anything is a question for Day 8's methods.)


# %%
def unmatched(model, asked):
    """Names you asked for and that fit no layer."""
    adapted = {name.rpartition(".")[2] for name in model.targeted_module_names}
    return sorted(set(asked) - adapted)


# %%
_, nothing_message = attempt(lambda: lora_model(["q_proj", "v_proj"]))
print(textwrap.shorten(nothing_message, 150))
print("B asked for", tutorial, "and no layer is called", unmatched(patient_b, tutorial))
case(
    "targets that match nothing",
    "message",
    nothing_message,
    attempt(lambda: lora_model(query_value))[1],
)
case(
    "half of the targets",
    "what trains",
    unmatched(patient_b, tutorial),
    unmatched(healthy, query_value),
)

# %% [markdown]
# The opposite happens as well. Somebody wants to adapt what comes out of attention, sees that in a BERT this
# layer is called `dense`, and writes so. Count what that name fits:

# %%
bert = models.build_empty("bert-base")
wide = get_peft_model(bert, LoraConfig(r=8, target_modules=["dense"], task_type="SEQ_CLS"))
kinds = pd.Series(
    [
        re.sub(r"layer\.\d+\.", "", name.partition("bert.")[2])
        for name in wide.targeted_module_names
    ]
)
print(kinds.value_counts().to_string())

# %% [markdown]
# Only the first row was wanted. `target_modules=["attention.output.dense"]` would have said so: PEFT compares the
# *end* of each name. No error can warn you of either; the list of what was adapted can.
#
# ### C: ids without meaning
#
# A tokenizer turns words into row numbers of an embedding table. Another tokenizer has other numbers, and the
# model looks up whatever stands in those rows. As long as the numbers exist in the table, nothing can fail. So
# decode one example with the tokenizer *the model was trained with*:

# %%
sentence = "A small miracle of a film, and very funny."
for name, maker in (("its own tokenizer", tokenizer), ("the server's", server_tokenizer)):
    print(f"{name:<18} the model reads: {tokenizer.decode(maker(sentence)['input_ids'])}")


def garbled(maker, text):
    """The model's own tokenizer does not get the words back."""
    back = tokenizer.decode(maker(text)["input_ids"], skip_special_tokens=True)
    meant, back = set(text.lower().split()), set(back.lower().split())
    return len(back & meant) < 0.5 * len(meant)


look_c, look_healthy = garbled(server_tokenizer, sentence), garbled(tokenizer, sentence)
case("wrong tokenizer", "batch", look_c, look_healthy)
print(
    f"{c_accuracy:.1%} right with the server's tokenizer, {accuracy(healthy):.1%} with its own"
)

# %% [markdown]
# A vocabulary *larger* than the table would have been a kindness: the first id beyond its end stops the run. The
# cure is a habit: `tokenizer.save_pretrained` into the same folder as the adapter, and load both from there.
#
# ### D: a loss about nothing
#
# In the labels of patient D every place counts: the article, which the model only has to read, and the padding,
# which is the same token again and again. What share of the loss is about headlines?

# %%
ids, mask, prompts = padded(pupils)
counted = their_labels(ids, mask, prompts) != -100
parts = {
    "padding": mask == 0,
    "article": (place < torch.tensor(prompts)[:, None]) & (mask == 1),
    "headline": (place >= torch.tensor(prompts)[:, None]) & (mask == 1),
}
shares = {
    name: (counted & where).sum().item() / counted.sum().item() for name, where in parts.items()
}
print(", ".join(f"{name} {share:.0%}" for name, share in shares.items()))

# %% [markdown]
# Padding after padding is easily learnt, so the loss falls, magnificently. Places with the label -100 are left out
# of the loss, so write that.
#
# Mind one trap. This tokenizer pads with the *same* token that ends a text, as many do. The ending after the
# headline must count, or the model never learns to stop.


# %% tags=["exercise"] exercise="day10/mask-labels" answer="mask_labels" minutes=10 difficulty=3
# input_ids, attention_mask: (n, width), padded on the right; attention_mask is 1 on text (its
# end-of-text token included) and 0 on padding. prompt_lengths: n numbers, the tokens of each
# row that are prompt.
# Return labels of the same shape: -100 on prompt and padding, the ids everywhere else. Leave
# input_ids as it is.
def mask_labels(input_ids, attention_mask, prompt_lengths): ...


# <solution>
def mask_labels(input_ids, attention_mask, prompt_lengths):
    labels = input_ids.clone()
    labels[attention_mask == 0] = -100
    for row, length in enumerate(prompt_lengths):
        labels[row, :length] = -100
    return labels


# </solution>


# %% tags=["check"] exercise="day10/mask-labels"
def check(answer):
    ids = torch.tensor([[5, 6, 7, 8, 9, 2], [5, 6, 7, 2, 2, 2]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    made = answer(ids, mask, [3, 2])
    if not isinstance(made, torch.Tensor) or made.shape != ids.shape:
        return f"Return a tensor of the shape of input_ids, (n, width); you returned {getattr(made, 'shape', type(made).__name__)}."
    first, second = made.tolist()
    if first == [-100, -100, -100, 8, 9, 2] and second == [-100, -100, 7, 2, -100, -100]:
        return None
    if 0 in first + second and -100 not in first:
        return "You put 0 where nothing should count. 0 is the id of a word; the loss leaves out -100 only."
    if first == [-100, -100, 8, 9, 2, -100] or first == [8, 9, 2, -100, -100, -100]:
        return "You shifted the labels. The model does that itself: label and id stand at the same place."
    if first == [5, 6, 7, -100, -100, -100]:
        return "Upside down: you masked the headline and kept the prompt."
    if first[-1] == -100:
        return "The end-of-text token after the headline does not count any more, because it looks like padding. This model would never learn to stop; go by attention_mask."
    if second[4:] != [-100, -100]:
        return "Padding still counts: the model would be praised for predicting the filling."
    if first[:3] != [-100] * 3 or second[:2] != [-100] * 2:
        return "Part of the prompt still counts, so the model is trained to write articles as well."
    return f"For the rows {ids.tolist()} with prompts of 3 and 2 your labels are {[first, second]}. Only the headline should be left, its end-of-text token included: 8, 9, 2 and 7, 2. We do not recognise the mistake."


def inputs(draw):
    for rows, width in ((1, 3), (2, 6), (4, 5), (6, 12)):
        lengths = draw.integers(1, width + 1, rows)
        prompts = [int(draw.integers(0, length + 1)) for length in lengths]
        mask = torch.arange(width)[None, :] < torch.tensor(lengths)[:, None]
        ids = torch.tensor(draw.integers(0, 9, (rows, width))).masked_fill(~mask, 2)
        yield ids, mask.long(), prompts
        yield ids, torch.ones_like(ids), [0] * rows
        yield ids.masked_fill(~mask, 0), mask.long(), [int(length) for length in lengths]


hints = [
    "Start with a copy: input_ids.clone(). Then overwrite what shall not count.",
    "Padding is where attention_mask is 0, whatever id stands there.",
    "The prompt is the first prompt_lengths[row] places of each row: labels[row, :length] = -100.",
]
misconceptions = [
    (
        "def mask_labels(input_ids, attention_mask, prompt_lengths):\n    return input_ids.clone().masked_fill(attention_mask == 0, -100)",
        "Part of the prompt",
    ),
    (
        "def mask_labels(input_ids, attention_mask, prompt_lengths):\n    labels = input_ids.clone()\n    labels[labels == 2] = -100\n    for row, length in enumerate(prompt_lengths):\n        labels[row, :length] = -100\n    return labels",
        "never learn to stop",
    ),
    (
        "def mask_labels(input_ids, attention_mask, prompt_lengths):\n    labels = input_ids.clone()\n    for row, length in enumerate(prompt_lengths):\n        labels[row, :length] = -100\n    return labels",
        "Padding still counts",
    ),
    (
        "def mask_labels(input_ids, attention_mask, prompt_lengths):\n    labels = input_ids\n    labels[attention_mask == 0] = -100\n    for row, length in enumerate(prompt_lengths):\n        labels[row, :length] = -100\n    return labels",
        "changes what it was given",
    ),
    (
        "def mask_labels(input_ids, attention_mask, prompt_lengths):\n    labels = input_ids * attention_mask\n    for row, length in enumerate(prompt_lengths):\n        labels[row, :length] = 0\n    return labels",
        "0 is the id of a word",
    ),
]

# %%
scholar, mended_losses = headline_writer("headlines-mended", mask_labels)

# %%
series = {"D: everything counts": d_losses, "mended: the headline counts": mended_losses}
title = f"The broken run reports {d_losses[-1]:.1f}, the mended one {mended_losses[-1]:.1f}"
figure = plots.lines(
    range(1, len(d_losses) + 1),
    series,
    title=title,
    xlabel="step",
    ylabel="training loss as logged",
)
plots.show(figure, alt=f"Logged training loss of both runs. {title}: each counts other tokens.")


# %% [markdown]
# Which is the better model? Not the one with the lower line: the two count different tokens. Ask both the same
# question, the loss on the headlines of articles they have not seen:


# %%
def headline_losses(model):
    """For each article of the exam: the mean loss of its headline's tokens."""
    found = []
    for lesson in exam:
        ids, mask, prompts = padded([lesson])
        names = ("input_ids", "attention_mask", "labels")
        values = (ids, mask, mask_labels(ids, mask, prompts))
        inputs = {k: v.to(model.device) for k, v in zip(names, values, strict=True)}
        with torch.inference_mode(), torch.autocast(model.device.type, **fast_type):
            found.append(model.eval()(**inputs).loss.item())
    return np.array(found)


# %%
with patient_d.disable_adapter():
    untrained = headline_losses(patient_d)
d_loss, mended_loss = headline_losses(patient_d), headline_losses(scholar)
print(
    f"loss per headline token: untrained {untrained.mean():.2f}, "
    f"patient D {d_loss.mean():.2f}, mended {mended_loss.mean():.2f}"
)
gain = metrics.compare(np.exp(-mended_loss), np.exp(-d_loss))
print("probability of the editor's next token, this mended model minus this D:", gain)
for made, editor in headlines(scholar, exam[: settings.pick(smoke=1, cpu=3)]):
    print(f"editor: {editor}\nmended: {' '.join(made)}")


# %%
def counts_padding(label_maker):
    ids, mask, prompts = padded(pupils[:2])
    return bool(((label_maker(ids, mask, prompts) != -100) & (mask == 0)).any())


case(
    "labels without a mask", "batch", counts_padding(their_labels), counts_padding(mask_labels)
)

# %% [markdown]
# ### E: a number that is a text
#
# YAML 1.1, which PyYAML reads, wants a dot in a number with an exponent. `TrainingArguments` takes the text without
# a word. It fails when the optimiser is built, in a real project long after the start. That was the lucky case.
# Here is the unlucky one, with no error at all:

# %%
rates = yaml.safe_load("[2e-4, 1e-3, 5e-5]")
print("read as:", rates)
print("the largest of them:", max(rates))
print("the largest of the numbers:", max(map(float, rates)))
print("also a surprise:", yaml.safe_load("{fp16: no, seed: 010, note: 1_000}"))

# %% [markdown]
# Sorted as texts, 5e-5 is the largest, because 5 comes after 2 and 1. A table of runs sorted that way looks
# plausible. Two repairs: write `2.0e-4`, or convert at the door, once, where the file is read.

# %%
typed = {"learning_rate": float, "num_train_epochs": float}
config_mended = {name: typed.get(name, str)(value) for name, value in config.items()}
rate_found, message = attempt(lambda: from_file(config_mended))
print(f"the optimiser was built with a learning rate of {rate_found}")
case("number read as text", "message", e_message, message)

# %% [markdown]
# ## Keep your own version of the flow
#
# The ledger is complete. Mind how it was made: one look for each run, chosen by somebody who knew the fault. So the
# chart below shows for how many runs that one look was *enough*; it does not say which look finds most.

# %%
table = pd.DataFrame(ledger.values(), index=list(ledger))
print(table.to_string())
found = table[table.broken & ~table.mended].look.value_counts()
errors = int((table.broken & (table.look == "message")).sum())

# %%
figure = plots.bars(
    list(found.index),
    found.to_list(),
    xlabel="broken runs (of 12) for which this look, which we chose, was enough",
    title=f"{errors} of {len(table)} broken runs stopped with a message",
)
plots.show(
    figure,
    alt="Broken runs found by each look: " + ", ".join(f"{k} {v}" for k, v in found.items()),
)
guess.compare(errors)

# %% [markdown]
# The others said nothing at all. All but those that need *curves* can be found before an epoch is over.
#
# Now make the flow yours. Change words, add the question *you* always forget, strike what you never need. It is
# written as a page into your progress folder, where it stays after the course.

# %%
my_flow = """
1. message: read the last line first. Does it name a type, a shape, a name, or memory?
2. batch: decode one example with the model's own tokenizer. Which labels count, where?
3. what trains: are all the names I asked for there? Is the head?
4. twins: does any fingerprint stand on both sides?
5. start: is the first loss near ln K?
6. curves: did it ever fit? Where did validation turn? Which epoch was kept?
7. one change at a time, from a fresh model, and the same look again.
"""

# %%
seen = "\n".join(f"- {name} ({row['look']})" for name, row in ledger.items())
pages = f"""# My troubleshooting flow
{my_flow}
## Broken and mended on Day 10

{seen}

Pitfalls I have met: {met or "none yet"}
"""
is_new = progress.keep_page("my_troubleshooting.md", pages)
print(
    "my_troubleshooting.md in your progress folder",
    "is written." if is_new else "was there already: it is yours, so it stays as it is.",
)

# %% [markdown]
# Once the page exists this cell never touches it again: edit the page itself. And one sentence for the journal. Which
# of the twelve would have cost *you* the most time?

# %%
my_lesson = ""
progress.write_journal("day10", my_lesson)

# %% [markdown]
# ## What you saw

# %%
results = {
    "errors_among_twelve": errors,
    "found_by_a_look": int(found.sum()),
    "overfit_ratio": end_loss / min(per_epoch(too_long, "eval_fresh_loss")),
    "hot_training_loss": per_epoch(too_hot, "loss")[-1],
    "kept_epoch": kept,
    "rescued_gradient_error": rescued,
    "trainer_gradient_ratio": length_ratio,
    "naive_token_error": naive,
    "natural_leak_points": natural_gain,
    "leak_points": leak_points,
    "healthy_accuracy": healthy_accuracy,
    "reloaded_head_spread": max(reloads) - min(reloads),
    "wrong_tokenizer_accuracy": c_accuracy,
    "mask_gain": (d_loss - mended_loss).mean(),
}
for name, value in results.items():
    tracking.record(name, value)

# %% tags=["quiz"]
quiz = [
    {
        "question": "A binary classifier is trained with 8 accumulation steps. Its first logged loss is 5.5. What do you do first?",
        "choices": [
            (
                "Divide the learning rate by 8.",
                "The first loss is computed before the first step. No learning rate can change it.",
                False,
            ),
            (
                "Divide 5.5 by 8 and compare with ln 2.",
                "Right. 0.69: eight means were added and nobody divided. Now you know where to look.",
                True,
            ),
            (
                "Check the labels, since 5.5 is far worse than guessing.",
                "It would be, for a mean. A fresh head is not that wrong on anything: first ask what the number is.",
                False,
            ),
            (
                "Nothing: the loss always starts high and falls.",
                "It starts at ln K, whatever the task. A start elsewhere is the cheapest alarm there is.",
                False,
            ),
        ],
        "proof": """
import math
assert abs(5.5 / 8 - math.log(2)) < 0.01
""",
    },
    {
        "question": "Two parts of a batch: one with 2 tokens, mean loss 4.0, one with 8 tokens, mean loss 1.0. What is the loss that one large batch would have?",
        "choices": [
            (
                "2.5",
                "That is the mean of the means. The two tokens would count as much as the eight.",
                False,
            ),
            (
                "1.6",
                "Right: (2 × 4.0 + 8 × 1.0) / 10. Add up first, divide once, by everything.",
                True,
            ),
            (
                "5.0",
                "That is the sum of the means, which grows with the number of parts.",
                False,
            ),
            ("1.0", "The larger part does not get all the say, only four fifths of it.", False),
        ],
        "proof": """
assert (2 * 4.0 + 8 * 1.0) / 10 == 1.6 and (4.0 + 1.0) / 2 == 2.5
""",
    },
    {
        "question": "After every change, validation loss follows training loss down and never turns, for 40 epochs on 200 sentences. What do you suspect?",
        "choices": [
            (
                "A very good model: it cannot overfit.",
                "On 200 sentences, 40 epochs are enough to learn them by heart. A thermometer that never moves deserves a look itself.",
                False,
            ),
            (
                "Copies of training sentences in the validation part.",
                "Right. Then memorising pays on both sides. Hash both parts before you admire anything.",
                True,
            ),
            (
                "A learning rate that is too high.",
                "Then the training loss would not come down.",
                False,
            ),
            (
                "A frozen head.",
                "That changes how well it learns, not on which side memorising helps.",
                False,
            ),
        ],
    },
    {
        "question": "A LoRA classifier has 78 % in your notebook, and 31 % when the file is loaded elsewhere. Labels are balanced. Which is the best first look?",
        "choices": [
            (
                "What trains: is the head in the adapter's file?",
                "Right. 31 % of balanced labels is not ignorance: the features are fine, and another random head reads them upside down.",
                True,
            ),
            (
                "The curves: it must have overfitted.",
                "Overfitting shows on new sentences in the same notebook, too. Here only loading is different.",
                False,
            ),
            (
                "The learning rate: it was too low.",
                "Then 78 % could not have been reached in the notebook.",
                False,
            ),
            (
                "Nothing: 31 % is within luck of 50 %.",
                "On 300 balanced sentences a coin's standard error is under 3 points. 31 % is more than 6 of them below.",
                False,
            ),
        ],
        "proof": """
error = (0.5 * 0.5 / 300) ** 0.5
assert error < 0.03 and (0.5 - 0.31) / error > 6
""",
    },
    {
        "question": "Your text is padded with the end-of-text token, and you mask every label that equals it. What will the model do?",
        "choices": [
            (
                "Exactly what it should: padding must not count.",
                "Padding must not. But the one that ends the text looks the same and must.",
                False,
            ),
            (
                "It never learns to stop.",
                "Right. No label ever asks for the end, so it goes on writing. Mask by attention_mask, not by id.",
                True,
            ),
            (
                "It stops after the first token.",
                "That is the opposite bug: when all the padding counts, the end is the most frequent label of all.",
                False,
            ),
            (
                "It fails with an index error, since -100 is no id.",
                "In labels, -100 is a sign for the loss. It would be an error among the input ids.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **A thirteenth run.** Break one yourself: shuffle the labels, forget `model.eval()`, tokenise with
#   `max_length=8`. Which look finds it, and how early? Add a line to your page.
# - **Overfit eight examples on purpose.** It is the best test that the machinery works at all; the guide to
#   [the training loop](../../curriculum/guides/training_loop.md) says what a failure means. Do it with the healthy
#   recipe, then with the rate × 100.
# - **The limit.** Call `child` with limits of your own and `micro=1`. How small can it become, and what part of the
#   memory can no batch size save? Day 17 goes on from there.
#
# **Read.** The guides to [pitfalls](../../curriculum/guides/pitfalls.md) and
# [troubleshooting](../../curriculum/guides/troubleshooting.md), now that you have met most of what they describe, and the
# issue about inflated losses: how the makers of a library talk about a bug in it.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/debug.py`](../examples/debug.py) takes the six looks in one plain file, without our helpers: at any
# `Trainer`, yours too (`from debug import looks`). Here it looks at a training on text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=60, cpu=200)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/debug.py --data my_texts.csv
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "debug.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "debugging")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# Read the six lines in their order. Which one would have caught each of today's faults? Have a file of your own? Give
# it two columns, `text` and `label`, put its path into `mine`, and run the last cell again.
