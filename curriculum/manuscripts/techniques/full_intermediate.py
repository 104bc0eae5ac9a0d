# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import os

os.environ["KINETO_LOG_LEVEL"] = (
    "99"  # read once, when PyTorch is loaded: its profiler shall not chat
)

from labhelpers import settings

lab = settings.start("technique_full_intermediate")

# %%
import contextlib
import dataclasses
import io
import re
import timeit

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, DatasetDict
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_pipeline

# %%
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, get_scheduler
from transformers import set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler

# %%
from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, tracking
from labhelpers import training, widgets

# %% [markdown]
# ## Why this matters
#
# Somebody hands you a training script that "works well". It opens with a long list of arguments: `bf16`, four steps
# of accumulation, a cosine, some weight decay, a rate for each layer. Which of them matter? Nobody remembers. They
# were all switched on together, and nobody dares to switch one off.

# %%
print(f"TrainingArguments has {len(dataclasses.fields(TrainingArguments))} arguments")

# %% [markdown]
# Sort them into two drawers. Some arguments **change only the bill**: time and memory. Others **change the result**.
# Whether one belongs in the first drawer can be *proven*; what one of the second drawer is worth has to be
# *measured*, over seeds. You will do both, with one argument at a time.
#
# And before any argument there is something that can change the result more than each of them. It is your own table of
# texts, and how you cut it into parts. So commit to a number on that first.
#
# You will get a table with several sentences from each newspaper article, and sort the sentences by desk (business,
# sports, …). No sentence occurs twice. One person splits it by row, at random. Another keeps the sentences of an
# article together, on one side. The classifier is the same. By how much do the two scores differ?

# %%
leak_guess = widgets.predict(
    "full-intermediate-leak",
    "Score when split by row minus score when split by article",
    -5,
    30,
    "points",
)

# %% [markdown]
# ## Bring your own table of texts
#
# Your table will come out of some system as a CSV file. Ours is made here, from the news articles, with the dirt that
# such exports have: spellings of labels, empty cells, rows exported twice, rows on which two people disagree. (We put
# the dirt in. The sentences are real.)

# %%
articles = data.prepared("topics")
articles.pop("test")  # nothing below may touch it
desks = articles["train"].features["label"].names


def sentences_of(text, most=4):
    """The first sentences of a text that are neither very short nor very long."""
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z\"'])", " ".join(text.split()))
    return [part for part in parts if 8 <= len(part.split()) <= 40][:most]


export = pd.DataFrame(
    [
        {"article": f"A{number:04}", "sentence": sentence, "desk": desks[article["label"]]}
        for number, article in enumerate(articles["train"])
        for sentence in sentences_of(article["text"])
    ]
)

# %%
dirt = np.random.default_rng(7)


def some(share):
    return dirt.choice(len(export), int(share * len(export)), replace=False)


shouted, spaced, twice, disputed = some(0.1), some(0.1), some(0.02), some(0.01)
export.loc[shouted, "desk"] = export.loc[shouted, "desk"].str.upper()
export.loc[spaced, "desk"] = export.loc[spaced, "desk"].str.title() + " "
other = export.loc[disputed].assign(desk=np.roll(export.loc[disputed, "desk"], 1))
export.loc[some(0.02), "desk"] = None
export.loc[some(0.01), "sentence"] = ""
my_file = lab.workspace / "newsroom.csv"
pd.concat([export, export.loc[twice], other]).to_csv(my_file, index=False)

# %% [markdown]
# From here on it is an ordinary file. For one of your own, change the next two lines. `group` is whatever several
# rows have in common: the article, the customer, the patient, the day. If you have nothing of the kind, number the rows.

# %%
columns = {"sentence": "text", "desk": "label", "article": "group"}
raw = pd.read_csv(my_file).rename(columns=columns)
print(f"{len(raw):,} rows, {raw.label.nunique()} spellings of {len(desks)} labels:")
print(raw.label.value_counts(dropna=False).to_dict())

# %% [markdown]
# The order of cleaning matters. Spelling comes first: otherwise a second copy that says `Tech ` looks like a
# contradiction. Then what is empty. Then contradictions, *all* rows of them, because nobody knows which is right. Copies
# come last.


# %%
def clean(table):
    """One spelling per label, no empty cells, one label per text, no copies; reports drops."""
    table = table.assign(label=table.label.str.strip().str.lower(), text=table.text.str.strip())
    steps = {"read": len(table)}
    table = table[table.label.notna() & table.text.fillna("").ne("")]
    steps["with a text and a label"] = len(table)
    prints = table.text.map(
        data.text_hash
    )  # Day 2's fingerprint: capitals and spaces do not count
    table = table[table.label.groupby(prints).transform("nunique") == 1]
    steps["without contradictions"] = len(table)
    table = table[~table.text.map(data.text_hash).duplicated()].reset_index(drop=True)
    print(steps | {"without copies": len(table)})
    return table


table = clean(raw)
print(table.label.value_counts().to_dict())

# %% [markdown]
# Clean, and each text is there once: no fingerprint can be on two sides. So a random split cannot leak. That was the
# cure of Day 2 and of Day 10. Or is there something left?
#
# Write the other split, the one that keeps groups together.


# %% tags=["exercise"] exercise="technique_full_intermediate/groups" answer="grouped_split" minutes=8 difficulty=2
# table: a DataFrame with a column "group". Return two DataFrames (learn, judge) which together
# hold each row once, with all columns. No group is in both. `share` of the *groups* (rounded up
# or down), drawn at random, go to judge; `seed` decides which.
def grouped_split(table, share, seed): ...


# <solution>
def grouped_split(table, share, seed):
    groups = np.random.default_rng(seed).permutation(table.group.unique())
    chosen = groups[: round(share * len(groups))]
    judged = table.group.isin(chosen)
    return table[~judged], table[judged]


# </solution>


# %% tags=["check"] exercise="technique_full_intermediate/groups"
def check(answer):
    sizes = [1 + number % 4 for number in range(80)]
    small = pd.DataFrame(
        {"group": [f"g{n}" for n, size in enumerate(sizes) for _ in range(size)]}
    )
    small["text"] = [f"text {n}" for n in range(len(small))]

    def parts(seed):
        made = answer(small.copy(), 0.25, seed)
        return made if isinstance(made, tuple | list) and len(made) == 2 else None

    if parts(1) is None or not all(
        hasattr(part, "columns") and "group" in part for part in parts(1)
    ):
        return "Two DataFrames are wanted: those to learn from, and those to judge by."
    learn, judge = parts(1)
    both = set(learn.group) & set(judge.group)
    if both:
        return f"{len(both)} of 80 groups are on both sides. The coin has to be tossed once per group, not once per row."
    if sorted([*learn.text, *judge.text]) != sorted(small.text):
        return f"The table had {len(small)} rows, your two parts have {len(learn) + len(judge)}. Each row belongs to exactly one part."
    count = judge.group.nunique()
    if count == 60:
        return (
            "The parts are exchanged: a quarter was to be judged, and you judge three quarters."
        )
    if count != 20:
        return f"A quarter of 80 groups is 20; you judge {count}."
    if set(parts(2)[1].group) == set(judge.group):
        return "Another seed, and the same groups: chance has no say in it. A table is often sorted, and its first quarter is not like the rest."
    if set(parts(1)[1].group) != set(judge.group):
        return "The same seed gave two splits. Nobody could repeat what you did."
    return None


