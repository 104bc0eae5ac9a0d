# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import datetime
import json
import re

import numpy as np
import pandas as pd

from labhelpers import exercise, plots, production, progress, quiz, report, settings
from labhelpers import timetable, tracking, widgets

lab = settings.start("weekend4_sunday")

# %% [markdown]
# ## Why today matters
#
# Four weeks ago this course asked you for the accuracy of a model that had learnt nothing, and you guessed. Since then you
# have been asked dozens of times: how many megabytes, how many points, how many seconds? You committed yourself, then
# the machine answered. Each of these pairs is on this disk.
#
# So there is a question that only you can be asked: **did you get better at guessing?** Not at training models, at
# *knowing what to expect of one*. Whoever expects 80 % and sees 99 % looks for the leak; whoever expects nothing
# publishes it.
#
# Nothing is trained today. Begin with one more guess, about all the others.

# %%
far_guess = widgets.predict(
    "week4-typical-error",
    "Your typical guess was off by which part of its slider?",
    0,
    100,
    "%",
)

# %% [markdown]
# ## Four weeks on one page
#
# <!-- asked: W4SUN-T1 -->
# What this machine knows of your four weeks, lesson by lesson:

# %%
weeks = {week["id"]: report.standings(week["id"]) for week in timetable.weeks()[:4]}
rows = []
for name, days in weeks.items():
    results = [result for day in days for result in day.results if result.where]
    rows.append(
        {
            "week": name,
            "lessons written up": sum(day.written for day in days),
            "ticked": sum(day.ticked for day in days),
            "exercises right": sum(len(day.passed) for day in days),
            "at the first attempt": sum(day.at_once for day in days),
            "inside their band": sum(r.where == "inside" for r in results),
            "of results": len(results),
        }
    )
print(pd.DataFrame(rows).set_index("week").T.to_string())

# %% [markdown]
# Zeros mean that a lesson was not done *on this machine*. Nothing is filled in for you. Read your journal beside the
# table (`progress/journal.md`): its first entry was written by somebody who did not know what you know now. What would
# you tell them? One line is enough; it goes into the journal at the end.
#
# Now the guesses. One number for a heap of errors: each guess had a slider from `low` to `high`, so an error is a *share
# of the slider*. And since one wild guess should not decide, take the median.


# %% tags=["exercise"] exercise="weekend4_sunday/typical" answer="typical_error" minutes=8 difficulty=1
# pairs: a list of dictionaries with the keys guess, actual, low, high (numbers). Return the
# median of |guess - actual| / (high - low). A result may lie outside the slider: then count
# it as if it lay at the slider's end, since nobody could have moved further. None for no pairs.
def typical_error(pairs): ...


# <solution>
def typical_error(pairs):
    shares = [
        abs(each["guess"] - min(max(each["actual"], each["low"]), each["high"]))
        / (each["high"] - each["low"])
        for each in pairs
    ]
    return float(np.median(shares)) if shares else None


# </solution>


# %% tags=["check"] exercise="weekend4_sunday/typical"
def check(answer):
    def pair(guess, actual, low=0, high=100):
        return {"guess": guess, "actual": actual, "low": low, "high": high}

    found = answer([pair(50, 60), pair(10, 40), pair(90, 10)])
    if found is None:
        return "The function returns nothing for three pairs."
    if abs(found - 30) < 1e-9:
        return "That is 30, in the unit of the slider. One slider went to 100 %, another to 5,000 MB: divide by its length."
    if abs(found - 0.4) < 1e-9:
        return "That is the mean. One wild guess moves it; the median stays."
    if abs(found + 0.1) < 1e-9 or found < 0:
        return "An error is a distance: guesses too high and too low must not cancel. `abs`."
    if abs(found - 0.3) > 1e-9:
        return f"Errors of 0.1, 0.3 and 0.8 of the slider have the median 0.3; you return {found:.3g}."
    if abs(answer([pair(20, 30, 10, 50)]) - 0.25) > 1e-9:
        return "A slider from 10 to 50 is 40 long. Its upper end alone is not its length."
    if abs(answer([pair(80, 400)]) - 0.2) > 1e-9:
        return "The result was 400 and the slider ended at 100. Whoever said 80 could have moved by 20 more at most."
    try:
        nothing = answer([])
    except (ValueError, ZeroDivisionError, IndexError):
        return "With no pairs at all it stops. Return None."
    return (
        None if nothing is None else f"With no pairs at all it returns {nothing}. Return None."
    )


