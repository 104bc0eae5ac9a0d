# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import math

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import timetable, tracking, widgets

lab = settings.start("weekend4_saturday")

# %% [markdown]
# ## Four doors: choose one or two
#
# Nothing is compulsory today. There are four doors, each with a lesson of its own behind it, and nobody goes through all of
# them in one afternoon. Here is what is behind each, how long it takes, and whether it is open already:

# %%
doors = {
    "A": "technique_multitask",
    "B": "technique_continual",
    "C": "technique_compression",
    "D": "technique_architectures",
}
behind = {door: timetable.lesson(name) for door, name in doors.items()}
pd.DataFrame(
    {
        "title": [day["title"] for day in behind.values()],
        "minutes": [timetable.minutes(day) for day in behind.values()],
        "notebook": [
            f"lessons/{day['lesson']}.ipynb" if day["status"] == "ready" else "not written yet"
            for day in behind.values()
        ],
    },
    index=list(behind),
)

# %% [markdown]
# <!-- asked: W4SAT-T1 -->
# - **A, many tasks.** You have several small tasks on the same kind of text and would like to serve one model.
# <!-- asked: W4SAT-T2 -->
# - **B, learning on.** Your model is in use, and next month a new kind of text arrives.
# <!-- asked: W4SAT-T3 -->
# - **C, smaller.** It works, and it is too big or too slow for the place where it has to live.
# <!-- asked: W4SAT-T4 -->
# - **D, another model.** Somebody asks why you took an encoder, and "the course did" is no answer.
#
# Choose by *your* project: behind which door is an answer that would change what you do next week? If you cannot say what
# it would change, take another door.
#
# ## How much can an afternoon show?
#
# Before you go, one honest question. Behind each door two things are compared, and you have about an hour of computing.
# Will that be enough to see anything?
#
# Ask a **pilot**: a small, cheap copy of the experiment that is made only to learn how loud the noise is. Ours compares a
# thing that everybody believes in. Twice as many training sentences, 200 against 100: with a classifier on the frozen
# encoder's vectors, a run takes a moment, so we can afford many.

# %%
reviews = data.prepared("sentiment")
train, test = reviews["train"], reviews["validation"]
vectors = {
    name: models.embeddings(part["text"][: settings.pick(smoke=400, cpu=4000)])
    for name, part in (("train", train), ("test", test))
}
labels = {"train": np.array(train["label"][:]), "test": np.array(test["label"][:])}
print({name: part.shape for name, part in vectors.items()})


# %%
def run(sentences, seed):
    """Learn from sentences drawn by lot; for each test text, was it right?"""
    chosen = np.random.default_rng(seed).choice(len(vectors["train"]), sentences, replace=False)
    reader = LogisticRegression(C=1.0, max_iter=2000)
    reader.fit(vectors["train"][chosen], labels["train"][chosen])
    return (reader.predict(vectors["test"]) == labels["test"]).astype(float)


most = settings.pick(smoke=12, cpu=30)
few = np.array([run(100, seed) for seed in range(most)])
double = np.array([run(200, seed) for seed in range(most)])
print(
    f"100 sentences: {few.mean():.1%}   200 sentences: {double.mean():.1%}, over {most} seeds"
)

# %% [markdown]
# The second is higher. With three seeds, as in a hurried paper, `metrics.compare` says:

# %%
three = metrics.compare(double[:3], few[:3])
print(three)  # difference, 95 % interval, verdict

# %% [markdown]
# Now guess. The interval reaches some points to both sides. More seeds make it narrower. With all the seeds that we have
# (ten times as many in a learner's run), by which factor does it shrink?

# %%
shrink_guess = widgets.predict(
    "w4sat-shrink",
    "Width of the interval with all seeds, as a share of the width with three",
    0,
    100,
    "%",
)


# %%
def width(seeds, texts):
    """Half the interval's width in points, for so many seeds and test texts."""
    found = metrics.compare(double[:seeds, :texts], few[:seeds, :texts])
    return 100 * (found.high - found.low) / 2