def inputs(draw):
    for names, rows, share in (
        ([f"g{n}" for n in range(40)], 160, 0.25),
        (list(range(11)), 60, 0.5),
        (list(range(100, 107)), 7, 0.64),
        (["a", "b", "c"], 30, 1 / 3),
    ):
        group = [*names, *draw.choice(np.array(names, dtype=object), rows - len(names))]
        made = pd.DataFrame({"label": draw.integers(3, size=rows), "group": group})
        made["text"] = [f"text {n}" for n in range(rows)]
        # rows of a group lie apart, and the numbers of the rows have gaps
        made.index = 3 * np.arange(rows) + 5
        yield made.sample(frac=1, random_state=int(draw.integers(99))), share


def trial(answer, table, share):
    def rows(*parts):
        return sorted(map(str, pd.concat(parts)[list(table)].to_numpy().tolist()))

    made = [answer(table, share, seed) for seed in range(12)]
    judged = [frozenset(judge.group) for _, judge in made]
    wanted = share * table.group.nunique()
    return {
        "no group on both sides": not any(set(one.group) & set(two.group) for one, two in made),
        "each row once": all(rows(*parts) == rows(table) for parts in made),
        "share of the groups": all(abs(len(groups) - wanted) < 1 for groups in judged),
        "one seed, one split": frozenset(answer(table, share, 7)[1].group) == judged[7],
        "other seeds, other splits": len(set(judged)) > 2,
        "every group has a chance": len(frozenset().union(*judged)) > table.group.nunique() / 2,
    }


hints = [
    "Draw among the *names* of the groups: `table.group.unique()`.",
    "`np.random.default_rng(seed).permutation(names)`, and the first `share` of them are the chosen ones.",
    "`judged = table.group.isin(chosen)`; then `table[~judged]` and `table[judged]`.",
]
misconceptions = [
    (
        "def grouped_split(table, share, seed):\n    judge = table.sample(frac=share, random_state=seed)\n    return table.drop(judge.index), judge",
        "once per group",
    ),
    (
        "def grouped_split(table, share, seed):\n    names = table.group.unique()\n    judged = table.group.isin(names[: round(share * len(names))])\n    return table[~judged], table[judged]",
        "chance has no say",
    ),
    (
        "def grouped_split(table, share, seed):\n    names = np.random.default_rng(seed).permutation(table.group.unique())\n    judged = table.group.isin(names[: round(share * len(names))])\n    return table[judged], table[~judged]",
        "exchanged",
    ),
    (
        "def grouped_split(table, share, seed):\n    once = table.drop_duplicates('group')\n    judge = once.sample(frac=share, random_state=seed)\n    return once.drop(judge.index), judge",
        "exactly one part",
    ),
]


# %%
def score(learn, judge):
    """Share of sentences that a classifier which only counts words gets right, in per cent."""
    model = make_pipeline(TfidfVectorizer(), ComplementNB()).fit(learn.text, learn.label)
    return 100 * (model.predict(judge.text) == judge.label).mean()


few = table[table.group.isin(table.group.unique()[:150])]
by_row, by_article = [], []
for seed in range(20):
    judge = few.sample(frac=0.25, random_state=seed)
    by_row.append(score(few.drop(judge.index), judge))
    by_article.append(score(*grouped_split(few, 0.25, seed)))
leak_points = np.mean(by_row) - np.mean(by_article)
leak_guess.compare(leak_points)

# %%
figure, axes = plt.subplots(figsize=(7.2, 2.2))
for height, (scores, colour) in enumerate(((by_article, "#0072B2"), (by_row, "#D55E00"))):
    axes.scatter(scores, np.full(len(scores), height), color=colour, alpha=0.6)
    axes.scatter([np.mean(scores)], [height], marker="|", s=500, color=colour)
axes.set(
    yticks=[0, 1],
    ylim=(-0.6, 1.6),
    xlabel="sentences right (%), 20 splits each; the stroke is the mean",
)
axes.set_yticklabels(["split by article", "split by row"])
title = f"By row instead of by article: {leak_points:+.0f} points for the same classifier"
axes.set_title(title)
plots.show(figure, alt=f"Scores of 20 splits by row and 20 by article. {title}.")

# %% [markdown]
# No copy, and yet a leak. Sentences of one article share its names, its places, its story. Whoever has read three of
# them recognises the fourth, without knowing anything about desks. Tomorrow's article brings new names, so the lower
# score is the one that will come true. Fingerprints cannot see this. You have to know **what your rows have in common**.
#
# Now the three parts: one to learn from, one to tune on, one to compare on. In the latter two we keep one sentence per
# article. Four sentences of one article are not four independent witnesses, and the intervals at the end will count
# witnesses.

# %%
learn, rest = grouped_split(table, 0.5, lab.seed)
tuning, validation = grouped_split(rest.drop_duplicates("group"), 0.64, lab.seed)
learn = learn[learn.group.isin(learn.group.unique()[: settings.pick(smoke=8, cpu=80)])]
tuning, validation = (
    tuning[: settings.pick(smoke=30, cpu=250)],
    validation[: settings.pick(smoke=60, cpu=500)],
)
labels = ClassLabel(names=sorted(table.label.unique()))  # one list for all parts
parts = DatasetDict(
    {
        name: Dataset.from_pandas(part[["text", "label"]], preserve_index=False).cast_column(
            "label", labels
        )
        for name, part in {"learn": learn, "tuning": tuning, "validation": validation}.items()
    }
)
groups = [set(part.group) for part in (learn, tuning, validation)]
assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
print({name: len(part) for name, part in parts.items()}, parts["learn"].features["label"].names)

# %% [markdown]
# (One list of names for all parts: if each part made its own, a part in which one desk is missing would number the
# others differently.)
#
# ### How long?
#
# You know the rule from Day 2: choose the length so that 99 % of the *training* texts fit. Here is what the choice
# costs, which is less than people think, as long as something else is switched on.

# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
lengths = np.array([len(ids) for ids in tokenizer(parts["learn"]["text"][:])["input_ids"]])
max_length = int(np.ceil(np.percentile(lengths, 99) / 8)) * 8
tokens = data.tokenize(parts, tokenizer, max_length=max_length)
print(
    f"max_length {max_length}: the longest sentence has {lengths.max()} tokens, "
    f"a typical one {np.median(lengths):.0f}"
)


# %%
def processed(order):
    """Tokens that the model sees in one epoch, filled up to the longest of each batch of 16."""
    cut = np.minimum(lengths[np.array(order)], max_length)
    return sum(
        len(cut[at : at + 16]) * cut[at : at + 16].max() for at in range(0, len(cut), 16)
    )


chance = np.random.default_rng(lab.seed).permutation(len(lengths))
draw = torch.Generator().manual_seed(1)
grouped = list(LengthGroupedSampler(16, lengths=lengths.tolist(), generator=draw))
epoch_tokens = {
    "filled up to 512": 512 * len(lengths),
    f"filled up to {max_length}": max_length * len(lengths),
    "filled up per batch": processed(chance),
    "… like lengths together": processed(grouped),
    "no filling at all": int(np.minimum(lengths, max_length).sum()),
}