def inputs(draw):
    yield []
    for count in (1, 2, 5, 8):
        pairs = []
        for _ in range(count):
            low = float(draw.uniform(-50, 50))
            high = low + float(draw.uniform(1, 100))
            guess = float(draw.uniform(low, high))
            actual = float(draw.uniform(low - 30, high + 30))
            pairs.append({"guess": guess, "actual": actual, "low": low, "high": high})
        yield pairs


hints = [
    "One pair first: the distance, then divided by the length of the slider.",
    "`min(max(actual, low), high)` moves a result to the nearest end.",
]
misconceptions = [
    (
        "def typical_error(pairs):\n    s = [abs(p['guess'] - min(max(p['actual'], p['low']), p['high'])) / (p['high'] - p['low']) for p in pairs]\n    return float(np.mean(s)) if s else None",
        "That is the mean",
    ),
    (
        "def typical_error(pairs):\n    s = [abs(p['guess'] - p['actual']) for p in pairs]\n    return float(np.median(s)) if s else None",
        "in the unit of the slider",
    ),
    (
        "def typical_error(pairs):\n    s = [abs(p['guess'] - p['actual']) / (p['high'] - p['low']) for p in pairs]\n    return float(np.median(s)) if s else None",
        "could have moved by 20 more",
    ),
    (
        "def typical_error(pairs):\n    s = [abs(p['guess'] - min(max(p['actual'], p['low']), p['high'])) / p['high'] for p in pairs]\n    return float(np.median(s)) if s else None",
        "is not its length",
    ),
]

# %%
pairs = widgets.compared()  # in the order in which they met their results
typical = typical_error(pairs)
if typical is None:
    print(
        "No guess has met its result on this machine yet. Guess in any lesson, then come back."
    )
else:
    print(f"{len(pairs)} guesses, typically off by {typical:.0%} of the slider.")
    far_guess.compare(round(100 * typical))

# %% [markdown]
# And over time? The errors of the first half, and those of the second. Two medians will always differ a little, so
# once more Day 4's question: could luck have done it? If the order did not matter, every shuffling of the errors would
# be as good as the real one. Shuffle often, and count how often chance makes at least as large a drop. This is a
# **permutation test**, and its answer is a p-value.


# %% tags=["exercise"] exercise="weekend4_sunday/drop" answer="chance_of_drop" minutes=14 difficulty=3
# errors: a list of at least four numbers, oldest first. The drop is the mean of the first half
# minus the mean of the second (with an odd count, the middle one belongs to the second half).
# Return the share of the 2,000 orders that np.random.default_rng(0) gives by
# `generator.permutation(errors)`, one after the other, whose drop is at least the real one.
def chance_of_drop(errors): ...


# <solution>
def chance_of_drop(errors):
    errors = np.asarray(errors, dtype=float)
    half, generator = len(errors) // 2, np.random.default_rng(0)

    def drop(order):
        return order[:half].mean() - order[half:].mean()

    real = drop(errors) - 1e-12  # equal sums may differ in their last digit
    return float(np.mean([drop(generator.permutation(errors)) >= real for _ in range(2000)]))


# </solution>


# %% tags=["check"] exercise="weekend4_sunday/drop"
def check(answer):
    clear = answer([9, 8, 9, 9, 8, 1, 2, 1, 1, 2])
    if clear is None:
        return "The function returns nothing."
    if not 0 <= float(clear) <= 1:
        return f"A share lies between 0 and 1; you return {clear}."
    if clear > 0.9:
        return "For errors that fall from 9 to 1 you say that chance nearly always does as well. Is the drop the first half minus the second, and do you count the orders with *at least* that drop?"
    flat = answer([1.0, 1.0, 1.0, 1.0])
    if flat < 0.5:
        return "If all errors are equal, every order has the same drop, and each of them counts: *at least*. You return a share near 0."
    rising = answer([1, 2, 1, 1, 2, 9, 8, 9, 9, 8])
    if rising < 0.5:
        return "For errors that *rise* you give a small chance as well. The question was a drop, not a difference in either direction."
    if clear == 0:
        return "Zero of 2,000: did you shuffle all errors together, or each half for itself?"
    odd = answer([5, 1, 5, 1, 0.5])
    return (
        None
        if abs(odd - reference([5, 1, 5, 1, 0.5])) < 0.02
        else "With five errors the middle one belongs to the second half: `len(errors) // 2` in the first."
    )