counts = [count for count in (3, 5, 8, 12, 20, 30) if count <= most]
sizes = [len(labels["test"]) // 4, len(labels["test"])]
widths = {(seeds, texts): width(seeds, texts) for seeds in counts for texts in sizes}
shrunk = 100 * widths[counts[-1], sizes[1]] / widths[3, sizes[1]]
shrink_guess.compare(round(shrunk))
tracking.record("shrunk_percent", shrunk)

# %%
figure = plots.lines(
    counts,
    {f"{texts} test texts": [widths[each, texts] for each in counts] for texts in sizes},
    title=f"From 3 to {counts[-1]} seeds, {shrunk:.0f} % of the width is left",
    xlabel="seeds for each method",
    ylabel="half the interval (points)",
)
plots.show(
    figure,
    alt=f"Two falling lines that level off; {sizes[0]} texts above, {sizes[1]} texts below.",
)

# %% [markdown]
# Both lines fall, then they level off. The first seeds buy a lot, the later ones little, because there are *two* sources
# of noise. Other seeds would have given other models, and **other test texts would have given other scores**. No number
# of seeds makes up for texts that you have not got. Look at the gap between the lines: that is what texts buy.
#
# So before an experiment, ask what stands between you and an answer, and buy that. First the simple half: how many runs
# does the afternoon hold?


# %% tags=["exercise"] exercise="weekend4_saturday/fit" answer="seeds_that_fit" minutes=5 difficulty=1
# minutes: what you have. seconds: what one run takes. methods: how many you compare. trials:
# runs that each method spends to choose its learning rate, before it is judged. Return how many
# judging seeds every method gets: a whole number, 0 if not even the trials fit.
def seeds_that_fit(minutes, seconds, methods, trials): ...


# <solution>
def seeds_that_fit(minutes, seconds, methods, trials):
    runs = int(60 * minutes // seconds)
    return max(0, runs // methods - trials)


# </solution>


# %% tags=["check"] exercise="weekend4_saturday/fit"
def check(answer):
    found = answer(60, 50, 2, 6)
    if found is None:
        return "The function returns nothing. Did it end without `return`?"
    if found == 66:
        return "66 runs are left after *one* method's trials. Each of the two has its own, and they share what is left."
    if found == 33:
        return "72 runs, less 6 trials, shared by two: but each method needs its own trials. 72 / 2 − 6."
    if found == 36:
        return "The trials are runs as well. A seed that chose the rate may not judge."
    if found == 0:
        return "60 minutes are 3,600 seconds. Are you dividing minutes by seconds?"
    if found != 30:
        return f"60 minutes with 50 seconds a run, 2 methods, 6 trials each: 30 seeds, and you return {found}."
    if not isinstance(found, int | np.integer):
        return "Seeds are whole: return an int."
    if answer(10, 50, 3, 6) != 0:
        return "12 runs for three methods with six trials each: nothing is left. Return 0, not a negative number."
    return None


def inputs(draw):
    yield 0, 10, 2, 0
    yield 1, 60, 1, 0
    yield 1, 60, 1, 1
    for _ in range(12):
        yield (
            int(draw.integers(1, 200)),
            int(draw.integers(5, 300)),
            int(draw.integers(1, 5)),
            int(draw.integers(0, 9)),
        )


hints = [
    "How many runs are there in all? `60 * minutes // seconds`.",
    "Each method gets an equal share of them, and pays its trials out of its share.",
    "`max(0, …)` keeps it from going below zero.",
]
misconceptions = [
    (
        "def seeds_that_fit(minutes, seconds, methods, trials):\n    return max(0, int(60 * minutes // seconds) // methods)",
        "The trials are runs as well",
    ),
    (
        "def seeds_that_fit(minutes, seconds, methods, trials):\n    return max(0, (int(60 * minutes // seconds) - trials) // methods)",
        "each method needs its own trials",
    ),
    (
        "def seeds_that_fit(minutes, seconds, methods, trials):\n    return int(60 * minutes // seconds) // methods - trials",
        "not a negative number",
    ),
    (
        "def seeds_that_fit(minutes, seconds, methods, trials):\n    return max(0, int(minutes // seconds) // methods - trials)",
        "dividing minutes by seconds",
    ),
]

# %%
for seconds in (10, 50, 200):
    print(f"{seconds:>3} s a run: {seeds_that_fit(60, seconds, 2, 6)} judging seeds for each")

# %% [markdown]
# Then the other half. You have a table of widths, as the one above, and a price for each combination: a seed costs minutes of
# computing, a text costs minutes of somebody who reads it and gives it a label. And you have a **margin**: the smallest
# difference that would change what you do. Which combination sees it for the lowest price?


# %% tags=["exercise"] exercise="weekend4_saturday/cheapest" answer="cheapest" minutes=8 difficulty=2
# widths: (seeds, texts) → half the interval in points. price: (seeds, texts) → minutes, with
# the same keys. Return the key with the lowest price among those whose width is at most the
# margin; of equal prices the one with the smaller width. None if the margin is out of reach.
def cheapest(widths, price, margin): ...


# <solution>
def cheapest(widths, price, margin):
    enough = [key for key in widths if widths[key] <= margin]
    return min(enough, key=lambda key: (price[key], widths[key]), default=None)


# </solution>


# %% tags=["check"] exercise="weekend4_saturday/cheapest"
def check(answer):
    some = {(3, 100): 6.0, (9, 100): 5.0, (3, 400): 3.0, (9, 400): 2.5}
    costs = {(3, 100): 10, (9, 100): 30, (3, 400): 70, (9, 400): 90}
    if answer({(3, 100): 3.0}, {(3, 100): 10}, 3.0) is None:
        return "A margin of 3.0 is met by a width of 3.0: at most, not below. (Or did the function end without `return`?)"
    found = answer(dict(some), dict(costs), 3.0)
    if found == (9, 400):
        return "That is the narrowest interval. It costs 90 minutes; one for 70 sees the same three points."
    if found == (3, 100):
        return (
            "That is the cheapest of all, and its interval reaches 6 points: it cannot see 3."
        )
    if found == 70:
        return "Return the combination, (3, 400), not its price."
    if tuple(np.ravel(found).tolist()) != (3, 400):
        return f"For a margin of 3 points it should be (3, 400), and you return {found}."
    if answer(dict(some), dict(costs), 1.0) is not None:
        return "No combination there sees one point. Return None then: it is the most useful answer of all."
    equal = answer({(2, 9): 2.0, (9, 2): 1.0}, {(2, 9): 5, (9, 2): 5}, 3)
    if equal is None or tuple(equal) != (9, 2):
        return "Two cost the same there. Take the one with the smaller width."
    return None


def inputs(draw):
    yield {}, {}, 3.0
    for _ in range(12):
        keys = [(int(a), int(b)) for a, b in draw.integers(1, 30, (6, 2))]
        widths = {key: float(draw.integers(1, 9)) for key in keys}
        yield (
            widths,
            {key: int(draw.integers(1, 5)) for key in widths},
            float(draw.integers(1, 9)),
        )


def agrees(expected, found):
    return expected == (None if found is None else tuple(found))


hints = [
    "First keep what is narrow enough: `[key for key in widths if widths[key] <= margin]`.",
    "`min(…, key=…)` may compare pairs: price first, then width.",
    "`min(…, default=None)` returns None where nothing is left.",
]
misconceptions = [
    (
        "def cheapest(widths, price, margin):\n    enough = [k for k in widths if widths[k] <= margin]\n    return min(enough, key=widths.get, default=None)",
        "the narrowest interval",
    ),
    (
        "def cheapest(widths, price, margin):\n    return min(price, key=price.get, default=None)",
        "the cheapest of all",
    ),
    (
        "def cheapest(widths, price, margin):\n    enough = [k for k in widths if widths[k] < margin]\n    return min(enough, key=lambda k: (price[k], widths[k]), default=None)",
        "at most, not below",
    ),
    (
        "def cheapest(widths, price, margin):\n    enough = [k for k in widths if widths[k] <= margin] or list(widths)\n    return min(enough, key=lambda k: (price[k], widths[k]), default=None)",
        "Return None then",
    ),
]

# %%
price = {(seeds, texts): 0.8 * seeds + 0.1 * texts for seeds, texts in widths}
margins = [8, 4, 2, 1]
for margin in margins:
    print(f"{margin} points: {cheapest(widths, price, margin)}   (seeds, texts)")
reachable = min(widths.values())
tracking.record("smallest_width", reachable)
print(f"nothing in this table sees less than {reachable:.1f} points")

# %% [markdown]
# If the last lines say `None`, that is no defect of the table. It says that this afternoon cannot answer that question,
# and it says so *before* you have spent the afternoon. Ask a coarser question, or label more texts.
#
# ## The plan, before the door
#
# Write down what you are going to do while you do not know yet how it ends. People who write their margin down afterwards
# find that it was always just met.


# %% tags=["exercise"] exercise="weekend4_saturday/plan" answer="plan" minutes=8 difficulty=2
# A dictionary with: "door": "A" to "D"; "question": ends with a question mark; "margin":
# points, above 0; "choosing" and "judging": lists of seeds, at least three that judge, none in
# both; "then": a dictionary with a sentence for each verdict (better, worse, tie, undecided):
# what will you do next week? Not the same sentence for all.
plan = ...
# <solution>
plan = {
    "door": "C",
    "question": "Does half of the layers, well taught, lose less than three points?",
    "margin": 3,
    "choosing": [0],
    "judging": [1, 2, 3],
    "then": {
        "better": "Serve the small one, and look twice at how that could happen.",
        "worse": "Keep the large one and ask for a larger machine.",
        "tie": "Serve the small one.",
        "undecided": "Label 300 more test texts before anything is changed.",
    },
}
# </solution>


# %% tags=["check"] exercise="weekend4_saturday/plan"
def check(answer):
    if not isinstance(answer, dict):
        return "Write a dictionary with the six keys that the exercise names."
    wanted = {"door", "question", "margin", "choosing", "judging", "then"}
    if missing := wanted - set(answer):
        return f"{sorted(missing)[0]!r} is missing."
    if answer["door"] not in list("ABCD"):
        return "The doors are 'A', 'B', 'C' and 'D'."
    if not str(answer["question"]).strip().endswith("?") or len(str(answer["question"])) < 20:
        return "A question ends with a question mark, and somebody else has to understand it."
    margin = answer["margin"]
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not margin > 0:
        return "The margin is a number of points above 0: the smallest difference that would change what you do."
    choosing, judging = set(answer["choosing"]), set(answer["judging"])
    if choosing & judging:
        return f"Seed {sorted(choosing & judging)[0]} chooses and judges. Whoever has chosen is biased: it won there, partly by luck."
    if len(judging) < 3:
        return "Fewer than three seeds judge. With two, the interval knows next to nothing about seeds."
    then = answer["then"]
    verdicts = ("better", "worse", "tie", "undecided")
    if not isinstance(then, dict) or not all(
        str(then.get(one) or "").strip() for one in verdicts
    ):
        return "Each verdict needs its sentence, 'undecided' most of all: it is the commonest."
    if len({str(then[one]).strip() for one in verdicts}) == 1:
        return "You would do the same whatever comes out. Then the experiment is not worth an afternoon: ask another question."
    return None


def agrees(expected, found):
    return isinstance(found, dict) and check(found) is None


hints = [
    "Begin with `then`. What would you do next week if it is better? If it is worse?",
    "`margin`: at which loss would you say no?",
    "For `judging` take seeds that appear nowhere else, such as [11, 12, 13].",
]
misconceptions = [
    (
        'plan = {"door": "A", "question": "Do the tasks help one another?", "margin": 2, "choosing": [1, 2], "judging": [1, 2, 3], "then": {"better": "a", "worse": "b", "tie": "c", "undecided": "d"}}',
        "chooses and judges",
    ),
    (
        'plan = {"door": "A", "question": "Do the tasks help one another?", "margin": 2, "choosing": [0], "judging": [1, 2, 3], "then": {"better": "a", "worse": "b"}}',
        "needs its sentence",
    ),
    (
        'plan = {"door": "A", "question": "Do the tasks help one another?", "margin": 0, "choosing": [0], "judging": [1, 2, 3], "then": {"better": "a", "worse": "b", "tie": "c", "undecided": "d"}}',
        "above 0",
    ),
    (
        'plan = {"door": "A", "question": "Do the tasks help one another?", "margin": 2, "choosing": [0], "judging": [1, 2, 3], "then": dict.fromkeys(["better", "worse", "tie", "undecided"], "I serve it.")}',
        "whatever comes out",
    ),
]

# %%
print(f"Door {plan['door']}: {plan['question']}")
print(f"margin {plan['margin']} points, judged by the seeds {plan['judging']}")
for verdict, then in plan["then"].items():
    print(f"  {verdict:10} → {then}")

# %% [markdown]
# ## Through the door
#
# Now go. Open the notebook of your door, stay for as long as it is interesting, and come back with **one comparison**: the
# one that answers your question. Note its difference, both ends of its interval, and the verdict that `metrics.compare` gave.
#
# While you are away, the pilot stands in for you. All its seeds, and a margin of one point:

# %%
stand_in = metrics.compare(double, few, margin=0.01)
print(stand_in)  # its verdict stands at the end


# %% tags=["exercise"] exercise="weekend4_saturday/brought" answer="brought" minutes=45 difficulty=2
# What you bring back, in points: {"door": "C", "difference": …, "low": …, "high": …,
# "margin": … or None, "verdict": "better", "worse", "tie" or "undecided"}. The door may also be
# "pilot". The verdict has to follow from the numbers: a tie lies inside the margin with both
# ends, better and worse lie on one side of 0, and everything else is undecided.
brought = ...
# <solution>
middle, low, high = stand_in.points
brought = {"door": "pilot", "difference": middle, "low": low, "high": high}
brought |= {"margin": 1, "verdict": stand_in.verdict}
# </solution>


# %% tags=["check"] exercise="weekend4_saturday/brought"
def check(answer):
    if not isinstance(answer, dict):
        return "Write a dictionary with the keys that the exercise names."
    keys = ("door", "difference", "low", "high", "margin", "verdict")
    if missing := [key for key in keys if key not in answer]:
        return f"{missing[0]!r} is missing."
    numbers = [answer[key] for key in ("low", "difference", "high")]
    if not all(
        isinstance(one, int | float | np.number) and math.isfinite(one) for one in numbers
    ):
        return "difference, low and high are numbers, in points."
    low, middle, high = map(float, numbers)
    if not low <= middle <= high:
        return f"The difference, {middle}, lies outside its own interval, {low} to {high}."
    margin = answer["margin"]
    if margin is not None and not margin > 0:
        return "A margin is above 0, or None if nobody said one before."
    if answer["verdict"] == "tie" and margin is None:
        return "Without a margin, said before, nothing is a tie. What you have is 'undecided'."
    inside = margin is not None and max(-low, high) <= margin
    verdict = "tie" if inside else "better" if low > 0 else "worse" if high < 0 else "undecided"
    if answer["verdict"] == "undecided" and verdict in ("better", "worse"):
        return f"The whole interval, {low:g} to {high:g}, lies on one side of 0. That is decided: {verdict}."
    if answer["verdict"] in ("better", "worse") and verdict == "undecided":
        return f"The interval, {low:g} to {high:g}, holds 0: its verdict is 'undecided', whatever the middle says."
    if answer["verdict"] != verdict:
        return f"For {low:g} to {high:g} and the margin {margin} the verdict is {verdict!r}, and you write {answer['verdict']!r}."
    return None


def agrees(expected, found):
    return isinstance(found, dict) and check(found) is None


hints = [
    "The last table or figure of your door has the numbers. `print(metrics.compare(…))` shows all of them.",
    "Look at the two ends first. On one side of 0?",
    "If no time is left for a door, bring the pilot's: `stand_in.points` holds three numbers, in points.",
]
misconceptions = [
    (
        'brought = {"door": "C", "difference": 1.2, "low": -0.4, "high": 2.8, "margin": None, "verdict": "better"}',
        "holds 0",
    ),
    (
        'brought = {"door": "C", "difference": 0.1, "low": -0.4, "high": 0.6, "margin": None, "verdict": "tie"}',
        "Without a margin",
    ),
    (
        'brought = {"door": "C", "difference": 2.1, "low": 0.4, "high": 3.8, "margin": None, "verdict": "undecided"}',
        "That is decided",
    ),
    (
        'brought = {"door": "C", "difference": 4.1, "low": 0.4, "high": 3.8, "margin": None, "verdict": "better"}',
        "outside its own interval",
    ),
]

# %% [markdown]
# ## What it changes
#
# Your plan has a sentence for this verdict. You wrote it when you did not know.

# %%
print(f"Door {brought['door']}: {brought['difference']:+.1f} points ", end="")
print(f"({brought['low']:+.1f} to {brought['high']:+.1f}), verdict: {brought['verdict']}")
print("What you said you would do:", plan["then"][brought["verdict"]])
tracking.record("brought_width", (brought["high"] - brought["low"]) / 2)

# %% [markdown]
# Does it still feel right? If you would rather do something else now, be curious about why. Sometimes the number has
# taught you something that the plan did not foresee. More often one simply liked the other answer better.
#
# There may be time for a second door. A good second question comes from the first answer, not from the list.

# %%
my_words = ...  # for example: "Door C: half the layers cost four points, too many for us."
progress.write_journal("weekend4_saturday", my_words)

# %% tags=["quiz"]
quiz = [
    {
        "question": "You have 200 labelled test texts and an interval of ±5 points after five seeds. What makes it narrower most surely?",
        "choices": [
            (
                "Fifty seeds.",
                "They shrink one source of noise. The other, which texts you happen to have, stays as it is.",
                False,
            ),
            (
                "More labelled texts.",
                "With five seeds the texts are the larger part of the noise as a rule, and a pilot tells for sure.",
                True,
            ),
            (
                "A larger model.",
                "It may move the difference. The interval hardly cares.",
                False,
            ),
        ],
        "proof": (
            "texts, seeds = 0.2 / 200, 0.01**2\n"
            "now, more_seeds, more_texts = (texts + seeds / 5), (texts + seeds / 50), (texts / 4 + seeds / 5)\n"
            "assert more_texts < more_seeds < now\n"
        ),
    },
    {
        "question": "A colleague compares five learning rates on the seeds 1, 2, 3, takes the best, and reports its mean over 1, 2, 3. What is wrong?",
        "choices": [
            (
                "Three seeds are too few, with ten it would be fine.",
                "With ten the flattery is smaller, and it is still there.",
                False,
            ),
            (
                "The seeds that chose also judge, so the winner's luck is part of its score.",
                "Choose on some, judge on others: then luck has no memory.",
                True,
            ),
            (
                "Nothing: all five had the same seeds.",
                "That makes the choice fair. The report is about the winner alone.",
                False,
            ),
        ],
    },
    {
        "question": "The interval is −0.4 to +0.6 points, and beforehand you said that one point would not matter. What may you say?",
        "choices": [
            (
                "Undecided: it holds 0.",
                "Without a margin, yes. You had one, and both ends lie inside it.",
                False,
            ),
            (
                "A tie: whatever the difference is, it is too small to matter to you.",
                "That is the one case in which 'equal' is a finding and not a lack of data.",
                True,
            ),
            (
                "The two are the same.",
                "Nobody can show that. They differ by less than you care about.",
                False,
            ),
        ],
        "proof": "assert max(0.4, 0.6) <= 1",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Repeat the pilot with *your* model: two seeds, all test texts. How wide is the interval, and how many texts would halve
#   it?
# - Write the plan of a paper that you like as you wrote yours. Which line is missing in the paper?
# - Bouthillier and others (2021) measured which sources of noise count in real benchmarks. The choice of data beats the seed.