# %%
padding_ratio = epoch_tokens["filled up to 512"] / epoch_tokens["… like lengths together"]

# %%
title = f"The same sentences, {padding_ratio:.0f} times fewer tokens"
figure = plots.bars(
    list(epoch_tokens),
    [count / 1000 for count in epoch_tokens.values()],
    title=title,
    xlabel="thousand tokens per epoch",
)
plots.show(
    figure, alt=f"Tokens processed per epoch for five ways of filling up batches. {title}."
)

# %% [markdown]
# `max_length` cuts only the tail. What you pay for is the longest text *of each batch*: the collator fills up no further
# than that, and `train_sampling_strategy="group_by_length"` puts texts of like length together. The course's
# `training.arguments` has done both for you since Day 4. Two arguments that change only the bill, and you never noticed.
#
# ## The arguments that change only the bill
#
# From now on there is one base recipe, and each experiment changes one thing in it.

# %%
collator, device = DataCollatorWithPadding(tokenizer), settings.device()
truth = {name: np.array(part["labels"]) for name, part in tokens.items()}
# Does this processor compute in bf16 itself?
native = training.load_options()["dtype"] == torch.bfloat16
base = {
    "learning_rate": 3e-4,
    "per_device_train_batch_size": 16,
    "num_train_epochs": 1,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.1,
    "weight_decay": 0.0,
    "bf16": False,
    "fp16": False,
}


# %%
def build(seed=lab.seed, dtype=torch.float32):
    """The encoder, every weight free, with a fresh head that depends on the seed."""
    set_seed(seed)
    options = training.load_options() | {"dtype": dtype}
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=len(desks), **options
    )


# %%
def train_with(name, seed=lab.seed, model=None, optimizer=None, loss=None, **changes):
    """The base recipe with some arguments changed. Returns the run and its model."""
    name = f"full-intermediate-{name}-seed{seed}"
    quiet = {"save_strategy": "no", "disable_tqdm": True, "logging_steps": 1}
    args = training.arguments(name, seed=seed, **quiet, **(base | changes))
    model = (model or build(seed)).to(device)
    # None: the Trainer makes its own.
    own = (optimizer(model, args) if optimizer else None, None)
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=tokens["learn"],
        data_collator=collator,
        compute_loss_func=loss,
        optimizers=own,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # one line per run is enough
        return training.train(trainer, name), model


# %%
def logits_of(run, model, part="validation"):
    """One row of logits per sentence of a part; kept beside the run, for a second visit."""
    kept = run.folder / f"{part}-{len(tokens[part])}.npy"
    if not kept.exists():
        with torch.autocast(device, torch.bfloat16, enabled=native):
            np.save(kept, training.predict(model, tokens[part]))
    return np.load(kept)


def right_of(run, model, part="validation"):
    """Per sentence: was it right?"""
    return logits_of(run, model, part).argmax(axis=1) == truth[part]


# %% [markdown]
# ### Accumulation: four times four is sixteen
#
# Four small batches, their gradients added up, one step. On [Day 10](../week2/day10_debugging.ipynb) you wrote that
# loop, and saw the Trainer forget to divide the sum for this kind of model. We use the mended loss from there. Does it
# belong in the first drawer? Prove it on the gradient: 16 sentences at once, and as 4 × 4.

# %%
rows = [
    {key: row[key] for key in (*tokenizer.model_input_names, "labels") if key in row}
    for row in tokens["learn"].select(range(16))
]
whole = [collator(rows).to(device)]
quarters = [collator(rows[at : at + 4]).to(device) for at in range(0, 16, 4)]


def step(model, batches, optimizer=None, bf16=False):
    """Forward and backward through all batches; with an optimiser, also a step."""
    for batch in batches:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = model(**batch).loss / len(batches)
        loss.backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()


# %%
def gradient(batches):
    """What a fresh model learns from these batches: its whole gradient in one long row."""
    model = build().to(device)  # as loaded: in evaluation mode, so no dropout
    step(model, batches)
    return torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )


at_once, added_up = gradient(whole), gradient(quarters)
gradient_gap = ((added_up - at_once).norm() / at_once.norm()).item()
print(
    f"{len(at_once):,} numbers; the two gradients differ by {gradient_gap:.0e} of their length"
)

# %% [markdown]
# Rounding. (The quarters are also filled up less, since each has its own longest sentence. The model does not notice:
# that is what the attention mask is for.) Equal gradients, step by step, must give equal models. Now the whole
# training, three times: as it is, accumulated, and in `bf16`, **mixed precision**: the multiplications are done in 16
# bits, and weights, gradients and AdamW's means stay in 32.


# %%
def summed_loss(outputs, labels, num_items_in_batch=None):
    """Day 10's loss: add up over the batch, divide by the sentences of the whole step."""
    total = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


switches = {
    "as it was": {},
    "4 × 4 accumulated": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    "bf16": {"bf16": native},  # only emulated, it would take many times as long: 32 bits again
}
bills = {}
for number, (name, changes) in enumerate(switches.items()):
    run, model = train_with(f"bill{number}", loss=summed_loss, **changes)
    bills[name] = {
        "seconds": run.seconds,
        "steps": run.history[-1]["step"],
        "logits": logits_of(run, model),
    }

# %%
reference = bills["as it was"]["logits"].argmax(axis=1)
report = {
    name: {
        "steps": bill["steps"],
        "seconds": f"{bill['seconds']:.1f}",
        "right": f"{(bill['logits'].argmax(axis=1) == truth['validation']).mean():.1%}",
        "same answers": f"{(bill['logits'].argmax(axis=1) == reference).mean():.1%}",
    }
    for name, bill in bills.items()
}
pd.DataFrame(report).transpose()

# %% [markdown]
# Read the last column first: of the validation sentences, how many get the very same answer as from the model trained
# *as it was*? For accumulation the proof holds for the whole training. (Without dropout, that is, which the course
# switches off on a CPU. With it, the dice fall differently for the parts.) **bf16** is not the same arithmetic, so there
# is no proof; the column says how far it is off.
#
# Now the price, in `seconds`. Accumulation can only cost time: four small passes instead of a large one. bf16 can save
# some, on processors which can do it (the next cells say whether yours can; where not, that run was made in 32 bits
# again), but not half: AdamW still walks over all
# weights in 32 bits, and on short sentences that is a good part of a step.
#
# And memory, for which one switches accumulation on in the first place? We let the allocator tell: PyTorch's profiler
# notes each block that is taken and given back, and the highest point of the running sum is the peak.