def reference(errors):
    errors, generator = np.asarray(errors, dtype=float), np.random.default_rng(0)
    half = len(errors) // 2
    real = errors[:half].mean() - errors[half:].mean() - 1e-12
    drawn = [generator.permutation(errors) for _ in range(2000)]
    return np.mean([each[:half].mean() - each[half:].mean() >= real for each in drawn])


def inputs(draw):
    yield [1.0, 1.0, 1.0, 1.0]
    yield [0.3, 0.2, 0.1, 0.05, 0.01]
    for count in (4, 7, 12, 25):
        yield draw.exponential(0.2, count).tolist()


def agrees(expected, found):
    return abs(expected - float(found)) < 0.03  # another way to shuffle is right, too


hints = [
    "Write `drop(order)` first: `order[:half].mean() - order[half:].mean()`.",
    "Then a loop: permute, compare with the real drop, count. The mean of True and False is the share.",
]
misconceptions = [
    (
        "def chance_of_drop(errors):\n    e, g = np.asarray(errors, float), np.random.default_rng(0)\n    h = len(e) // 2\n    d = lambda x: x[h:].mean() - x[:h].mean()\n    return float(np.mean([d(g.permutation(e)) >= d(e) for _ in range(2000)]))",
        "first half minus the second",
    ),
    (
        "def chance_of_drop(errors):\n    e, g = np.asarray(errors, float), np.random.default_rng(0)\n    h = len(e) // 2\n    d = lambda x: x[:h].mean() - x[h:].mean()\n    return float(np.mean([d(g.permutation(e)) > d(e) + 1e-12 for _ in range(2000)]))",
        "*at least*",
    ),
    (
        "def chance_of_drop(errors):\n    e, g = np.asarray(errors, float), np.random.default_rng(0)\n    h = len(e) // 2\n    d = lambda x: abs(x[:h].mean() - x[h:].mean())\n    return float(np.mean([d(g.permutation(e)) >= d(e) - 1e-12 for _ in range(2000)]))",
        "in either direction",
    ),
]

# %%
shares = [typical_error([pair]) for pair in pairs]
if len(shares) >= 8:
    chance = chance_of_drop(shares)
    print(f"Chance makes such a drop in {chance:.0%} of all orders.")
    figure = plots.dots(
        shares,
        title=f"{len(shares)} guesses, all weeks",
        xlabel="error, as a share of the slider",
    )
    plots.show(
        figure, alt=f"One dot for each of {len(shares)} guesses; median error {typical:.0%}."
    )
else:
    print("Fewer than eight guesses: too few to say anything about their order.")

# %% [markdown]
# Below 5 %, your later guesses were closer by more than luck explains. (Later questions were other questions, mind; so
# even then it may be that *they* were easier. Only a coin could be asked twice the same way.) Far above, and the honest
# sentence is: undecided.
#
# What does the machine say about *itself*? Every lesson promised a band for its results. Here is where yours lie:

# %%
placed = [
    (result.value - result.low) / (result.high - result.low)
    for days in weeks.values()
    for day in days
    for result in day.results
    if result.where and result.high > result.low
]
inside = sum(0 <= each <= 1 for each in placed)
title = f"{inside} of {len(placed)} results lie where the course expected them"
if placed:
    captions = {"title": title, "xlabel": "place in the band: 0 lower end, 1 upper"}
    figure = plots.histogram(np.clip(placed, -0.5, 1.5), **captions)
    plots.show(
        figure, alt=f"{title}; a histogram of places in the band, from below 0 to above 1."
    )
else:
    print("No result is on record here yet.")
tracking.record("results_outside", float(len(placed) - inside))

# %% [markdown]
# ## A portfolio piece or a blog post
#
# <!-- asked: W4SUN-T2 -->
# An employer, a supervisor or a friend will read one page. Not your notebooks. A good page has a question, a number with
# its interval, a surprise, and a link to something that runs. Numbers by code, again; here is what your project knows:

# %%
home = production.home() if settings.is_interactive() else lab.workspace / "no-project"
kept = home / "metrics.json"
known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
print(
    f"{kept}: " + (json.dumps(known) if known else "not there; the page gets a line to fill in")
)

# %%
numbers = (
    f"{known['score']:.2f} ({known['score_low']:.2f} to {known['score_high']:.2f}) on "
    f"{known['examples']} texts; the simple rival reaches {known['baseline']:.2f}."
    if known
    else "(the score with its interval, and the rival's)"
)


