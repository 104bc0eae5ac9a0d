# %% [markdown]
# ## A model that nearly works
#
# Suppose you want to sort movie reviews into *liked it* and *did not*. Somebody hands you a small
# language model that has read a good part of the internet. Nobody has trained it on your reviews.
# How far do you get?
#
# That question is this whole course in small. You will start from a model that *nearly* does the job,
# find out what it lacks, and change it as little as possible until it does the job well.

# %%
from labhelpers import settings

lab = settings.start("day01")

# %%
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import torch
from joblib import Memory
from mlflow import MlflowClient
from peft import LoraConfig, get_peft_model
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from transformers import AutoModelForCausalLM, AutoTokenizer

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, tracking, widgets

# %% [markdown]
# (The *profile* says how much work suits this machine; the *seed* starts every random number at the same
# place, so that you see what we saw.)
#
# The model is SmolLM2-135M-Instruct: 135 million numbers, called *parameters* or *weights*, which its
# makers adjusted until it predicted text well, and then adjusted again until it answered requests.
# (Our copy went through a 4-bit file once on its way here, so it is a little blunter than the original.)
#
# A *tokenizer* cuts text into pieces and gives each piece a number; the model reads only numbers.

# %%
smollm = models.source("decoder")
tokenizer = AutoTokenizer.from_pretrained(smollm, padding_side="left")
# Numbers of half the length (bfloat16) are quicker only where the processor computes with them
# directly.
number_type = torch.bfloat16 if settings.computes_bf16() else torch.float32
judge = AutoModelForCausalLM.from_pretrained(smollm, dtype=number_type)
judge = judge.eval().to(settings.device())
print(f"{judge.num_parameters():,} parameters, {len(tokenizer):,} different pieces of text")

# %% [markdown]
# We ask politely, and we ask for one word. The *chat template* wraps the request in the marks that
# the model saw when it learned to answer.