# %%
def peak_of(work):
    """Most bytes that `work` holds at one moment, beyond what was there before."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as watch:
        work()
    events = [
        event for event in watch.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    events.sort(key=lambda event: event.start_ns())
    return int(np.cumsum([event.nbytes() for event in events]).max())


# %%
def bill_of(size, parts, bf16):
    """Peak of one step on `size` sentences in equal parts, in MB, with weights and AdamW's."""
    chosen = [rows[at % len(rows)] for at in range(size)]
    batches = [
        collator(chosen[at : at + size // parts]).to(device)
        for at in range(0, size, size // parts)
    ]
    model = build().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()  # the optimiser's means are made at the first step
    optimizer.zero_grad()
    found = memory.account(model, optimizer)
    peak = peak_of(lambda: step(model, batches, optimizer, bf16))
    return (found.weights + found.optimizer + peak) / 1e6


# %%
peaks = {}
for size in (16, 64):
    peaks[f"{size} at once"] = bill_of(size, 1, False)
    peaks[f"4 × {size // 4} accumulated"] = bill_of(size, 4, False)
    peaks[f"{size} at once, bf16"] = bill_of(size, 1, native)

# %%
square, clock = torch.randn(192, 192), {}
for dtype in (torch.float32, torch.bfloat16):
    small = square.to(dtype)
    clock[dtype] = min(timeit.repeat(lambda small=small: small @ small, number=5, repeat=5))
print(
    f"A small product in bf16 takes {clock[torch.bfloat16] / clock[torch.float32]:.1f} times "
    f"as long as in 32 bits; the rows named bf16 are in {'bf16' if native else '32 bits, too'}."
)
saved = {
    size: 1 - peaks[f"4 × {size // 4} accumulated"] / peaks[f"{size} at once"]
    for size in (16, 64)
}
saved_bf16 = 1 - peaks["64 at once, bf16"] / peaks["64 at once"]

# %%
title = (
    f"In four parts: {-saved[16]:+.0%} of the peak for 16 sentences, {-saved[64]:+.0%} for 64"
)
figure = plots.bars(
    list(peaks), list(peaks.values()), title=title, xlabel="peak of one step (MB)"
)
plots.show(
    figure, alt=f"Peak memory of a training step at once, in parts and in bf16. {title}."
)

# %% [markdown]
# A quarter of the batch is not a quarter of the peak; it can even *grow*. Weights and AdamW's means are always there; that
# is the larger part of each bar. On top of them, activations and gradients used to take turns: one went as the other
# came. When gradients accumulate, they have to stay while the next part goes forward, so it is both (Day 6, quiz). It
# pays when activations are the larger of the two: large batches, long texts. So: **look at your own account before you
# switch it on.** bf16, too, can only shrink activations. Where the gradients make the peak, it shrinks nothing.
#
# ### The bug that looks like a saving
#
# A colleague wants all of it. "Why keep anything in 32 bits? I load the model with `dtype=torch.bfloat16`. Half of
# everything!" (Mind that newer versions of transformers load a model in the precision in which its file was saved, if
# you do not say which. So you may be doing this without knowing.) His training runs. Sometimes it just does not learn.
#
# bf16 has 8 significant bits. AdamW moves each weight by about the learning rate. Find out what becomes of such a step.


# %% tags=["exercise"] exercise="technique_full_intermediate/lost" answer="lost_share" minutes=7 difficulty=2
# weights: a tensor in 32 bits. They are stored in `dtype` (such as torch.bfloat16), moved down
# by `step` (a number), and stored in `dtype` again. Return the share of the numbers, 0 to 1,
# that the second storing leaves exactly where the first had put them.
def lost_share(weights, step, dtype): ...


# <solution>
def lost_share(weights, step, dtype):
    stored = weights.to(dtype)
    moved = (stored.float() - step).to(dtype)
    return (moved == stored).float().mean().item()


# </solution>


# %% tags=["check"] exercise="technique_full_intermediate/lost"
def check(answer):
    weights = torch.tensor(
        [1.0, 0.75, 0.01, 0.001]
    )  # in bf16, 0.001 is lost on the first two only
    found = answer(weights.clone(), 0.001, torch.bfloat16)
    if found is None:
        return "Your function returns nothing."
    if np.isclose(found, 2):
        return "That is how many. A share is wanted: divide by how many there are."
    if np.isclose(found, 0):
        return "Nothing is lost with you: the result of the step was compared before it was *stored* in 16 bits again. 1.0 − 0.001 has no room there."
    if np.isclose(found, answer(weights.clone(), 0.001, torch.float32)):
        return (
            "32 bits and 16 bits give the same with you. Does `dtype` appear in your function?"
        )
    if np.isclose(found, 1):
        return (
            "All are lost with you. 0.001 − 0.001 is zero, in any precision: that one did move."
        )
    more = answer(torch.tensor([1.0, 1.0, 1.0, 0.001]), 0.001, torch.bfloat16)
    if np.isclose(more, 0.25):
        return "That is the share that moved. How many stood still?"
    if not np.isclose(found, 0.5) or not np.isclose(more, 0.75):
        return f"Of 1.0, 0.75, 0.01 and 0.001, a step of 0.001 leaves the first two where they are in bf16: 0.5. You return {found:.2f}."
    if not np.isclose(answer(weights.clone(), 0.001, torch.float32), 0):
        return "In 32 bits none of these steps is lost, and you lose some."
    return None


def inputs(draw):
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        for step in (1e-6, 1e-4, 1e-3, 0.0):
            made = torch.tensor(draw.normal(0, 0.05, (40, 50)), dtype=torch.float32)
            yield made, step, dtype
    yield torch.tensor([-1.0, -0.75, -0.01]), 0.001, torch.bfloat16
    yield torch.tensor([1.0, 1.0, -1.0]), 0.003, torch.bfloat16  # down is not up
    yield torch.tensor([0.0]), 1e-5, torch.bfloat16
    yield torch.tensor([2.0]), 1e-4, torch.float16


def agrees(expected, found):
    # whether `step` itself was rounded to `dtype` decides a few of two thousand numbers
    return found is not None and abs(expected - found) < 0.01


hints = [
    "Round first: `weights.to(dtype)`. That is where the weights stand.",
    "After the step, round again, then compare with where they stood.",
    "`(moved == stored).float().mean().item()`",
]
misconceptions = [
    (
        "def lost_share(weights, step, dtype):\n    stored = weights.to(dtype).float()\n    return (stored - step == stored).float().mean().item()",
        "before it was *stored*",
    ),
    (
        "def lost_share(weights, step, dtype):\n    stored = weights.to(dtype)\n    return ((stored.float() - step).to(dtype) != stored).float().mean().item()",
        "share that moved",
    ),
    (
        "def lost_share(weights, step, dtype):\n    stored = weights.to(dtype)\n    return ((stored.float() - step).to(dtype) == stored).sum().item()",
        "That is how many",
    ),
    (
        "def lost_share(weights, step, dtype):\n    stored = weights.to(torch.bfloat16)\n    return ((stored.float() - step).to(torch.bfloat16) == stored).float().mean().item()",
        "Does `dtype` appear",
    ),
]

# %%
untrained = build()
layers = untrained.config.num_hidden_layers
weights = torch.cat(
    [part.detach().flatten() for name, part in untrained.named_parameters() if "layer." in name]
)

# %%
steps = np.logspace(-6, -3, 13)
formats = {"bf16": torch.bfloat16, "fp16": torch.float16, "32 bits": torch.float32}
curves = {
    name: [100 * lost_share(weights[::10], rate, dtype) for rate in steps]
    for name, dtype in formats.items()
}
lost = {rate: lost_share(weights, rate, torch.bfloat16) for rate in (1e-5, 3e-4)}

# %%
title = f"At 1e-5, {lost[1e-5]:.0%} of the weights cannot take the step in bf16"
captions = {
    "xlabel": "size of the step (log scale)",
    "ylabel": "weights that do not move (%)",
}
figure = plots.lines(steps, curves, log_x=True, title=title, **captions)
plots.show(
    figure,
    alt=(
        "Share of weights that a step does not move, "
        f"by size of the step, for three precisions. {title}."
    ),
)

# %% [markdown]
# So it depends on the rate, and that makes it nasty. The larger the rate, the more steps arrive, and the healthier his run
# looks. At 1e-5, where large models are trained, or at the end of a falling schedule, most weights stand still. Here are
# three models, one seed: storage in 32 bits at 1e-5, then his, at both rates.

# %%
for how, rate, dtype in (
    ("weights in 32 bits", 1e-5, torch.float32),
    ("weights in bf16", 1e-5, torch.bfloat16),
    ("weights in bf16", 3e-4, torch.bfloat16),
):
    model = build(dtype=dtype)
    start = {
        name: part.detach().clone()
        for name, part in model.named_parameters()
        if "layer." in name
    }
    run, model = train_with(
        f"stored-{how[-4:]}-{rate:g}", model=model, bf16=native, learning_rate=rate
    )
    now = {name: part.detach().cpu() for name, part in model.named_parameters()}
    moved = sum((now[name] != part).sum().item() for name, part in start.items()) / len(weights)
    print(
        f"{how:<18} at {rate:g}: {moved:6.1%} of the weights have moved, "
        f"{right_of(run, model).mean():.1%} right"
    )

# %% [markdown]
# The cure is one word, `dtype=torch.float32`, with `bf16=True` in the arguments. The *storage* decides whether small
# steps survive; the *arithmetic* may be short.
#
# From here on, all runs use `bf16` if your processor has it. That is what a first drawer is for.
#
# ## The arguments that change the result
#
# ### Schedules, at the same budget
#
# The shapes you know from Day 5: after a warm-up the rate stays (`constant_with_warmup`), falls in a straight line
# (`linear`) or along a `cosine`. Which one is better? The obvious experiment: same peak, same steps, another shape.

# %%
base["bf16"] = native
total_steps = -(-len(tokens["learn"]) // 16)
warmup = int(np.ceil(0.1 * total_steps))


def rates_of(kind):
    """The rate at each step, as a share of the peak."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = get_scheduler(kind, optimizer, warmup, total_steps), []
    for _ in range(total_steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


# %%
same_peak_guess = widgets.predict(
    "full-intermediate-peak",
    "Same peak rate: accuracy with linear minus accuracy with constant",
    -40,
    20,
    "points",
)

# %% [markdown]
# Wait, though. In the [beginner's lesson](full_beginner.ipynb) you computed how far a weight can travel: with AdamW, the
# sum of the rates over all steps. A line that falls to zero has half of it. So "same peak" compares two things at
# once, a shape and a distance. For a fair comparison of *shapes*, each should be allowed the same way.


# %% tags=["exercise"] exercise="technique_full_intermediate/peak" answer="peak_for" minutes=6 difficulty=2
# shape: rates of a schedule as shares of its peak, one per step, such as rates_of("linear").
# way: how far it shall be possible to travel, as a sum of rates. Return the peak rate with
# which it is.
def peak_for(shape, way): ...


# <solution>
def peak_for(shape, way):
    return way / sum(shape)


# </solution>


# %% tags=["check"] exercise="technique_full_intermediate/peak"
def check(answer):
    triangle, flat = [0.0, 0.5, 1.0, 0.5], [0.5, 1.0, 1.0, 1.0, 1.0]
    found = answer(list(triangle), 6.0)
    if found is None:
        return "Your function returns nothing."
    if np.isclose(found, 1.5):
        return "That would travel so far if every step were taken at the peak. Most are not."
    if np.isclose(found, 12):
        return "You divide by the *mean* share, so the result still has to be spread over the steps."
    if np.isclose(found, 0.75):
        return "Turned upside down: a shape with little area needs a *higher* peak."
    if not np.isclose(found, 3):
        return f"Shares 0, 0.5, 1 and 0.5: with a peak of 3 the rates are 0, 1.5, 3 and 1.5, and their sum is 6. You return {found:g}."
    if np.isclose(answer(list(flat), 9.0), 9 / 2.5):
        return "Twice the mean is right for a line without warm-up only. Use the rates that are really there."
    return (
        None
        if np.isclose(answer(list(flat), 9.0), 2)
        else f"Right for the triangle. For [0.5, 1, 1, 1, 1] and a way of 9 the peak is 2; you return {answer(list(flat), 9.0):g}."
    )


def inputs(draw):
    yield [1.0], 0.003
    yield [0.0, 0.0, 0.25], 2.0
    yield [1.0, 1.0, 1.0], 0.0
    yield rates_of("linear"), 0.01
    yield rates_of("cosine"), 0.01
    for steps in (2, 7, 50):
        yield draw.random(steps).tolist(), float(draw.random())


hints = [
    "With a peak of 1, the shape travels `sum(shape)`.",
    "With a peak of p it travels p times as far.",
    "`way / sum(shape)`",
]
misconceptions = [
    (
        "def peak_for(shape, way):\n    return way / len(shape)",
        "if every step were taken at the peak",
    ),
    (
        "def peak_for(shape, way):\n    return way / (sum(shape) / len(shape))",
        "the *mean* share",
    ),
    (
        "def peak_for(shape, way):\n    return way / len(shape) * sum(shape) / len(shape)",
        "upside down",
    ),
    ("def peak_for(shape, way):\n    return 2 * way / len(shape)", "without warm-up only"),
]

# %%
peak = 6e-5  # low on purpose: on a plateau any schedule looks fine
way = peak * sum(rates_of("constant_with_warmup"))
plan = {
    "constant": ("constant_with_warmup", peak),
    "linear, same peak": ("linear", peak),
    "linear, same way": ("linear", peak_for(rates_of("linear"), way)),
    "cosine, same way": ("cosine", peak_for(rates_of("cosine"), way)),
}
for name, (kind, rate) in plan.items():
    print(f"{name:<18} peak {rate:.1e}, way {rate * sum(rates_of(kind)):.1e}")

# %%
word_bar = score(learn, validation)  # the classifier of the first section, same sentences
seeds = settings.pick(
    smoke=[2, 3], cpu=[2, 3, 4]
)  # seed 1 will choose rates, so it cannot judge
hits = {}
for name, (kind, rate) in plan.items():
    for seed in seeds:
        run, model = train_with(
            f"{kind}-{rate:.2e}", seed, lr_scheduler_type=kind, learning_rate=rate
        )
        hits[name, seed] = right_of(run, model)
    scores = [100 * hits[name, seed].mean() for seed in seeds]
    print(
        f"{name:<18} {', '.join(f'{score:.1f}' for score in scores)} "
        f"  mean {np.mean(scores):.1f} %"
    )
print(f"counting words     {word_bar:.1f} %")

# %% [markdown]
# Read the spread inside a row first: that is what a seed does. The last line is the bar to jump. Then compare rows, on the
# same sentences. `metrics.compare` gives one interval for what other seeds *and* other sentences might have said, and
# the word that goes with it.


# %%
def compared(one, other):
    return metrics.compare(*[[hits[name, seed] for seed in seeds] for name in (one, other)])


pairs = [
    ("linear, same peak", "constant"),
    ("linear, same way", "constant"),
    ("cosine, same way", "linear, same way"),
]
gaps = [compared(*pair) for pair in pairs]
for (one, other), gap in zip(pairs, gaps, strict=True):
    print(f"{one} against {other}: {gap}")
same_peak_guess.compare(100 * gaps[0].estimate)

# %%
title = "Linear at the same peak: {}; at the same way: {}; cosine: {}".format(
    *(gap.verdict for gap in gaps)
)
figure = plots.interval_bars(
    [f"{one} − {other}" for one, other in pairs],
    [gap.points for gap in gaps],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy, all seeds together, 95 % intervals",
)
plots.show(figure, alt=f"Paired differences between schedules. {title}.")

# %% [markdown]
# The first row is the experiment that many reports make. If it has a winner, the winner is also the one that could walk
# further: two things at once. Look above, too, at how differently a short way hurts the seeds; with one seed you could
# have reported any of these. In the other two rows the distance is taken out, and what is left is the shape. If they are
# *undecided*, say so: at this budget, the shape of the schedule cannot be told from noise. That is not "equal".
#
# ### Weight decay, on the back of an envelope
#
# Sometimes you need no run at all. `weight_decay` shrinks each weight at every step by the factor 1 − rate × decay. Over
# the whole run that is about 1 − way × decay.

# %%
shrunk = {decay: way * decay for decay in (0.01, 0.1)}
for decay, share in shrunk.items():
    print(
        f"weight_decay={decay:g}: over the whole run, "
        f"weights shrink by {share:.1e} of their size"
    )
run, model = train_with(
    "decay",
    seeds[0],
    lr_scheduler_type="constant_with_warmup",
    learning_rate=peak,
    weight_decay=0.01,
)
with_decay = right_of(run, model)
changed_by_decay = (with_decay != hits["constant", seeds[0]]).mean()
print(f"and the run with 0.01: {changed_by_decay:.1%} of the sentences changed sides")

# %% [markdown]
# That is less than the rounding of a 16-bit number. The advice to "add weight decay against overfitting" comes from
# long runs, where the sum of the rates is large. In a short fine-tuning the argument is in neither drawer:
# it does next to nothing. (One envelope, one run, one seed; the envelope is the stronger of the two.)
#
# ## Frozen layers and rates per layer, tuned
#
# On [Day 6](../week2/day06_full_finetuning.ipynb) you froze the lower half, then let each layer move at 0.7 of the rate
# above it. One run each, at a rate that was tuned for something else: "no comparison", it said. Here is the comparison.
# First look at what they have in common: freezing is a rate of zero.


# %%
def depth_of(name):
    """−1 for embeddings, 0 … layers − 1 for the layers, `layers` for all that is on top."""
    found = re.search(r"layer\.(\d+)\.", name)
    return int(found[1]) if found else -1 if "embeddings" in name else layers


# %%
def layer_rates(decay=0.7, frozen_layers=0):
    """Draw the rate of each depth, as a share of the top's."""
    depths = range(layers, -2, -1)
    rates = [
        decay ** (layers - d) if not frozen_layers or d >= frozen_layers else 0.0
        for d in depths
    ]
    between = [f"layer {d}" for d in range(layers - 1, -1, -1)]
    names = ["pooler and head", *between, "embeddings"]
    slowest = min(rate for rate in rates if rate)
    title = f"The lowest place that moves does so at {slowest:.0%} of the top's rate"
    percent = [100 * rate for rate in rates]
    figure = plots.bars(names, percent, title=title, xlabel="learning rate (% of the top's)")
    plots.show(figure, alt=f"Learning rate per layer as a share of the top's rate. {title}.")


widgets.explore(layer_rates, decay=(0.3, 1.0, 0.05), frozen_layers=(0, layers))

# %% [markdown]
# ### Find the bug
#
# The same colleague has tuned the rate of his layer-wise training. Three trials, three rates, a few steps each. He
# reports: "Very robust! The rate does not matter at all."


# %%
def layer_groups(model, learning_rate, decay):
    """Day 6's groups: one per depth, each slower than the one above it."""
    by_depth = {}
    for name, weight in model.named_parameters():
        by_depth.setdefault(depth_of(name), []).append(weight)
    return [
        {"params": part, "lr": learning_rate * decay ** (layers - d)}
        for d, part in by_depth.items()
    ]


def colleagues_optimizer(model, args):
    return torch.optim.AdamW(layer_groups(model, learning_rate=3e-4, decay=0.7))


# %%
for rate in (3e-5, 3e-4, 3e-3):
    run, _ = train_with(
        f"bug-{rate:g}", optimizer=colleagues_optimizer, learning_rate=rate, max_steps=3
    )
    print(
        f"learning_rate={rate:g}: losses", [row["loss"] for row in run.history if "loss" in row]
    )

# %% [markdown]
# Look at the losses, digit by digit. Three trials that agree like this are one trial. Whoever hands the Trainer an
# optimiser of his own has taken *two* arguments out of its hands, and the Trainer does not say a word. Write the
# function properly. (For a bias, or the two vectors of a layer norm, decay makes no sense; the Trainer leaves these
# out, and so should you.)


# %% tags=["exercise"] exercise="technique_full_intermediate/optimizer" answer="optimizer_for" minutes=12 difficulty=3
# Return a torch.optim.AdamW in which every weight that is to be trained (requires_grad), and no
# other, is in exactly one group: the top at args.learning_rate, each layer at `decay` times the
# rate of the one above, embeddings slowest (depth_of tells the depth); weight_decay =
# args.weight_decay for matrices (ndim 2 or more) and 0 for vectors.
def optimizer_for(model, args, decay): ...


# <solution>
def optimizer_for(model, args, decay):
    groups = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault((depth_of(name), weight.ndim >= 2), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": part,
                "lr": args.learning_rate * decay ** (layers - depth),
                "weight_decay": args.weight_decay if is_matrix else 0.0,
            }
            for (depth, is_matrix), part in groups.items()
        ],
        fused=True,
    )


# </solution>


# %% tags=["check"] exercise="technique_full_intermediate/optimizer"
def check(answer):
    import copy

    model = copy.deepcopy(untrained)
    names = {id(weight): name for name, weight in model.named_parameters()}
    matrices = {name for name, weight in model.named_parameters() if weight.ndim >= 2}

    def groups(rate, weight_decay, decay=0.5):
        args = training.arguments("check", learning_rate=rate, weight_decay=weight_decay)
        made = answer(model, args, decay)
        return made.param_groups if isinstance(made, torch.optim.AdamW) else None

    def each(key, *settings):
        return {
            names.get(id(w)): group[key] for group in groups(*settings) for w in group["params"]
        }

    if groups(0.5, 0.1) is None:
        return (
            "Another kind of optimiser, or none. This one is wanted: torch.optim.AdamW(groups)."
        )
    slow, fast, decays = (
        each("lr", 0.25, 0.1),
        each("lr", 0.5, 0.1),
        each("weight_decay", 0.5, 0.1),
    )
    if None in slow:
        return "There are tensors in your groups that are not weights of this model."
    if missing := [name for name in names.values() if name not in slow]:
        return f"{missing[0]} is in no group, so it would stay frozen."
    if slow == fast:
        return "That is the colleague's bug: whatever args.learning_rate says, the rates of the groups are the same. The Trainer uses args.learning_rate only for an optimiser that it makes itself."
    for name, rate in fast.items():
        wanted = 0.5 * 0.5 ** (layers - depth_of(name))
        if not np.isclose(rate, wanted):
            return f"args.learning_rate 0.5, decay 0.5: {name} moves at {rate:g}. It sits {layers - depth_of(name)} steps below the top, which makes {wanted:g}."
    if any(each("weight_decay", 0.5, 0.0).values()):
        return "With args.weight_decay=0 your optimiser still decays. torch's AdamW has a default of its own, 0.01, for everybody who says nothing."
    if not all(np.isclose(decays[name], 0.1) for name in matrices):
        return "args.weight_decay=0.1 does not arrive at the matrices."
    if any(decays[name] for name in decays if name not in matrices):
        return "Biases and layer norms decay with you. They are vectors; leave them at 0, as the Trainer does."
    for name, weight in model.named_parameters():
        weight.requires_grad_("embeddings" not in name)
    if any("embeddings" in name for name in each("lr", 0.5, 0.1)):
        return "The embeddings were frozen (requires_grad is False), and yet they are in one of your groups."
    return None


def inputs(draw):
    yield 0.25, 0.1, 0.5, ()
    yield 3e-4, 0.0, 0.7, ("embeddings", "layer.0.")
    yield 1e-2, 0.01, 1.0, ("classifier",)
    yield (
        float(draw.random()),
        float(draw.random()),
        float(draw.uniform(0.3, 1)),
        ("LayerNorm",),
    )


def trial(answer, rate, weight_decay, decay, frozen):
    from transformers import BertConfig

    small = dict(hidden_size=4, num_attention_heads=1, intermediate_size=4, vocab_size=9)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForSequenceClassification.from_config(
            BertConfig(num_hidden_layers=layers, **small)
        )
    model.extra = torch.nn.Parameter(torch.zeros(2, 2, 2))
    for name, weight in model.named_parameters():
        weight.requires_grad_(not any(part in name for part in frozen))
    names = {id(weight): name for name, weight in model.named_parameters()}
    args = training.arguments("check", learning_rate=rate, weight_decay=weight_decay)
    made = answer(model, args, decay)
    return {
        names.get(id(weight), "a stranger"): (group["lr"], group["weight_decay"])
        for group in made.param_groups
        for weight in group["params"]
    }


hints = [
    "Where could args.learning_rate get into the colleague's function? And which weight decay does AdamW take if nobody names one?",
    "Collect the weights under two keys at once: `(depth_of(name), weight.ndim >= 2)`.",
    'Each group: {"params": …, "lr": args.learning_rate * decay ** (layers - depth), "weight_decay": args.weight_decay or 0}.',
]
misconceptions = [
    (
        "def optimizer_for(model, args, decay):\n    return torch.optim.AdamW(layer_groups(model, 3e-4, decay), weight_decay=args.weight_decay)",
        "the colleague's bug",
    ),
    (
        "def optimizer_for(model, args, decay):\n    return torch.optim.AdamW(layer_groups(model, args.learning_rate, decay))",
        "default of its own",
    ),
    (
        "def optimizer_for(model, args, decay):\n    return torch.optim.AdamW(layer_groups(model, args.learning_rate, decay), weight_decay=args.weight_decay)",
        "Biases and layer norms",
    ),
    (
        "def optimizer_for(model, args, decay):\n    return torch.optim.AdamW(layer_groups(model, args.learning_rate / decay, decay), weight_decay=args.weight_decay)",
        "steps below the top",
    ),
]

# %% [markdown]
# ### Three ways, three trials each
#
# Each way gets the same rates, judged on the tuning sentences, with seed 1. Then its best rate goes on to the validation
# sentences, with other seeds: **what chooses does not judge**, and that holds for a seed as well.

# %%
half = layers // 2
ways = {
    "all layers alike": (0, 1.0),
    "upper half only": (half, 1.0),
    "layer by layer": (0, 0.7),
}  # frozen, decay
ladder = settings.pick(smoke=[3e-4, 9e-4], cpu=[3e-4, 9e-4, 2.7e-3])


# %%
def trial(way, rate, seed):
    """One training of a way; found again if it has been there."""
    frozen, decay = ways[way]
    model = build(seed)
    for name, weight in model.named_parameters():
        weight.requires_grad_(not frozen or depth_of(name) >= frozen)
    name = f"{way.replace(' ', '-')}-{rate:g}"
    return train_with(
        name,
        seed,
        model,
        lambda model, args: optimizer_for(model, args, decay),
        learning_rate=rate,
    )


# %%
trials = {
    way: [100 * right_of(*trial(way, rate, 1), "tuning").mean() for rate in ladder]
    for way in ways
}
best = {way: ladder[int(np.argmax(scores))] for way, scores in trials.items()}
print(f"chosen: {best}")
for at, rate in enumerate(ladder):
    print(f"highest score at {rate:g}: {max(ways, key=lambda way: trials[way][at])}")

# %%
title = f"Best of {len(ladder)}: " + ", ".join(
    f"{rate:g} for {way.split()[0]}" for way, rate in best.items()
)
figure = plots.lines(
    ladder,
    trials,
    log_x=True,
    title=title,
    xlabel="learning rate of the top (log scale)",
    ylabel="tuning sentences right (%)",
)
plots.show(
    figure,
    alt=f"Accuracy on the tuning sentences by learning rate, for three ways to train. {title}.",
)

# %%
seconds = {}
for way, rate in best.items():
    runs = [trial(way, rate, seed) for seed in seeds]
    hits |= {(way, seed): right_of(*pair) for seed, pair in zip(seeds, runs, strict=True)}
    scores = [100 * hits[way, seed].mean() for seed in seeds]
    seconds[way] = np.median([run.seconds for run, _ in runs])
    print(
        f"{way:<17} {', '.join(f'{score:.1f}' for score in scores)} "
        f"  mean {np.mean(scores):.1f} %   {seconds[way]:.1f} s"
    )
print(f"counting words    {word_bar:.1f} %")

# %%
against = {way: compared(way, "all layers alike") for way in list(ways)[1:]}
bars = {}
for way, difference in against.items():
    for seed in seeds:  # a single pair of models
        pair = metrics.compare(hits[way, seed], hits["all layers alike", seed])
        bars[f"{way}, seed {seed}"] = pair.points
    bars[f"{way}, together"] = difference.points
    print(f"{way} against all layers alike: {difference}")

# %%
title = "Against all layers alike: " + "; ".join(
    f"{way} {difference.verdict}" for way, difference in against.items()
)
figure = plots.interval_bars(
    list(bars),
    list(bars.values()),
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy, with 95 % intervals",
)
plots.show(
    figure, alt=f"Paired differences per seed and together for two ways to train. {title}."
)

# %% [markdown]
# A row of a single seed compares two models. The two rows called *together* compare two ways to train, and are what you
# may report.
#
# Now back to the curves by rate. Has the same way the highest score at every rate? If the lines cross, here is why: a
# high rate throws the lower layers about, which know what holds for any text, and whoever holds them still or slow can
# use a rate that the others cannot. Then, with one rate for all three, *which* rate would have decided who wins. That is
# why each had its own trials. (One task, one small model, one short pass. If a best rate is an outermost one, a fourth
# trial is due, for all three.) And mind the seconds: the upper half has less to compute, whatever its score.
#
# ## What you saw


# %%
accuracy = {
    name: (bill["logits"].argmax(axis=1) == truth["validation"]).mean()
    for name, bill in bills.items()
}
tracking.record("leak_points", leak_points)
tracking.record("padding_ratio", padding_ratio)
tracking.record("gradient_gap", gradient_gap)
tracking.record(
    "same_answers", (bills["4 × 4 accumulated"]["logits"].argmax(axis=1) == reference).mean()
)
tracking.record("accumulation_saves_16", saved[16])
tracking.record("accumulation_saves_64", saved[64])
tracking.record("bf16_saves", saved_bf16)
tracking.record("bf16_points", 100 * (accuracy["bf16"] - accuracy["as it was"]))
tracking.record("lost_share", lost[1e-5])

# %%
tracking.record("same_peak_points", gaps[0].points[0])
tracking.record("same_way_points", gaps[1].points[0])
tracking.record("cosine_points", gaps[2].points[0])
tracking.record("changed_by_decay", changed_by_decay)
tracking.record(
    "best_accuracy", np.mean([hits["all layers alike", seed].mean() for seed in seeds])
)
tracking.record("upper_half_points", against["upper half only"].points[0])
tracking.record("layerwise_points", against["layer by layer"].points[0])
tracking.record("upper_half_seconds", seconds["upper half only"] / seconds["all layers alike"])

# %% [markdown]
# Your two drawers. Which argument do you switch on without a second thought, which one only after a measurement, and
# which ones will you leave alone? Write between the quotes.

# %%
my_drawers = {
    "Changes only the bill": "",
    "Changes the result": "",
    "Not worth an argument here": "",
}

# %%
written = [f"**{title}.** {text.strip()}" for title, text in my_drawers.items() if text.strip()]
if written:
    progress.write_journal("technique_full_intermediate", "\n\n".join(written))
else:
    print("Nothing written yet. The cell can be run again at any time.")

# %% tags=["quiz"]
quiz = [
    {
        "question": "Batches of 16, 800 sentences, one epoch. You add gradient_accumulation_steps=4 and change nothing else. What have you changed?",
        "choices": [
            (
                "Only the bill: accumulation keeps the result.",
                "It would, if the batch were divided by four at the same time. It was not.",
                False,
            ),
            (
                "The batch is now 64, and there are 13 steps instead of 50.",
                "Right. A quarter of the steps, so a quarter of the way: another training.",
                True,
            ),
            (
                "Each step needs four times the activations.",
                "The parts go through one after the other, each as large as before.",
                False,
            ),
            (
                "Nothing: the Trainer divides the batch by itself.",
                "per_device_train_batch_size stays what you said.",
                False,
            ),
        ],
        "proof": """
import math
assert math.ceil(800 / 16) == 50
assert math.ceil(50 / 4) == 13
""",
    },
    {
        "question": "A model is loaded with dtype=torch.bfloat16 and trained at 1e-5. The loss hardly falls. What do you try first?",
        "choices": [
            (
                "bf16=True in the arguments.",
                "That shortens the arithmetic. The trouble is in the storage: 8 significant bits.",
                False,
            ),
            (
                "Load it in float32 and train with bf16=True.",
                "Right. Small steps survive in 32 bits, and the multiplications stay fast.",
                True,
            ),
            (
                "A smaller learning rate.",
                "Then even more steps would be lost in rounding.",
                False,
            ),
            (
                "More accumulation.",
                "The gradient gets steadier, but AdamW's step is as long as before: about the rate.",
                False,
            ),
        ],
        "proof": """
import torch
weight = torch.tensor(0.05, dtype=torch.bfloat16)
for _ in range(1000):
    weight = weight - 1e-5
assert weight == torch.tensor(0.05, dtype=torch.bfloat16)
assert abs((torch.tensor(0.05) - 1000 * 1e-5).item() - 0.04) < 1e-6
""",
    },
    {
        "question": "A report: 'Constant beats linear by 8 points. Same peak rate, same number of steps, short run.' What do you ask?",
        "choices": [
            (
                "Whether cosine was tried as well.",
                "It would have about the same area as the line, and say nothing new.",
                False,
            ),
            (
                "Whether the linear run was given a higher peak in another trial.",
                "Right. At the same peak the line travels about half as far; the report compares distances.",
                True,
            ),
            (
                "Whether the warm-up was long enough.",
                "Both had the same. It is not what tells them apart.",
                False,
            ),
            (
                "Nothing: same peak and same steps are a fair comparison.",
                "Fair to the steps, not to the way that the weights may go.",
                False,
            ),
        ],
        "proof": """
import torch
from transformers import get_scheduler
def area(kind):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, total = get_scheduler(kind, optimizer, 10, 100), 0.0
    for _ in range(100):
        total += schedule.get_last_lr()[0]; optimizer.step(); schedule.step()
    return total
assert 0.5 < area("linear") / area("constant_with_warmup") < 0.56
assert abs(area("cosine") / area("linear") - 1) < 0.02
""",
    },
    {
        "question": "A table of support mails, several per customer, no mail twice. You will be judged on new customers. How do you split?",
        "choices": [
            (
                "At random by mail: there are no copies.",
                "Mails of one customer share product, tone and story. Whoever has read three of them recognises the fourth.",
                False,
            ),
            (
                "By a fingerprint of the text.",
                "It keeps copies together. There are none, so it is a random split with more work.",
                False,
            ),
            ("By customer.", "Right: what rows have in common stays on one side.", True),
            (
                "At random, with the same mix of labels in each part.",
                "The mix would be fine, and the leak would be there.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **A real plateau.** Set `peak` to 3e-4 and run the schedules again. Does the way still decide?
# - **Label smoothing.** `label_smoothing_factor=0.1` asks for 90 % certainty instead of all of it. Accuracy over three
#   seeds first, then calibration (Day 5). Which drawer is it for?
# - **Your own table.** Change `my_file` and `columns`. What is `group` in it?
#
# **Read.** Micikevicius and others (2018), "Mixed Precision Training", section 3.1, on why a copy of the weights stays in
# 32 bits. Howard and Ruder (2018), section 3.2, on rates per layer. Loshchilov and Hutter (2019), "Decoupled Weight Decay
# Regularization", section 2, for what that argument does at each step. The
# [guide](../../curriculum/guides/full_finetuning.md) has the pros and cons of training every weight.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/full_intermediate.py`](../examples/full_intermediate.py) has a rate per layer, frozen embeddings
# and the best epoch in one plain file, without our helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=600)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/full_intermediate.py --data my_texts.csv --output my_model --epochs 2
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "full_intermediate.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_model")]
sys.argv += ["--epochs", settings.pick(smoke="1", cpu="2")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# Few rows and many epochs are where its care pays. Have a file of your own? Give it two columns, `text` and `label`,
# put its path into `mine`, and run the last cell again.