# %%
draft = f"""# (A title that names the finding, with a number in it)

**The question.** (Whose problem was it, in one sentence?)

**What came out.** {numbers}

**How.** A small pretrained model, fine-tuned with LoRA, judged on texts that neither trained
nor chose anything. (One sentence on the texts.)

**What surprised me.** (Your journal has it.)

**What it cannot do.** (One sentence. Readers trust a page that has it.)

**Run it yourself.** (The link, and the one command.)
"""
is_new = progress.keep_page("portfolio.md", draft)
print("begun" if is_new else "yours, as you left it", "→ progress/portfolio.md\n")
print(draft)

# %% [markdown]
# The first line decides whether anybody reads the second. Which of your results belongs there? Not the one with the
# largest number: the one that would survive the unluckiest reading. Of a difference with its interval, that is the end
# nearest to zero.


# %% tags=["exercise"] exercise="weekend4_sunday/lead" answer="lead" minutes=9 difficulty=2
# claims: name → (low, high), the 95 % interval of a difference. Return the name of the claim
# that promises most even in its worst case: the end nearest to zero is farthest from it, up or
# down. An interval that holds zero promises nothing. None if no claim is left.
def lead(claims): ...


# <solution>
def lead(claims):
    sure = {name: max(low, -high) for name, (low, high) in claims.items()}
    sure = {name: least for name, least in sure.items() if least > 0}
    return max(sure, key=sure.get) if sure else None


# </solution>


# %% tags=["check"] exercise="weekend4_sunday/lead"
def check(answer):
    claims = {"a": (0.02, 0.03), "b": (-0.20, 0.30), "c": (0.01, 0.25), "d": (-0.09, -0.05)}
    found = answer(dict(claims))
    if found == "b":
        return (
            "`b` may be 0.3, and it may be -0.2: its interval holds zero, and promises nothing."
        )
    if found == "c":
        return "`c` has the largest middle or end. In its worst case it is 0.01, and another claim promises more than that."
    if found == "a":
        return "A loss is a result, too: `d` says at least 0.05, downwards."
    if found != "d":
        return f"Of {claims} the safest large claim is d; you return {found!r}."
    nothing = answer({"b": (-0.1, 0.1), "e": (0.0, 0.2)})
    if nothing is not None:
        return f"An interval that reaches zero holds it. Here no claim is left: None, not {nothing!r}."
    return None if answer({}) is None else "Without any claim: None."


def inputs(draw):
    yield {}
    yield {"one": (0.1, 0.2)}
    yield {"b": (-0.1, 0.1), "e": (0.0, 0.2), "f": (-0.2, 0.0)}
    for count in (2, 5, 9):
        lows = draw.normal(0, 0.1, count)
        yield {
            f"n{at}": (float(low), float(low + draw.uniform(0.01, 0.2)))
            for at, low in enumerate(lows)
        }


hints = [
    "For a gain the worst case is `low`; for a loss it is `-high`. The larger of the two is positive only if zero is outside.",
    "`max(sure, key=sure.get)` gives the name with the largest value.",
]
misconceptions = [
    (
        "def lead(claims):\n    return max(claims, key=lambda n: abs(sum(claims[n]) / 2)) if claims else None",
        "promises more than that",
    ),
    (
        "def lead(claims):\n    return max(claims, key=lambda n: claims[n][1]) if claims else None",
        "promises nothing",
    ),
    (
        "def lead(claims):\n    sure = {n: low for n, (low, high) in claims.items() if low > 0}\n    return max(sure, key=sure.get) if sure else None",
        "A loss is a result",
    ),
    (
        "def lead(claims):\n    sure = {n: max(low, -high) for n, (low, high) in claims.items() if low >= 0 or high <= 0}\n    return max(sure, key=sure.get) if sure else None",
        "reaches zero holds it",
    ),
]

# %% [markdown]
# Fill it in now; an hour is well spent. Two things make such a page worth reading. It says what you *expected*, so that
# the surprise is one; your guesses are above. And it says what did not work. Everybody has three experiments that
# failed, hardly any page shows one, and it is the part that a colleague copies first.
#
# Then let a strict reader look at it. The commonest fault of such pages is a word
# that claims a comparison and gives no number: *faster*, *much better*, *improves*. Write that reader.