# %%
def request(sentence):
    task = "Is this sentence from a movie review positive or negative? Answer with one word."
    messages = [{"role": "user", "content": f"{task}\n\nSentence: {sentence}"}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


def as_batch(texts):
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    return batch.to(judge.device)


# %%
first = [
    "I loved every minute of it.",
    "Two hours of my life I will never get back.",
    "A dull, lifeless film.",
    "The laughs are as rare as snow in July.",
    "The cast is brilliant; the script is not.",
]
batch = as_batch([request(sentence) for sentence in first])
replies = judge.generate(**batch, max_new_tokens=12, do_sample=False)
new = replies[:, batch["input_ids"].shape[1] :]
for sentence, reply in zip(first, tokenizer.batch_decode(new), strict=True):
    print(f"{sentence}\n    → {reply.split('<|im_end|>')[0].strip()}")

# %% [markdown]
# Fluent, friendly, and (in our run) not one word long. Some verdicts are right. Some are comically wrong.
#
# Five sentences prove nothing, so we take real ones: snippets of movie reviews, each rated by people.
# Half of them are positive. Before we count, commit yourself.

# %%
guess = widgets.predict(
    "day01-judge", "How many of 100 review sentences will SmolLM2 judge correctly?", 0, 100, "%"
)

# %% [markdown]
# ## More than it says
#
# Writing out replies is slow, and reading them is a matter of taste. We look one step earlier. The
# model likes to begin with *The sentence is*. We put these words into its mouth and look at what it
# would write next: it gives every piece of text a score, called a *logit*, and the highest one wins.
# The difference between two of them is its preference:
#
# > preference = score of " positive" − score of " negative"
#
# Above zero it says *positive*.


# %%
def begun_answers(sentences):
    return [request(sentence) + "The sentence is" for sentence in sentences]


# Memory keeps what a function returned in the workspace; asked again, it answers at once.
@Memory(lab.workspace / "judged", verbose=0).cache(ignore=["batch_size"])
def preferences(prompts, model, batch_size=16):
    """Score of " positive" minus score of " negative" after each prompt; shape (n,)."""
    liked, disliked = (tokenizer.encode(word)[0] for word in (" positive", " negative"))
    found = np.zeros(len(prompts))
    # Like lengths share a batch: little padding.
    order = np.argsort([len(prompt) for prompt in prompts])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        with torch.inference_mode():
            batch = as_batch([prompts[row] for row in rows])
            scores = judge(**batch, logits_to_keep=1).logits[:, -1]
        found[rows] = (scores[:, liked] - scores[:, disliked]).float().cpu().numpy()
    return found


# %% [markdown]
# We need two sets of sentences: some to look at and fiddle with, and some held back until we want an
# honest number. The usual names are *training* and *validation* set. Keep them apart from the first day on.

# %%
reviews = data.prepared("sentiment")
looked_at = reviews["train"].select(range(settings.pick(smoke=60, cpu=100)))
held_back = reviews["validation"].select(range(settings.pick(smoke=60, cpu=200)))
tuning_preference = preferences(begun_answers(looked_at["text"]), smollm)
preference = preferences(begun_answers(held_back["text"]), smollm)
tuning_positive = np.array(looked_at["label"]) == 1
is_positive = np.array(held_back["label"]) == 1
said_positive = preference > 0
print(f"{len(held_back)} sentences held back, {is_positive.mean():.0%} of them positive.")

# %% [markdown]
# Now your first exercise. It is easy on purpose: it shows you how exercises work here.
#
# - Replace the three dots by your answer and run the cell.
# - Run the cell below it. It says whether the answer is right and, if not, what is wrong with it.
# - Stuck? `exercise.hint(…)` gives one hint per call, and `exercise.solution(…)` opens after one attempt.
# - Whatever you do, the lesson goes on: with your answer if it is right, with ours otherwise.

# %% tags=["exercise"] exercise="day01/first-steps" answer="accuracy" minutes=2 difficulty=1
# said_positive: what the model said, True or False per sentence.
# is_positive:   what people said, True or False per sentence.
# Which fraction (0 to 1) of the sentences did the model get right? This is called its accuracy.
accuracy = ...
# <solution>
accuracy = (said_positive == is_positive).mean()
# </solution>


# %% tags=["check"] exercise="day01/first-steps"
def check(answer):
    model, people = preference > 0, np.array(held_back["label"]) == 1
    if not (np.array_equal(said_positive, model) and np.array_equal(is_positive, people)):
        return (
            "Your cell changes `said_positive` or `is_positive`, and the cells below need both. Run the cell above "
            "that makes them once more, and give your own results other names."
        )
    answer = np.asarray(answer)
    if answer.size != 1:
        return f"You have {answer.size} values. One number is asked for: how large a share of the sentences is right?"
    value, right, n = float(np.ravel(answer)[0]), int((model == people).sum()), len(people)
    if abs(value - right / n) < 1e-6:
        return None
    if abs(value - right) < 0.001:
        return f"That is how many it got right, {right}. A fraction compares it with how many there are, {n}."
    if abs(value - 100 * right / n) < 0.1:
        return "Right in percent. Here an accuracy is a fraction between 0 and 1, as every library has it."
    if abs(value - (1 - right / n)) < 1e-6:
        return "That is the share it got wrong. It has a name too: the error rate."
    if abs(value - model.mean()) < 1e-6:
        return "That is how often the model says positive, right or wrong. Where do the people come in?"
    if abs(value - people.mean()) < 1e-6:
        return "That is how often people say positive. Where does the model come in?"
    if abs(value - right / n) < 0.006:
        return f"Very near: {value} for {right} of {n}. Did you round it, or type it in? Leave it as it was computed."
    return (
        f"Your value is {value:.4g}, and the two arrays agree on another share of the {n} sentences. We do not "
        "recognise the mistake: compare the arrays one by one first."
    )


hints = [
    "`said_positive == is_positive` compares the arrays sentence by sentence.",
    "In arithmetic, True counts as 1 and False as 0. What is the mean of such an array?",
    "`(… == …).mean()`",
]
misconceptions = [
    ("accuracy = said_positive == is_positive", "One number is asked for"),
    ("accuracy = (said_positive == is_positive).sum()", "how many it got right"),
    ("accuracy = 100 * (said_positive == is_positive).mean()", "Right in percent"),
    ("accuracy = said_positive.mean()", "how often the model says positive"),
    ("accuracy = (said_positive != is_positive).mean()", "share it got wrong"),
]

# %%
guess.compare(100 * accuracy)
tracking.record("judge_accuracy", accuracy)
print(f"It called {said_positive.mean():.0%} of the sentences positive.")

# %% [markdown]
# Look at the second number. In our run the judge is a yes-man: nearly everything is *positive* to it. Where
# half the sentences are positive, that alone earns half the points, the same as a coin. So, useless?
#
# Look at the misses beside the hits, with their preferences.


# %%
def show_some(title, rows, count=3):
    print(title)
    for row in rows[:count]:
        print(f"  {preference[row]:+.2f}  {held_back['text'][int(row)][:95]}")


right = said_positive == is_positive
show_some("Hits:", np.flatnonzero(right))
show_some("Misses:", np.flatnonzero(~right))

# %% [markdown]
# It says *positive* to almost all of them, but not with the same conviction. Here is every sentence we
# allowed ourselves to look at, one dot each. Move the line and watch the title.


# %%
def draw_line(cut=0.0):
    called = tuning_preference > cut
    hits = (called == tuning_positive).mean()
    figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
    height = tuning_positive + np.random.default_rng(0).uniform(-0.3, 0.3, len(called))
    colours = np.where(tuning_positive, plots.COLOURS[0], plots.COLOURS[1])
    axes.scatter(tuning_preference, height, color=colours)
    axes.axvline(cut, color="black")
    sides = ["people say\nnegative", "people say\npositive"]
    axes.set(yticks=[0, 1], yticklabels=sides, ylim=(-0.5, 1.5))
    axes.set_xlabel("preference of the model: left of the line it says negative")
    title = f"Line at {cut:.2f}: {hits:.0%} right, {called.mean():.0%} called positive"
    axes.set_title(title, loc="left")
    alt = f"Positive sentences lie further right; a line at {cut:.2f} gets {hits:.0%} right."
    plots.show(figure, alt=alt)


widgets.explore(draw_line, cut=(-1.0, 3.0, 0.125))

# %% [markdown]
# The two clouds overlap, but they are not the same cloud. The model *does* tell liked from disliked.
# It only draws its line in the wrong place. It knows more than it says.
#
# So we teach it one single number.

# %% tags=["exercise"] exercise="day01/one-number" answer="cut" minutes=8 difficulty=2
# Find a better place for the line. Use only the sentences you may look at:
# tuning_preference: array of numbers, one per sentence.
# tuning_positive:   what people said, True or False per sentence.
# `cut` is one number; a sentence with a preference above it is called positive.
# Let the computer choose: try every preference as a place, keep one with the highest accuracy.
cut = ...
# <solution>
places = np.unique(tuning_preference)
cut = max(places, key=lambda place: np.mean((tuning_preference > place) == tuning_positive))
# </solution>


# %% tags=["check"] exercise="day01/one-number"
def count_right(place, scores=tuning_preference, truth=tuning_positive):
    return int(np.sum((scores > place) == truth))


def agrees(expected, found):
    return count_right(float(found)) == count_right(expected)


def check(answer):
    if np.all(np.diff(tuning_preference) >= 0) or not np.array_equal(
        tuning_positive, np.array(looked_at["label"]) == 1
    ):
        return (
            "Your cell changes `tuning_preference` or `tuning_positive`, so a number no longer stands beside its "
            "label. Run the cell that makes them once more, and work on copies: np.sort makes one."
        )
    answer = np.asarray(answer)
    if answer.size != 1:
        return f"The line is one number, and this is {answer.size} of them. Which of them is the best place?"
    place, places, n = (
        float(np.ravel(answer)[0]),
        np.unique(tuning_preference),
        len(tuning_positive),
    )
    counts = np.array([count_right(at) for at in places])
    most, chosen = counts.max(), places[counts == counts.max()]
    if np.isfinite(place) and count_right(place) == most:
        return None
    if place == 0:
        return "Zero is where the model already draws its line. Nothing has been learned from the sentences yet."
    if min(abs(place - most / n), abs(place - most)) < 1e-9:
        return "That is the accuracy at the best place. Which place is it that earns this accuracy?"
    if place.is_integer() and 0 <= place < n:
        at = int(place)
        if (
            place > places[-1]
            or tuning_preference[at] in chosen
            or places[at : at + 1] in chosen
        ):
            return f"Is {at} a position in a list? The line is drawn at a preference: take the one that stands there."
    if np.isnan(place):
        return "Your number is nan, “not a number”. Did you take the mean of something empty?"
    if place > places[-1]:
        return f"No preference is above {places[-1]:.2f}, so a line at {place:.4g} calls nothing positive."
    there = [count_right(at, preference, is_positive) for at in np.unique(preference)]
    if count_right(place, preference, is_positive) == max(there):
        return (
            "That is the best place for the sentences held back. They must not choose: then they could no longer say "
            "how good the choice is. Use `tuning_preference` and `tuning_positive`."
        )
    if min(abs(place - np.mean(places)), abs(place - tuning_preference.mean())) < 1e-6:
        return "That is the mean of the preferences, and no label went into it. Let the labels choose the place."
    side = "left" if place < chosen.min() else "right" if place > chosen.max() else "near a gap"
    return (
        f"A line at {place:.4g} gets {count_right(place)} of the {n} sentences right, and another place gets {most}. "
        f"It calls {(tuning_preference > place).sum()} positive, and people {tuning_positive.sum()}. "
        + (f"The line is too far {side}." if side != "near a gap" else "Try every preference.")
    )


hints = [
    "Good places to try are the preferences themselves: `np.unique(tuning_preference)`.",
    "For one place: `np.mean((tuning_preference > place) == tuning_positive)`. Now loop and keep the best.",
    "`max(places, key=lambda place: …)` returns the place for which the lambda is largest.",
]
misconceptions = [
    ("cut = 0.0", "Zero is where the model already draws its line"),
    ("cut = tuning_preference[tuning_positive]", "The line is one number"),
    ("cut = tuning_preference.min()", "too far left"),
    ("cut = tuning_preference.max()", "too far right"),
    ("cut = len(tuning_preference) // 2", "position in a list"),
]

# %%
taught = metrics.bootstrap_interval((preference > cut) == is_positive)
raw = metrics.bootstrap_interval(said_positive == is_positive)
gain = metrics.compare((preference > cut) == is_positive, said_positive == is_positive)

# %%
figure = plots.interval_bars(
    ["as it came", "one number learned"],
    [raw, taught],
    reference=0.5,
    reference_label="a coin",
    guess=None if guess.value is None else guess.value / 100,
    xlabel="accuracy on the sentences held back, with 95 % interval",
    title=f"One learned number against none: {gain}",
)
alt = (
    f"Accuracy {raw.estimate:.2f} as it came and "
    f"{taught.estimate:.2f} with one learned number, with intervals."
)
plots.show(figure, alt=alt)

# %%
tracking.record("one_number_accuracy", taught.estimate)

# %% [markdown]
# The bars around the dots say how far the number might move on other sentences; Day 3 explains them. The
# title compares the two on the *same* sentences, and ends in a verdict: *better*, *worse* or *undecided*.
#
# <!-- asked: D01-T1 -->
# You did not teach the model what *boring* means. It knew. You took what was there, used a few labelled
# examples, and changed one number so that its knowledge came out the way *you* need it. **Fine-tuning is
# this, with more numbers**: start from pretrained weights, adjust them a little on your own examples,
# and check on examples that you kept apart.
#
# One number moves a line. Many numbers can bend it, and reach what no line can: *the laughs are as rare
# as snow in July*. How many do you need, and where in the model do you put them? The rest of today is
# about these two questions.

# %%
judge = batch = replies = (
    None  # gives the memory back: the rest of the lesson needs another model
)

# %% [markdown]
# ## The map
#
# Four weeks, one line per lesson, printed from the same file that makes every header and checklist.
# ● can be opened today, ○ is still being written.

# %%
from labhelpers import timetable

for week in timetable.load()["weeks"]:
    print(f"\n{week['title']}: {week['focus']}")
    for day in week["days"]:
        mark = "●" if day["status"] == "ready" else "○"
        print(
            f"  {mark} {timetable.label(day):<19} "
            f"{timetable.minutes(day):>4} min   {day['title']}"
        )

# %% [markdown]
# Day 2 prepares these reviews properly, Day 3 builds the baselines that any training has to beat, and
# on Day 4 you fine-tune a model and test it once. Each lesson also runs alone: what it needs from
# earlier days, it makes.
#
# <!-- asked: D01-T2 -->
# And the folders. Two of them are yours.

# %% tags=["fold"]
folders = {
    "lessons": (lab.root / "lessons", "the notebooks you work in"),
    "progress": (lab.progress, "YOURS: ticks and journal, plain Markdown"),
    "workspace": (lab.workspace, "YOURS: data, runs and results the lessons make"),
    "curriculum": (
        lab.root / "curriculum",
        "what the lessons are built from, and the timetable",
    ),
    "labhelpers": (lab.root / "labhelpers", "a small package; read it whenever you wonder"),
    "cache": (lab.cache, "models and data fetched at set-up, shared by all copies"),
}
for name, (folder, purpose) in folders.items():
    print(
        f"{name:<11} {purpose}\n{'':<11} "
        f"{folder}{'' if folder.exists() else '  (made when needed)'}"
    )

# %% [markdown]
# You can delete the workspace and lose nothing but computing time. Deleting `progress` loses your notes.

# %% [markdown]
# ## Where does sentiment live?
#
# A model is a stack of layers. Text goes in at the bottom; each layer rewrites the numbers it gets from
# the one below. You will often read that low layers hold the general (letters, words, grammar) and high
# layers the specific (meaning, the task). It is the reason why *transfer learning* works: keep
# what a network learned on one task, and reuse it for another.
#
# Do not believe it, look. We switch to the course's second model, MiniLM (DistilBERT in the GPU profile),
# an *encoder*: it does not write, it turns a sentence into a list of numbers. We keep its weights *frozen*,
# which means that nothing in it is trained, and ask it for the list after *every* layer.

# %%
train = reviews["train"].select(range(min(2000, len(reviews["train"]))))
validation = reviews["validation"]
train_features = models.embeddings(train["text"], layers="all")
validation_features = models.embeddings(validation["text"], layers="all")
train_labels, validation_labels = np.array(train["label"]), np.array(validation["label"])
print("sentences, layers, numbers per sentence:", train_features.shape)

# %% [markdown]
# Layer 0 is the embedding layer: one list of numbers per word piece, looked up, before the words have
# "talked" to each other. The last layer is what the model hands out. For each, the lists of a
# sentence's pieces are averaged into one.
#
# Where would you put the best place to read off whether the writer liked the movie?

# %%
last = train_features.shape[1] - 1
layer_guess = widgets.predict(
    "day01-layer", f"Which layer tells liked from disliked best (0 to {last})?", 0, last
)

# %% [markdown]
# The instrument is a *linear probe*: logistic regression, the simplest trainable classifier, which
# weighs the numbers and adds them up. It is too simple to work out much by itself. If it finds the
# sentiment, the sentiment was lying there to be read. `C=0.01` keeps it modest: with hundreds of
# numbers per sentence, a probe left alone would learn the training sentences by heart.


# %%
def probe(layer, targets=train_labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    with threadpool_limits(
        1
    ):  # so small a job is done sooner by one processor core than by several
        return model.fit(train_features[:, layer], targets)


layers = range(last + 1)
correct = np.array(
    [
        probe(layer).predict(validation_features[:, layer]) == validation_labels
        for layer in layers
    ]
)
best, lowest = int(correct.mean(axis=1).argmax()), correct.mean(axis=1).min()

# %%
layer_figure = plots.interval_bars(
    ["0 (embeddings)"] + [f"layer {layer}" for layer in layers[1:]],
    [metrics.bootstrap_interval(row) for row in correct],
    reference=0.5,
    reference_label="a coin",
    xlabel=f"accuracy on {len(validation)} validation sentences, with 95 % interval",
    title=f"Every layer reaches {lowest:.0%}; layer {best} has the highest dot",
)
plots.show(
    layer_figure, alt=f"Probe accuracy per layer with intervals. The highest is layer {best}."
)
layer_guess.compare(best)

# %% [markdown]
# Two surprises in our run. Even layer 0 gets far with averaged words: *brilliant* and *dull* give much away.
# And the intervals overlap so much that "the best layer is such and such" looks daring.
#
# It is less hopeless than it looks. The layers judged the *same* sentences. If two of them stumble over
# the same hard ones, that bad luck cancels when we compare them sentence by sentence. This is a *paired*
# comparison, and it is much sharper than laying two intervals side by side.

# %% tags=["exercise"] exercise="day01/tied-layers" answer="tied" minutes=8 difficulty=2
# Which layers can these sentences NOT tell from the best one?
# metrics.compare(a, b) returns accuracy of a minus that of b on the same sentences,
# with a 95 % interval: .estimate, .low, .high.


def tied(correct, best):
    """Which layers can these sentences not tell from layer `best`?

    correct: array of shape (layers, sentences), True where that layer's probe is right.
    best: number of the layer to compare with (`best` itself may be in the list or not).
    Returns a list of layer numbers whose paired interval against `best` includes zero.
    """
    ...


# <solution>
def tied(correct, best):
    gaps = [metrics.compare(correct[best], row) for row in correct]
    return [layer for layer, gap in enumerate(gaps) if gap.low <= 0 <= gap.high]


# </solution>


# %% tags=["check"] exercise="day01/tied-layers"
def check(answer):
    if not callable(answer):
        return "`tied` should stay a function: we try it out on results whose answer we know, not only on yours."
    draw = np.random.default_rng(1)
    top = draw.random(1000) < 0.8
    right, wrong = np.flatnonzero(top), np.flatnonzero(~top)
    twin, same_mistakes = top.copy(), top.copy()
    twin[right[:95]], twin[wrong[:80]] = False, True  # worse by 15 sentences, differs on 175
    same_mistakes[right[:12]] = False  # worse by 12, and never right where `top` is wrong
    made_up = np.array([draw.random(1000) < 0.55, same_mistakes, twin, top])
    found = answer(made_up, 3)
    if found is None:
        return "The function returns nothing. It should return a list of layer numbers."
    if not hasattr(found, "__iter__") or isinstance(found, str):
        return f"The function returns {found!r}. It should return a list of layer numbers."
    found = list(found)
    if any(isinstance(layer, bool | np.bool_) for layer in found):
        return "You say True or False for each layer. The numbers of the layers that are True are asked for."
    if not all(isinstance(layer, int | np.integer) for layer in found):
        return (
            f"The list holds {found[:2]}. The numbers of layers are asked for, such as 0 or 3."
        )
    found = {int(layer) for layer in found} - {3}
    if 0 in found:
        return "We tried it on a layer 25 points worse than the best, and it was called tied. What rules one out?"
    if 1 in found:
        return (
            "We tried a layer that makes every mistake of the best one and 12 more. Its own interval overlaps "
            "the best one's, but sentence by sentence it is never better. Compare in pairs."
        )
    if 2 not in found:
        return (
            "We tried a layer that loses 95 sentences to the best one and wins 80 back. You ruled it out, but a "
            "difference like that may be luck. When does an interval say so?"
        )
    if found - {1, 2}:
        return f"We tried four layers, and your list holds {sorted(found - {1, 2})}: there is no such layer."
    return None


def inputs(draw):
    for chosen, chances in [
        (0, [0.9, 0.5, 0.88]),
        (2, [0.6, 0.95, 0.65, 0.9, 0.55]),
        (1, [0.7, 0.7]),
    ]:
        yield draw.random((len(chances), 300)) < np.array(chances)[:, None], chosen
    twins = np.tile(draw.random(40) < 0.8, (3, 1))
    yield twins.astype(int), 1
    yield twins[:1], 0


def trial(answer, correct, best):
    return sorted({int(layer) for layer in answer(correct, best)} | {best})


hints = [
    "Compare `correct[best]` with each row of `correct`. `enumerate(correct)` gives you number and row.",
    "An interval includes zero if its low end is not above 0 and its high end not below 0.",
    "`gap = metrics.compare(correct[best], row)`, then test `gap.low <= 0 <= gap.high`.",
]
misconceptions = [
    ("def tied(correct, best):\n    return [best]", "may be luck"),
    ("def tied(correct, best):\n    return list(range(len(correct)))", "What rules one out?"),
    (
        "def tied(correct, best):\n"
        "    spans = [metrics.bootstrap_interval(row) for row in correct]\n"
        "    return [k for k, span in enumerate(spans) if span.high >= spans[best].low]",
        "Compare in pairs",
    ),
    (
        "def tied(correct, best):\n"
        "    return [metrics.compare(correct[best], row).low <= 0 for row in correct]",
        "numbers of the layers",
    ),
    ("tied = [best]", "should stay a function"),
]

# %%
in_the_race = ", ".join(str(layer) for layer in sorted(set(tied(correct, best)) - {best}))
print(f"Highest: layer {best}. Not to be told from it here: layers {in_the_race or 'none'}.")
half = len(validation) // 2
chosen = int(correct[:, :half].mean(axis=1).argmax())
gap = metrics.compare(correct[chosen, half:], correct[last, half:])
print(f"One half of the sentences chooses layer {chosen}.")
print(f"The other half says of it, compared with the last layer: {gap}")
tracking.record("best_layer_accuracy", correct[best].mean())
tracking.record("last_layer_accuracy", correct[last].mean())

# %% [markdown]
# So the honest sentence is not "sentiment lives in layer so-and-so". It is "sentiment can be read best
# in *these* layers, and this data cannot choose between them". Even that flatters the winner a little:
# we picked the highest of several noisy numbers, and the highest tends to have been lucky. So the last two
# lines let one half of the sentences choose and the other half judge. The quiz comes back to this.
#
# One thing should bother you: in our run the *last* layer, the one that everybody uses, falls behind.
# Is it not the one that understands most? We can test the story of general and specific directly. Let us
# probe for something silly: does the sentence contain a comma? Does it contain the word *the*? That is
# surface, not meaning.

# %%
surface = {
    "has a comma": lambda text: "," in text,
    "has the word the": lambda text: " the " in f" {text.lower()} ",
}
curves = {"liked or not": correct.mean(axis=1)}
for name, test in surface.items():
    targets, truth = (
        np.array([test(text) for text in split["text"]]) for split in (train, validation)
    )
    commoner = max(truth.mean(), 1 - truth.mean())
    print(f"{name}: always guessing the commoner answer gets {commoner:.0%}")
    curves[name] = [
        (probe(layer, targets).predict(validation_features[:, layer]) == truth).mean()
        for layer in layers
    ]

# %%
lost = 100 * (curves["has a comma"][0] - curves["has a comma"][last])
gained = 100 * (correct[last].mean() - correct[0].mean())
figure = plots.lines(
    list(layers),
    curves,
    xlabel="layer (0 = embeddings)",
    ylabel="probe accuracy",
    title=f"From first to last layer: comma {-lost:+.0f} points, sentiment {gained:+.0f}",
)
plots.show(
    figure,
    alt=(
        "Three probes by layer. From first to last layer "
        f"the comma changes by {-lost:+.0f} points, sentiment by {gained:+.0f}."
    ),
)

# %% [markdown]
# In our run, the surface can be read almost perfectly in the low layers; towards the top its probes come
# closer and closer to guessing, and sentiment changes less. MiniLM was trained to give sentences with the *same
# content* similar numbers; commas do not help there. Nor, it seems, does all of the sentiment: *I loved the plot* and *I
# hated the plot* are about the same thing. (That is our explanation, not a proof. The curve is the
# evidence.)
#
# Keep the simple picture, general below and specific above, but with a footnote: the top is specific
# *to what the model was trained for*, and that was not your task. This is what fine-tuning repairs.

# %% [markdown]
# <!-- asked: D01-T3 -->
# ## LoRA, by hand, on one matrix
#
# Now the other question: how many numbers? A layer of a 7-billion-parameter model holds matrices of
# 4096 × 4096. Changing one freely means learning a second matrix of the same size, the *update*.
#
# LoRA, *low-rank adaptation*, bets that a useful update is simple. It leaves the matrix W alone and writes
# the update as a product of two thin ones: B · A, with A of r rows and B of r columns. The
# number r is the *rank*, and you choose it.

# %%
d, r, alpha = 4096, 8, 16
W = torch.randn(d, d) / d**0.5  # the pretrained matrix: frozen
A = torch.randn(r, d) / d**0.5  # trained; starts random
B = torch.zeros(d, r)  # trained; starts at zero
print(
    "W",
    tuple(W.shape),
    " B",
    tuple(B.shape),
    " A",
    tuple(A.shape),
    " B @ A",
    tuple((B @ A).shape),
)

# %% [markdown]
# The product has the shape of W, so it can be added to W. How many numbers does it cost?

# %% tags=["exercise"] exercise="day01/lora-count" answer="lora_parameters" minutes=4 difficulty=1
# How many trainable numbers do A and B hold together? W maps d_in numbers to d_out numbers: its
# shape is (d_out, d_in). It need not be square.


def lora_parameters(d_out, d_in, r):
    """Count the numbers in A, shape (r, d_in), and B, shape (d_out, r)."""
    ...


# <solution>
def lora_parameters(d_out, d_in, r):
    return r * d_in + d_out * r


# </solution>


# %% tags=["check"] exercise="day01/lora-count"
def check(answer):
    if not callable(answer):
        return "`lora_parameters` should stay a function of d_out, d_in and r: the next cells call it for many shapes."
    square, tall = answer(4096, 4096, 8), answer(1024, 4096, 4)
    if square is None:
        return "The function returns nothing. Did you write `return`?"
    if not isinstance(square, int | float):
        return f"For 4096 × 4096 and r = 8 you return {square!r}. One number is asked for: what A and B hold together."
    if square == 4096 * 4096:
        return "That is the size of the product B @ A. We never store the product: we store its two thin factors."
    if square == 8 * 4096:
        return "That is one of the two matrices. The other one is trained as well."
    if square == 65_536 and tall == 8 * (1024 + 4096):
        return "You count with rank 8 whatever r is. The function is given the rank: use it."
    if square == 65_536 and tall != 4 * (1024 + 4096):
        return "Right for a square W. Try d_out = 1024 and d_in = 4096: A and B then differ in size."
    if square != 65_536:
        return f"For 4096 × 4096 and r = 8 you count {square:,}. Multiply rows by columns for A and for B, then add."
    return None


def inputs(draw):
    yield 1, 1, 1
    yield 48, 64, 8
    yield 7, 3, 2
    for _ in range(3):
        yield tuple(int(size) for size in draw.integers(1, 5000, 3))


hints = [
    "A matrix with m rows and n columns holds m · n numbers.",
    "A has r rows and d_in columns. And B?",
    "Add the two products.",
]
misconceptions = [
    ("def lora_parameters(d_out, d_in, r):\n    return d_out * d_in", "size of the product"),
    ("def lora_parameters(d_out, d_in, r):\n    return r * d_in", "one of the two matrices"),
    ("def lora_parameters(d_out, d_in, r):\n    return 2 * r * d_in", "Right for a square W"),
    ("def lora_parameters(d_out, d_in, r):\n    return 8 * (d_in + d_out)", "whatever r is"),
    (
        "def lora_parameters(d_out, d_in, r):\n    return d_out * r * d_in * r",
        "Multiply rows by columns",
    ),
]

# %%
count = lora_parameters(d, d, r)
assert count == A.numel() + B.numel() == 65_536
print(f"{count:,} instead of {W.numel():,}: {count / W.numel():.2%} of this one matrix.")


# %% [markdown]
# Turn the knob. At which rank does the trick stop paying?


# %%
def compare_sizes(rank=8, width=4096):
    full, thin = width * width, lora_parameters(width, width, rank)
    figure = plots.bars(
        ["every number of W", f"A and B, r = {rank}"],
        [full / 1000, thin / 1000],
        xlabel=f"numbers to train for one {width} × {width} matrix, in thousands",
        title=f"Rank {rank}: {thin:,} numbers, {thin / full:.2%} of the {full:,} in W",
    )
    plots.show(
        figure,
        alt=(
            f"Full matrix {full:,} numbers; LoRA of rank {rank}: "
            f"{thin:,}, or {thin / full:.2%} of it."
        ),
    )


ranks = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
widgets.explore(compare_sizes, rank=ranks, width=[384, 576, 4096])

# %% [markdown]
# That share is often quoted as "LoRA trains 0.4 % of the model". It is the share of *one matrix*. A
# model has many, and LoRA usually goes on a few of them. Here is the 7-billion model itself, built from
# its published shape with no memory behind it, so that we can count it anyway.

# %%
llama = models.build_empty(models.config("llama-7b"), task="causal_lm")
config = llama.config
adapted = 2 * config.num_hidden_layers  # query and value, one of each per layer
trained = adapted * lora_parameters(config.hidden_size, config.hidden_size, 8)
print(
    f"{llama.num_parameters():,} parameters; LoRA of rank 8 on {adapted} matrices: {trained:,}"
)
print(f"Share of the whole model: {trained / llama.num_parameters():.3%}")

# %% [markdown]
# ### What the zeros are for
#
# B starts at zero, so B · A is zero. Feed a few inputs through the matrix with and without the adapter.

# %%
x = torch.randn(3, d)
without, with_adapter = x @ W.T, x @ W.T + (x @ A.T) @ B.T
print("Bit for bit the same output:", torch.equal(without, with_adapter))

# %% [markdown]
# Fine-tuning starts exactly where the pretrained model stands, and moves away only as far as the
# examples pull. If A *and* B started at random, the first step would begin with a model that somebody
# had just kicked. (If both started at zero, neither would ever move: each one's gradient, the direction
# in which training pushes it, is multiplied by the other.)
#
# What do we give up? Pretend that training has filled B, and measure the *rank* of the update:
# the number of independent directions in which it can change the output. We use a smaller matrix here,
# because computing ranks of large ones takes long.

# %%
small = 256
print("r   rank of B @ A   rank of a free update")
for rank in (1, 4, 8, 16):
    update = torch.randn(small, rank) @ torch.randn(rank, small)
    free = torch.linalg.matrix_rank(torch.randn(small, small))
    print(f"{rank:<3} {torch.linalg.matrix_rank(update):>13}   {free:>21}")

# %% [markdown]
# The rank of B · A is never above r. All 256 directions are open to a free update, and only r to this
# one. A smaller rank is cheaper *and* can say less. How little is enough is a question for
# measurements (the first weekend), not for belief.

# %% [markdown]
# ### Find the bug
#
# A colleague has read a blog post and writes LoRA down in one line. To be safe, you compare with
# PEFT, the library that everybody uses, on a small layer whose B you fill yourself.


# %%
def colleague(x, W, A, B, alpha):
    return x @ W.T + x @ A.T @ B.T


layer = torch.nn.Linear(64, 48, bias=False)
peft_model = get_peft_model(
    torch.nn.Sequential(layer), LoraConfig(r=8, lora_alpha=16, target_modules=["0"])
)
adapter = peft_model.base_model.model[0]
small_A, small_B = adapter.lora_A["default"].weight, adapter.lora_B["default"].weight
torch.nn.init.normal_(small_B)
print("A", tuple(small_A.shape), " B", tuple(small_B.shape))

# %%
inputs = torch.randn(5, 64)
with torch.no_grad():
    expected = peft_model(inputs)
    claimed = colleague(inputs, layer.weight, small_A, small_B, alpha=16)
    added = [output - inputs @ layer.weight.T for output in (expected, claimed)]
print("Same output:", torch.allclose(expected, claimed, atol=1e-5))
print(
    f"PEFT's update is {(added[0].norm() / added[1].norm()).item():.3f} times the colleague's."
)

# %% [markdown]
# Same A, same B, same x, another result. The colleague takes `alpha` and never uses it.

# %% tags=["exercise"] exercise="day01/scale" answer="lora_forward" minutes=8 difficulty=3
# Repair the colleague's line so that it agrees with PEFT for every rank and every alpha.
# The factor you saw came from r = 8 and lora_alpha = 16. (LoRA paper, section 4.1.)


def lora_forward(x, W, A, B, alpha):
    """x (n, d_in), W (d_out, d_in), A (r, d_in), B (d_out, r), alpha a number → (n, d_out)."""
    ...


# <solution>
def lora_forward(x, W, A, B, alpha):
    r = A.shape[0]
    return x @ W.T + (alpha / r) * (x @ A.T @ B.T)


# </solution>


# %% tags=["check"] exercise="day01/scale"
def check(answer):
    if not callable(answer):
        return "`lora_forward` should stay a function: we call it with other ranks and other alphas."
    draw = torch.Generator().manual_seed(0)
    shapes = [(5, 7), (10, 7), (4, 7), (10, 4)]  # x, W, A, B with r = 4
    x, W, A, B = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    base, update, alpha = x @ W.T, x @ A.T @ B.T, 12.0
    output = answer(x, W, A, B, alpha)
    if output is None:
        return "The function returns nothing. It should return the output of the layer, shape (n, d_out)."
    if tuple(np.shape(output)) != (5, 10):
        return f"For x of shape (5, 7) and W of shape (10, 7) you return shape {tuple(np.shape(output))}, not (5, 10)."
    output = torch.as_tensor(output, dtype=torch.float64)

    def is_(factor, base_factor=1.0):
        return torch.allclose(output, base_factor * base + factor * update)

    if is_(3):
        return None
    if is_(1):
        return "That is the colleague's line: alpha changes nothing. In PEFT it does."
    if is_(2):
        return "That fits r = 8 and alpha = 16 and no other pair. Where does the 2 come from?"
    if is_(6):
        return "You divided by the root of r, a later idea (`use_rslora=True`). Here r = 8 and alpha = 16 gave 2."
    if is_(48):
        return (
            "That multiplies by r. With r = 8 and alpha = 16 it would give 128, and you saw 2."
        )
    if is_(12):
        return "Alpha alone is not the factor: with r = 8 and alpha = 16, PEFT's was not 16."
    if is_(3, 3):
        return "You scaled the pretrained part as well. W must stay as it is; only the update is scaled."
    if is_(3, 0):
        return "That is the update alone, scaled as it should be. The output of W itself is missing."
    if is_(12 / 8):
        return "You divided by 8, perhaps through the r of an earlier cell. Here the rank is 4: read it from A."
    if is_(4 / 12):
        return "Upside down: r = 8 and alpha = 16 would give 0.5, and you saw 2."
    if is_(12 / 7):
        return "You divided by the number of columns of A, which is d_in. The rank is its other dimension."
    if is_(12 / 10):
        return "You divided by the number of rows of B, which is d_out. The rank is its other dimension."
    return (
        "With r = 4 and alpha = 12 the result differs from PEFT's, and we do not recognise the mistake. Only the "
        "update is scaled, by one number made of r and alpha."
    )


def inputs(draw):
    for n, d_in, d_out, r, alpha in [
        (3, 6, 4, 2, 7.0),
        (1, 5, 5, 1, 0.5),
        (2, 9, 3, 8, 16),
        (2, 3, 5, 4, 0),
    ]:
        shapes = [(n, d_in), (d_out, d_in), (r, d_in), (d_out, r)]
        x, W, A, B = (torch.tensor(draw.normal(size=shape)) for shape in shapes)
        yield x, W, A, B, alpha
    yield x, *(torch.nn.Parameter(matrix) for matrix in (W, A, B)), -3.0


def trial(answer, x, W, A, B, alpha):  # as the next cell calls it
    with torch.no_grad():
        return answer(x, W, A, B, alpha=alpha)


hints = [
    "Two numbers are in play, 8 and 16, and the factor that came out was 2.",
    "The rank can be read from A: it is `A.shape[0]`.",
    "Multiply the update, and only the update, by alpha divided by the rank.",
]
misconceptions = [
    ("lora_forward = colleague", "alpha changes nothing"),
    (
        "def lora_forward(x, W, A, B, alpha):\n    return x @ W.T + 2 * (x @ A.T @ B.T)",
        "Where does the 2 come from?",
    ),
    (
        "def lora_forward(x, W, A, B, alpha):\n    return x @ W.T + alpha * (x @ A.T @ B.T)",
        "Alpha alone is not the factor",
    ),
    (
        "def lora_forward(x, W, A, B, alpha):\n    return (alpha / A.shape[0]) * (x @ W.T + x @ A.T @ B.T)",
        "scaled the pretrained part",
    ),
    (
        "def lora_forward(x, W, A, B, alpha):\n    return x @ W.T + alpha / r * (x @ A.T @ B.T)",
        "r of an earlier cell",
    ),
    (
        "def lora_forward(x, W, A, B, alpha):\n    return x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T)",
        "number of columns of A",
    ),
]

# %%
with torch.no_grad():
    repaired = lora_forward(inputs, layer.weight, small_A, small_B, alpha=16)
    print("Repaired, same output as PEFT:", torch.allclose(expected, repaired, atol=1e-5))
    merged = layer.weight + (16 / 8) * small_B @ small_A
    print(
        "One merged matrix, same output:",
        torch.allclose(expected, inputs @ merged.T, atol=1e-5),
    )

# %% [markdown]
# The output is **W x + (α / r) · B A x**. Many write-ups leave the factor out. Why is it there? B · A is a
# sum of r pieces; dividing by r keeps the sum from growing just because you asked for more pieces, so you
# need not search for a new learning rate (the size of a training step) each time you change r. Keep an eye
# on it: doubling r at the same alpha *halves* the factor.
#
# The second line is a gift. After training, the update can be added into W once, and the adapter then costs
# nothing when the model runs.

# %% [markdown]
# ## Your first MLflow run
#
# <!-- asked: D01-T9 -->
# You have just measured a handful of layers, and in a week you will not remember with how many sentences. MLflow
# is a notebook for experiments that fills itself in: *parameters* are what you chose, *metrics* what came
# out, *artefacts* are files. Here it writes to one small database in your workspace; no server runs.

# %%
address = tracking.setup("day01-layers")
with mlflow.start_run(run_name="probe-every-layer") as run:
    mlflow.log_params({"sentences": len(train), "C": 0.01, "pooling": "mean", "seed": lab.seed})
    for layer, value in enumerate(correct.mean(axis=1)):
        mlflow.log_metric("accuracy", value, step=layer)
    mlflow.log_metrics({"best_accuracy": correct[best].mean(), "best_layer": best})
    mlflow.log_figure(layer_figure, "layers.png")
print(f"Run {run.info.run_name}, {run.info.run_id[:8]}…, in {address}")

# %% [markdown]
# A record is worth something only if you can get it back. There are two ways: a table of all runs, and a client
# that knows one run in detail.

# %%
runs = mlflow.search_runs(
    experiment_names=["day01-layers"], order_by=["metrics.best_accuracy DESC"]
)
columns = {
    "tags.mlflow.runName": "run",
    "params.sentences": "sentences",
    "metrics.best_accuracy": "best accuracy",
}
print(runs[list(columns)].rename(columns=columns).head(5).to_string(index=False))

# %%
client = MlflowClient()
history = sorted(
    client.get_metric_history(run.info.run_id, "accuracy"), key=lambda point: point.step
)
print("By layer:", ", ".join(f"{point.step}: {point.value:.3f}" for point in history))
print("Artefacts:", [file.path for file in client.list_artifacts(run.info.run_id)])

# %% [markdown]
# There is a third way, with a mouse: type `lab mlflow` in a terminal and open the address it prints. Try it: change
# `run_name` in the cell that logs, run it again, and find both runs in the table. Two runs of the same thing are
# not a mistake; experiments are cheap, forgetting is not.

# %% [markdown]
# ## Your environment, checked
#
# <!-- asked: D01-T5 -->
# Most "it does not work" in this field is "it is another version". The exact versions that these lessons were
# tested with are in `requirements.lock`. Here are those that matter most, beside what this notebook uses.

# %%
import platform
import sys
from importlib.metadata import version

from labhelpers.tools import doctor

locked = doctor.locked_versions()
print(f"Python {platform.python_version()} from {sys.prefix}")
for name in ("torch", "transformers", "peft", "datasets", "mlflow", "scikit-learn"):
    print(f"{name:<14} here {version(name):<14} lock {locked.get(name, 'not listed')}")

# %% [markdown]
# The doctor looks at more: disk, memory, models and data, and whether this notebook's kernel, the process that
# runs your cells, belongs to the course's environment and not to some other Python.

# %%
for finding in doctor.examine():
    print(f"{'ok ' if finding.ok else 'FIX'} {finding.what:<22} {finding.found[:70]}")
    if finding.fix:
        print(f"    → {finding.fix}")

# %% [markdown]
# <!-- asked: D01-T8 -->
# Each line marked FIX names its own cure. `lab doctor` in a terminal prints the same, measures how fast this
# machine multiplies matrices, and tells how long each lesson will take here.

# %% [markdown]
# ## What you saw

# %%
results = tracking.recorded("day01")
print(f"SmolLM2 as it came          {results['judge_accuracy']:.1%}")
print(f"… with one number learned   {results['one_number_accuracy']:.1%}")
print(f"Probe on MiniLM, layer {best}    {results['best_layer_accuracy']:.1%}")
print(f"Probe on MiniLM, last layer {results['last_layer_accuracy']:.1%}")
print(f"LoRA, r = 8, one matrix     {count:,} of {d * d:,} numbers ({count / (d * d):.2%})")

# %% [markdown]
# A pretrained model can know more than it says. Where in the stack you read matters. And a large matrix can be
# changed with few numbers, from exactly where it stands. On Day 4 these three meet: LoRA, inside the layers,
# trained on your reviews. (Do not compare SmolLM2's rows with MiniLM's: another model, other sentences.)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Somebody says: LoRA with r = 8 on 4096 × 4096 matrices trains 0.39 % of the model. What is wrong?",
        "choices": [
            (
                "Nothing: 65,536 of 16,777,216 is 0.39 %.",
                "The division is right, but 16,777,216 is one matrix, not the model.",
                False,
            ),
            (
                "It should be 0.2 %, because only one of A and B is trained.",
                "Both are trained. B only starts at zero; it does not stay there.",
                False,
            ),
            (
                "It is the share of one matrix. On the query and value matrices of a 7-billion model it is about 0.06 %.",
                "The share of a model depends on which matrices get an adapter and on all the parameters that do not.",
                True,
            ),
        ],
        "proof": (
            "per_matrix = 8 * (4096 + 4096)\n"
            "assert round(100 * per_matrix / 4096**2, 2) == 0.39\n"
            "share = 32 * 2 * per_matrix / 6_738_415_616\n"
            "assert round(100 * share, 2) == 0.06"
        ),
    },
    {
        "question": "You attach a fresh LoRA adapter to a model and do not train. What happens to its outputs?",
        "choices": [
            (
                "They become a little worse, because A is random.",
                "A is random, but it is multiplied by a B of zeros. Nothing random gets through.",
                False,
            ),
            (
                "They stay exactly the same.",
                "B = 0 makes the update zero, so training starts exactly at the pretrained model.",
                True,
            ),
            (
                "They become a little better, because there are more parameters.",
                "More parameters help only once they have learned something.",
                False,
            ),
        ],
        "proof": (
            "import numpy as np\n"
            "draw = np.random.default_rng(0)\n"
            "x, W, A, B = draw.normal(size=(3, 9)), draw.normal(size=(7, 9)), draw.normal(size=(2, 9)), np.zeros((7, 2))\n"
            "assert np.array_equal(x @ W.T, x @ W.T + 16 / 2 * (x @ A.T @ B.T))"
        ),
    },
    {
        "question": "You go from r = 8 to r = 32 and leave alpha at 16. What else has changed?",
        "choices": [
            (
                "The update is now multiplied by 0.5 instead of 2.",
                "alpha / r was 16 / 8 and is 16 / 32. Some people therefore change alpha together with r.",
                True,
            ),
            (
                "Nothing: the rank only decides how many numbers are trained.",
                "It also stands in the factor alpha / r, which multiplies the update.",
                False,
            ),
            (
                "The update is now multiplied by 512 instead of 128.",
                "That is alpha times r. The rank divides.",
                False,
            ),
        ],
        "proof": "assert (16 / 8, 16 / 32) == (2, 0.5)",
    },
    {
        "question": "Seven probes that all know nothing are scored on 100 balanced sentences. What will the best score be?",
        "choices": [
            (
                "About 50 %: none of them knows anything.",
                "Each one alone, yes. But you report the luckiest of seven.",
                False,
            ),
            (
                "Clearly above 50 % most of the time, though none is better than a coin.",
                "The highest of several noisy numbers tends to be a lucky one. Confirm a winner on fresh data.",
                True,
            ),
            (
                "Above 65 % most of the time.",
                "That is three standard errors above a coin: rare, even for the luckiest of seven.",
                False,
            ),
        ],
        "proof": (
            "import numpy as np\n"
            "best = np.random.default_rng(0).binomial(100, 0.5, size=(20_000, 7)).max(axis=1)\n"
            "assert np.mean(best >= 54) > 0.7 and np.mean(best > 65) < 0.05"
        ),
    },
    {
        "question": "One learned number made SmolLM2 a far better judge. What did the labelled sentences teach it?",
        "choices": [
            (
                "What positive and negative words look like.",
                "No weight changed. Whatever it knows about words, it knew before.",
                False,
            ),
            (
                "The held-back sentences, by heart.",
                "The line was chosen on other sentences; the held-back ones were only scored.",
                False,
            ),
            (
                "Where to draw the line through a preference that it had already.",
                "The order of the sentences came from pretraining; the labels placed the line.",
                True,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Your journal
#
# One or two sentences are enough, and you will be glad of them in three weeks. What does fine-tuning change in a
# model, in your words? What surprised you today? Write between the quotes and run the cell; it is added to
# `progress/journal.md` under today's date. Left empty, it writes nothing.

# %%
my_words = """
"""
if my_words.strip():
    progress.write_journal("day01", my_words)

# %% [markdown]
# ## Go further
#
# - Ask the judge in other words. Change the task in `request`, or turn *The sentence is* into *This review is* in `begun_answers`,
#   and run the lesson again from the cell that loads the judge. When we did, its accuracy moved by more than
#   ten points while every weight stayed the same. Remember it when somebody claims that a model "cannot" do
#   something.
# - Read the abstract and section 4.1 of the LoRA paper, listed below. It is where the zeros in B and the
#   factor α / r come from: half an hour, and readable.
# - The factor is not the last word. Kalajdzievski (2023) argues for α / √r at high ranks; PEFT has it as
#   `use_rslora=True`. Day 16 meets LoRA's family.