# %% tags=["exercise"] exercise="weekend4_sunday/bare" answer="bare_claims" minutes=12 difficulty=2
# text: plain sentences, each ending with ".", "!" or "?" followed by a blank or the end.
# Return the sentences that hold one of the words of CLAIMS (in any case, as whole words) and
# no digit. A dot inside a number (0.74) ends no sentence. Keep their order; strip blanks.
CLAIMS = ("better", "worse", "faster", "smaller", "improves", "outperforms", "significantly")


def bare_claims(text): ...


# <solution>
CLAIMS = ("better", "worse", "faster", "smaller", "improves", "outperforms", "significantly")


def bare_claims(text):
    sentences = [each.strip() for each in re.split(r"(?<=[.!?])\s+", text) if each.strip()]
    word = re.compile(rf"\b({'|'.join(CLAIMS)})\b", re.IGNORECASE)
    return [each for each in sentences if word.search(each) and not re.search(r"\d", each)]


# </solution>


# %% tags=["check"] exercise="weekend4_sunday/bare"
def check(answer):
    text = "It is faster. It needs 0.4 s, which is faster than 0.9 s! Better still? The betterment went on. No claim here."
    found = answer(text)
    if isinstance(found, str) or found is None:
        return "Return a list of sentences."
    found = list(found)
    if "The betterment went on." in found:
        return "`betterment` holds the letters of `better`, and is another word. Whole words: `\\b` on both sides."
    if any("0.4" in each for each in found):
        return "A sentence with numbers was accused. It says how much; that is what we want."
    if any(each.startswith("4 s") for each in found) or any(
        each.endswith("0.") for each in found
    ):
        return "You cut at the dot of 0.4. A sentence ends where a blank follows."
    if "Better still?" not in found:
        return "`Better` with a capital letter is the same word."
    if found != ["It is faster.", "Better still?"]:
        return f"You return {found}."
    return None


def inputs(draw):
    yield ""
    yield "faster"
    yield "It\nis\nworse.\n\nSignificantly!   And 3 times smaller."
    words = [
        "It",
        "runs",
        "faster",
        "BETTER",
        "than",
        "0.5",
        "before",
        "bettering",
        "improves",
        "12",
    ]
    for _ in range(10):
        parts = []
        for _ in range(int(draw.integers(1, 5))):
            count = int(draw.integers(1, 6))
            parts.append(
                " ".join(words[int(draw.integers(0, 10))] for _ in range(count))
                + ".!?"[int(draw.integers(0, 3))]
            )
        yield " ".join(parts)


hints = [
    r"`re.split(r'(?<=[.!?])\s+', text)` cuts behind the mark and keeps it.",
    r"`re.search(r'\d', sentence)` finds a digit. `re.IGNORECASE` takes capitals, too.",
]
misconceptions = [
    (
        "def bare_claims(text):\n    parts = re.split(r'(?<=[.!?])\\s+', text)\n    return [p for p in parts if any(w in p.lower() for w in CLAIMS) and not re.search(r'\\d', p)]",
        "is another word",
    ),
    (
        "def bare_claims(text):\n    parts = [p.strip() for p in re.split(r'(?<=[.!?])\\s+', text) if p.strip()]\n    return [p for p in parts if re.search(rf\"\\b({'|'.join(CLAIMS)})\\b\", p) and not re.search(r'\\d', p)]",
        "capital letter",
    ),
    (
        "def bare_claims(text):\n    parts = [p.strip() for p in re.split(r'(?<=[.!?])\\s+', text) if p.strip()]\n    return [p for p in parts if re.search(rf\"\\b({'|'.join(CLAIMS)})\\b\", p, re.I)]",
        "was accused",
    ),
]

# %%
page = lab.progress / "portfolio.md"
prose = re.sub(r"[#*`>]|\(.*?\)", " ", page.read_text(encoding="utf-8"))
accused = bare_claims(" ".join(prose.split()))
print(*accused, sep="\n") if accused else print("No claim without a number. Well said.")
tracking.record("bare_claims", float(len(accused)))

# %% [markdown]
# ## Plan your next steps
#
# <!-- asked: W4SUN-T3 -->
# A plan without dates is a wish. Three steps, each small enough for a few evenings, each with a sign by which you will
# know that it is done. When will they be finished, if you have so many hours a week and are honest about it?


# %% tags=["exercise"] exercise="weekend4_sunday/dates" answer="finish_dates" minutes=12 difficulty=2
# start: a datetime.date, the first day on which you work. weekdays: the days of the week on
# which you do, Monday is 0. hours: how many on each of these days. tasks: hours that each task
# takes, done one after the other; what is left of a day's hours goes into the next task.
# Return the date on which each task is finished. A task of 0 hours ends when the one before
# does (the first one: on the first working day).
def finish_dates(start, weekdays, hours, tasks): ...


# <solution>
def finish_dates(start, weekdays, hours, tasks):
    day, left, dates = start, 0, []
    while day.weekday() not in weekdays:
        day += datetime.timedelta(days=1)
    left = hours
    for needed in tasks:
        while needed > left:
            needed -= left
            day += datetime.timedelta(days=1)
            while day.weekday() not in weekdays:
                day += datetime.timedelta(days=1)
            left = hours
        left -= needed
        dates.append(day)
    return dates


# </solution>


# %% tags=["check"] exercise="weekend4_sunday/dates"
def check(answer):
    monday = datetime.date(2026, 11, 30)
    day = datetime.timedelta(days=1)
    found = answer(monday, {0, 2}, 2, [3, 1, 2])
    if found is None or isinstance(found, datetime.date):
        return "Return a list with a date for each task."
    found = list(found)
    wanted = [monday + 2 * day, monday + 2 * day, monday + 7 * day]
    if len(found) != 3:
        return f"Three tasks have three dates; you return {len(found)}."
    if not all(isinstance(each, datetime.date) for each in found):
        return "Return dates, not texts: `datetime.date` objects."
    if found[1] == monday + 7 * day:
        return "After the first task one hour of Wednesday is left. The second task needs just one: it is done the same day."
    if found[0] == monday + day:
        return "Tuesday is no working day here. Go on to the next day that is."
    if found != wanted:
        return f"With two hours on Mondays and Wednesdays, 3, 1 and 2 hours end on {[str(each) for each in wanted]}; you say {[str(each) for each in found]}."
    sunday = answer(monday - day, {0}, 2, [1])
    if list(sunday) != [monday]:
        return "A start on a Sunday: the first working day is the Monday after it."
    exact = answer(monday, {0}, 2, [2, 2])
    return (
        None
        if list(exact) == [monday, monday + 7 * day]
        else "A task that fills a day to its last minute is finished on that day, not on the next."
    )


def inputs(draw):
    start = datetime.date(2026, 12, 1)
    yield start, {0, 1, 2, 3, 4, 5, 6}, 1, []
    yield start, {6}, 3, [0, 7, 0]
    for _ in range(8):
        days = set(draw.choice(7, int(draw.integers(1, 7)), replace=False).tolist())
        tasks = draw.integers(0, 9, int(draw.integers(1, 5))).tolist()
        begin = start + datetime.timedelta(days=int(draw.integers(0, 20)))
        yield begin, days, int(draw.integers(1, 5)), tasks


hints = [
    "Keep two things: the current day, and how many hours are left in it.",
    "While a task needs more than is left: take what is left, go to the next working day, start with fresh hours.",
]
misconceptions = [
    (
        "def finish_dates(start, weekdays, hours, tasks):\n    day, dates = start, []\n    for t in tasks:\n        while t > 0:\n            while day.weekday() not in weekdays:\n                day += datetime.timedelta(days=1)\n            t -= hours\n            last = day\n            day += datetime.timedelta(days=1)\n        dates.append(last)\n    return dates",
        "the same day",
    ),
    (
        "def finish_dates(start, weekdays, hours, tasks):\n    day, left, dates = start, hours, []\n    for t in tasks:\n        while t > left:\n            t -= left\n            day += datetime.timedelta(days=1)\n            left = hours\n        left -= t\n        dates.append(day)\n    return dates",
        "no working day",
    ),
    (
        "def finish_dates(start, weekdays, hours, tasks):\n    day, left, dates = start, hours, []\n    nxt = lambda d: d + datetime.timedelta(days=1)\n    for t in tasks:\n        while t > left:\n            t -= left\n            day, left = nxt(day), hours\n            while day.weekday() not in weekdays:\n                day = nxt(day)\n        left -= t\n        dates.append(day)\n    return dates",
        "A start on a Sunday",
    ),
]

# %%
steps = {  # change these: yours, in hours
    "Use the model once a week on real texts, and write down where it fails": 4,
    "Label two hundred of those and train again": 8,
    "Show it to three people, and keep silent while they try": 3,
}
today = datetime.date.today()
dates = finish_dates(today, {1, 3, 5}, 2, list(steps.values()))
for (step, hours), date in zip(steps.items(), dates, strict=True):
    print(f"{date}  ({hours} h)  {step}")

# %%
figure = plots.bars(
    [f"until {date}" for date in dates],
    list(steps.values()),
    title=f"{sum(steps.values())} hours, done on {dates[-1]}",
    xlabel="hours",
)
plots.show(
    figure,
    alt=f"Hours of {len(steps)} steps, one after the other; the last ends on {dates[-1]}.",
)

# %% [markdown]
# (`lab plan` puts lessons that you have not done yet on dates, too, and writes a calendar file.)
#
# ## What to deepen
#
# <!-- asked: W4SUN-T4 -->
# Where did you need the most attempts? Not to be ashamed of; it is a map of what is worth a second look.

# %%
hard = sorted(
    (
        (tries / max(1, len(day.tries)), day)
        for days in weeks.values()
        for day in days
        if (tries := sum(day.tries.values()))
    ),
    key=lambda found: -found[0],
)[:3]
for mean, day in hard:
    guides = timetable.lesson(day.lesson).get("guides") or ["resources"]
    print(f"{day.label}, {day.title}: {mean:.1f} attempts an exercise → guide {guides[0]}")
if not hard:
    print(
        "No attempt is on record here. The guide `resources` lists books, papers and courses."
    )

# %% [markdown]
# Name two, and the first thing that you will open for each. The [guide to resources](../../curriculum/guides/resources.md)
# has one good entry for every topic of this course, and says how long each takes.
#
# ## Final checkpoint
#
# Four checkpoints close the fourth week, and the course. Put in the ids of those that are true.

# %%
reached = []  # for example ["WC-4a", "WC-4c"]
for checkpoint in reached:
    progress.tick(checkpoint)

done = progress.read()
week = next(week for week in timetable.weeks() if week["id"] == "week4")
for point in week["checkpoints"]:
    print(f"[{'x' if done[point['id']] else ' '}] {point['id']}  {point['text']}")

# %%
my_words = ...  # for example: "To me on Day 1: the leak is always in the split."
entry = f"{len(pairs)} guesses met their results; {len(accused)} claims have no number."
progress.write_journal(
    "weekend4_sunday", f"{entry} {my_words}" if isinstance(my_words, str) else ...
)

# %% [markdown]
# ## What you saw
#
# You began by asking a model that knew nothing. You end with a repository that a stranger can rebuild, a number that
# says how sure it is, and the habit of guessing before looking. The habit is what stays. Libraries of this course will
# have other names in three years; a test set that chose nothing will still be one.

# %% tags=["quiz"]
[
    {
        "question": "Your later guesses were closer; the permutation test gives 0.30. What may you write?",
        "choices": [
            (
                "I got better at guessing.",
                "Three shuffles in ten do as well without any learning.",
                False,
            ),
            (
                "Undecided: luck does as much in 30 % of all orders.",
                "The number and the word, both.",
                True,
            ),
            (
                "I did not get better.",
                "That was not shown either; too few guesses may hide it.",
                False,
            ),
        ],
    },
    {
        "question": "Which sentence belongs on a portfolio page?",
        "choices": [
            (
                "Our model significantly outperforms the baseline.",
                "By how much, on what, how sure?",
                False,
            ),
            (
                "It scores 0.81 (0.77 to 0.85); word counts reach 0.74.",
                "A number, an interval, a rival.",
                True,
            ),
            ("State-of-the-art accuracy with LoRA.", "Of which state, measured where?", False),
        ],
    },
    {
        "question": "Errors of 0.1, 0.1, 0.2 and 0.9. Which number describes the typical one?",
        "choices": [
            (
                "The mean, 0.325.",
                "Only one of the four is that large; it pulled the mean.",
                False,
            ),
            ("The median, 0.15.", "Half of them lie below, half above.", True),
            ("The largest, 0.9.", "That is the worst one.", False),
        ],
        "proof": "import statistics\nassert abs(statistics.median([0.1, 0.1, 0.2, 0.9]) - 0.15) < 1e-12",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Teach one lesson to somebody. Where you stumble is where you have not understood; it is usually one place.
# - Run a lesson again with `LAB_PROFILE=gpu` on a machine that has one, and put both numbers side by side.
# - The technique lessons and the path *Production ready* go on from here: `lab plan --path production_ready`.
