# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import itertools
import math

import nbformat
import numpy as np
from nbclient import NotebookClient
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from labhelpers import data, exercise, metrics, plots, progress, quiz, report, settings, widgets

lab = settings.start("weekend1_sunday")

# %% [markdown]
# ## Why today matters
#
# Imagine tomorrow. Somebody asks: *you spent a week on fine-tuning, what did it gain?* They expect one sentence, with a
# number in it and how sure you are of that number. Could you say it now, without scrolling back?
#
# Everything it takes is on this machine, because each lesson noted its results. Today you read them together for the
# first time, put your own words beside them, tidy up, and decide what you want from Week 2. Nothing is trained. The
# machine works for seconds, you for an easy afternoon.
#
# One question before you look. Be honest; the machine has counted.

# %%
week = report.standings("week1")
days = [day for day in week if day.lesson != "weekend1_sunday"]
exercises = sum(len(day.tries) for day in days)
first_try = widgets.predict(
    "week1-first-try",
    f"Of this week's {exercises} exercises, how many did you pass at the first attempt?",
    0,
    exercises,
)

# %% [markdown]
# ## Complete your Week 1 report
#
# <!-- asked: W1SUN-T1 -->
# The next cell writes `progress/week1_report.md` and shows it. What is in its first half was recorded on this machine,
# by you. A lesson that has not been run here is listed as such; nothing is filled in for it.

# %%
report.show("week1")

# %%
first_try.compare(sum(day.at_once for day in days))
tries = sum(sum(day.tries.values()) for day in days)
print(
    f"{sum(len(day.passed) for day in days)} of {exercises} are passed; "
    f"it took {tries} attempts in all."
)

# %% [markdown]
# A low number is no bad sign: each check that turned you down told you something. (Today's own row stays empty until
# the end, where the lesson notes its results.)
#
# Now the results. Each has a **band**: the range in which the course expects it, with your profile, whatever the seed and
# the machine. Here is your whole week in one picture. Every dot is one result; 0 is the lower end of its band, 1 the upper.


# %%
def place(result):
    """Where a result lies in its band: 0 at the lower end, 1 at the upper."""
    return (result.value - result.low) / (result.high - result.low)


# %%
expected = [result for day in week for result in day.results if result.where]
inside = sum(result.where == "inside" for result in expected)
if expected:
    title = f"{inside} of {len(expected)} results of your week lie where they were expected"
    figure = plots.dots(
        [place(result) for result in expected],
        title=title,
        xlabel="place in the band (0 lower end, 1 upper end)",
    )
    figure.axes[0].axvspan(0, 1, alpha=0.12)
    plots.show(figure, alt=f"{title}; one dot per result, the band shaded from 0 to 1.")
else:
    print(
        "Nothing has been recorded in this workspace yet. "
        "Run a lesson of this week, then this cell again."
    )

# %% [markdown]
# A dot outside the shade is not a failure. It is a question: did you change something on purpose, or did a cell run
# twice? The table above says which result it is. (A count that has to be zero, such as shared texts, sits on the edge.)
#
# And a result inside its band is still not a *claim*. The sentence for tomorrow needs Day 4's lesson: a difference, its
# 95 % interval, and a word that the interval allows. This course has four such words. The rarest is *tie*: it is not that
# nothing was seen, but that whatever is there is too small to matter. How small, somebody has to say before looking; that
# number is called the **margin**. Write the rule down once, as a function.


# %% tags=["exercise"] exercise="weekend1_sunday/claim" answer="claim" minutes=7 difficulty=1
# low, high: the 95 % interval of a difference in accuracy, new model minus old model, on the
# same sentences. margin: the largest difference that does not matter, or None where nobody said
# one beforehand.
# Return the word that your report may use of the new model: "tie" if there is a margin and the
# whole interval lies from -margin to +margin (ends included); otherwise "better" if all of it
# lies above zero, "worse" if all of it lies below, "undecided" if zero is in it or at its end.
def claim(low, high, margin=None): ...


# <solution>
def claim(low, high, margin=None):
    if margin is not None and -margin <= low and high <= margin:
        return "tie"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


# </solution>


# %% tags=["check"] exercise="weekend1_sunday/claim"
def check(answer):
    ends = [(0.02, 0.07), (-0.01, 0.06), (-0.06, 0.01), (-0.05, -0.01)]
    said = {pair: answer(*pair) for pair in ends}
    words = ("better", "worse", "undecided", "tie")
    strange = [word for word in said.values() if word not in words]
    if strange:
        return f'Your function returned {strange[0]!r}. The report knows four words: "better", "worse", "tie", "undecided".'
    if said[0.02, 0.07] == "worse":
        return "For 0.02 to 0.07 you say worse. The difference is new minus old: above zero, the new model is ahead."
    if said[0.02, 0.07] == "undecided":
        return "For 0.02 to 0.07 you say undecided. No plausible difference is zero or less here; you may say more than that."
    if "tie" in said.values():
        return "Without any margin you say tie. That luck could have made a difference does not prove that there is none: such a case is undecided."
    if said[-0.01, 0.06] == "better" and said[-0.06, 0.01] == "worse":
        return "For -0.01 to 0.06 you say better: that is the sign of the middle. But the interval also holds zero and a small loss, so luck could have made this difference."
    if said[-0.01, 0.06] == "better":
        return "For -0.01 to 0.06 you say better. A gain is possible there; a loss is, too. Which end has to be on the right side of zero?"
    if said[-0.05, -0.01] == "undecided":
        return "For -0.05 to -0.01 you say undecided. Every plausible difference is a loss; a report has to admit that as well."
    if said[-0.05, -0.01] == "better":
        return "For -0.05 to -0.01 you say better, though the whole interval lies below zero."
    if said[-0.06, 0.01] != "undecided":
        return "For -0.06 to 0.01 you say worse. The interval reaches past zero: a small gain is possible as well."
    if answer(-0.004, 0.006, 0.01) != "tie":
        return f"For -0.004 to 0.006 with a margin of 0.01 you say {answer(-0.004, 0.006, 0.01)}. Nothing in that interval matters, so it is a tie."
    if answer(0.002, 0.006, 0.01) != "tie":
        return f"For 0.002 to 0.006 with a margin of 0.01 you say {answer(0.002, 0.006, 0.01)}. There is a difference, but one that does not matter: look at the margin first."
    if answer(-0.004, 0.03, 0.01) == "tie":
        return "For -0.004 to 0.03 with a margin of 0.01 you say tie. Three points are possible there, and they would matter: the *whole* interval has to lie within the margin."
    return None


def inputs(draw):
    for low, high in ((0.0, 0.03), (-0.03, 0.0), (0.0, 0.0), (0.01, 0.01), (-0.01, 0.01)):
        yield low, high
        yield low, high, 0.01
        yield low, high, 0.004
    for low, high in ((-0.01, 0.012), (-0.012, 0.01), (0.01, 0.02), (-0.02, -0.01)):
        yield low, high, 0.01
    for low, width in draw.normal(0, 0.02, (30, 2)):
        yield low, low + abs(width), draw.choice([0.01, 0.02, 0.04])


hints = [
    "The margin first: is it there, and does the whole interval lie within it?",
    "Then where does zero lie: below the interval, above it, or in it? That makes three cases.",
    "The whole interval lies above zero exactly when its lower end does; below, when its upper end does.",
]
misconceptions = [
    (
        'def claim(low, high, margin=None):\n    return "better" if (low + high) / 2 > 0 else "worse"',
        "the sign of the middle",
    ),
    (
        'def claim(low, high, margin=None):\n    return "better" if low > 0 else "undecided"',
        "a report has to admit",
    ),
    (
        'def claim(low, high, margin=None):\n    return "better" if high > 0 else "worse"',
        "Which end",
    ),
    (
        'def claim(low, high, margin=None):\n    return "worse" if low > 0 else "better" if high < 0 else "undecided"',
        "new minus old",
    ),
    ("def claim(low, high, margin=None):\n    return low > 0", "four words"),
    (
        'def claim(low, high, margin=None):\n    return "better" if low > 0 else "worse" if high < 0 else "tie"',
        "does not prove",
    ),
    (
        'def claim(low, high, margin=None):\n    if low > 0 or high < 0:\n        return "better" if low > 0 else "worse"\n    return "tie" if margin and max(-low, high) <= margin else "undecided"',
        "look at the margin first",
    ),
]

# %%
mondays = {"Ada": (0.021, 0.064), "Bo": (-0.008, 0.035), "Cleo": (-0.040, -0.012)}
mondays["Dee"] = (-0.006, 0.009)
for name, (low, high) in mondays.items():
    print(f"{name:<5} {100 * low:+.1f} to {100 * high:+.1f} points: {claim(low, high, 0.01)}")

# %% [markdown]
# Now the half that no machine can write. Open the file named below: in JupyterLab, find it in the file browser on the
# left and double-click it. Four headings wait in it. Three sentences under each are plenty.
#
# Write for yourself in three months. *LoRA trains few parameters* will tell that person nothing. *I expected the
# adapter to be most of what trains, and …* will. When you have saved the file, run this cell again. The report is made
# anew each time, with your words at its end; into your notes nobody writes but you.

# %%
report.week("week1")
notes, waiting = report.notes("week1"), report.unwritten("week1")
print(f"{notes.parent.name}/{notes.name}")
print(
    "Still yours to write:", ", ".join(waiting) + "." if waiting else "nothing. It is complete."
)

# %% [markdown]
# ## Tidy your notebooks
#
# A notebook with its results in it looks like proof. How often is it? Two researchers took notebooks that stand
# behind published biomedical papers, installed what each one asked for, and pressed *run* (Samuel and Mietchen, 2024).

# %%
started, reached_the_end, same_results = 10_388, 1_203, 879
print(
    f"{reached_the_end / started:.0%} ran to their end, "
    f"{same_results / started:.0%} gave the results in the file."
)

# %% [markdown]
# Some causes lie outside the notebook: data that moved, packages that changed. One lies inside, and you can see it
# happen. Here are four cells, as one leaves them on a Friday evening: a count, an accuracy, and a quick try.

# %%
cells = [
    "sentences = 1000",
    "wrong = 132",
    "print(f'accuracy {1 - wrong / sentences:.3f}')",
    "sentences = 600  # a quick try on fewer",
]


def execute(order):
    """Run the cells in this order, in a kernel of their own, as Jupyter would."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells]
    )
    client = NotebookClient(notebook, kernel_name="python3", extra_arguments=["--log-level=40"])
    with client.setup_kernel():
        for position in order:
            client.execute_cell(notebook.cells[position], position)
    return notebook


# %% [markdown]
# On Friday the quick try ran, and then the accuracy cell once more. On Monday somebody opens the same file and runs
# it from top to bottom. It is the same text. Which accuracy will each of them see?

# %%
friday, monday = execute([0, 1, 3, 2]), execute([0, 1, 2, 3])

for name, notebook in {"Friday": friday, "Monday": monday}.items():
    print(name)
    for cell in notebook.cells:
        printed = "".join(output["text"] for output in cell.outputs).strip()
        print(f"   [{cell.execution_count}]  {cell.source:<48} {printed}")

# %% [markdown]
# A variable holds what the last cell *to run* put into it, wherever that cell stands on the page. This is called
# **hidden state**: the kernel remembers, the page does not show it. The only trace is the number in brackets, the
# *execution count*. On Friday a 4 stands above a 3.
#
# A trace that is written in the file can be searched for.


# %% tags=["exercise"] exercise="weekend1_sunday/out-of-order" answer="out_of_order" minutes=10 difficulty=2
# notebook: as nbformat reads it; notebook.cells is a list. Return the positions in that list of
# all code cells that ran before some cell that stands above them. cell.cell_type is "code" or
# "markdown"; only code cells have an execution_count, and it is None where the cell has not run
# (such a cell is neither early nor late).
def out_of_order(notebook): ...


# <solution>
def out_of_order(notebook):
    late, latest = [], 0
    for position, cell in enumerate(notebook.cells):
        count = cell.get("execution_count")
        if count is None:
            continue
        if count < latest:
            late.append(position)
        latest = max(latest, count)
    return late


# </solution>


# %% tags=["check"] exercise="weekend1_sunday/out-of-order"
def check(answer):
    def notebook(*counts):
        made = []
        for count in counts:
            if count == "text":
                made.append(nbformat.v4.new_markdown_cell("words"))
            else:
                made.append(nbformat.v4.new_code_cell("x = 1", execution_count=count))
        return nbformat.v4.new_notebook(cells=made)

    def found(*counts):
        return sorted(int(position) for position in answer(notebook(*counts)))

    if answer(notebook(1, 2, 4, 3)) is None:
        return "Your function returns nothing. It should return a list of positions, empty if all is in order."
    if not isinstance(answer(notebook(1, 2, 4, 3)), list):
        return f"Your function returns something of type {type(answer(notebook(1, 2, 4, 3))).__name__}. A list of positions is wanted, to find the cells again."
    if found(1, 2, 4, 3) == [2]:
        return "For the counts 1, 2, 4, 3 you name position 2, the cell that ran last. The early one stands below it: it ran before a cell above it."
    if found(1, 2, 4, 3) == [2, 3]:
        return "For the counts 1, 2, 4, 3 you name positions 2 and 3. You seem to compare each count with its place on the page; only one of these two ran before a cell above it."
    if found(1, 2, 4, 3) == [4]:
        return (
            "For the counts 1, 2, 4, 3 you name 4. Positions count from zero, as the list does."
        )
    if found(1, 2, 4, 3) != [3]:
        return f"For the counts 1, 2, 4, 3 you name {found(1, 2, 4, 3)}. Which cell ran before one that stands above it?"
    if found(2, 5, 9):
        return "The counts 2, 5, 9 are in order, though not without gaps: a cell that ran three times leaves two. You complain about them."
    if found(5, 2, 3) != [1, 2]:
        return f"For the counts 5, 2, 3 you name {found(5, 2, 3)}. The third cell follows its neighbour properly, but it, too, ran before the first one. Compare with all cells above, not only the nearest."
    try:
        result = found(3, None, 1)
    except TypeError:
        return "A code cell that has not run has the count None, and None cannot be compared with a number. Leave such cells out."
    if result != [2]:
        return f"For the counts 3, None, 1 you name {result}. The cell in the middle has not run: pass over it and keep what you know about the first."
    try:
        result = found("text", 2, "text", 1)
    except (AttributeError, KeyError):
        return "A Markdown cell has no execution_count at all, so asking it for one fails. Look at the cell's type first."
    if result == [1]:
        return "You give the position among the code cells. With Markdown in between, that is another cell of the notebook."
    return (
        None
        if result == [3]
        else f"With Markdown in between (text, 2, text, 1) you name {result}."
    )


def inputs(draw):
    yield []
    yield [None, "text"]
    yield [7]
    yield [9, 4, 6, None, 5, 12, "text", 10, 11, 13]
    for size in (5, 8, 12):
        counts = (draw.permutation(size) + 1).tolist()
        counts[draw.integers(size)] = None
        yield counts + ["text"] + [number + size for number in counts[:3] if number]


def trial(answer, counts):
    new = {"text": nbformat.v4.new_markdown_cell("words")}
    cells = [
        new.get(count) or nbformat.v4.new_code_cell("x = 1", execution_count=count)
        for count in counts
    ]
    made = nbformat.v4.new_notebook(cells=cells)
    found = {"positions": sorted(answer(made))}
    return found | {"the notebook": [cell.get("execution_count") for cell in made.cells]}


hints = [
    "Walk through the cells from top to bottom and remember the highest count so far.",
    "A cell whose count is lower than the highest so far ran before a cell above it.",
    '`cell.get("execution_count")` gives None for Markdown and for cells that have not run. `enumerate` gives positions.',
]
misconceptions = [
    (
        "def out_of_order(notebook):\n    counts = [c.get('execution_count') or 0 for c in notebook.cells]\n"
        "    return [i for i in range(1, len(counts)) if counts[i] < counts[i - 1]]",
        "not only the nearest",
    ),
    (
        "def out_of_order(notebook):\n"
        "    return [i for i, c in enumerate(notebook.cells) if c.execution_count != i + 1]",
        "its place on the page",
    ),
    (
        "def out_of_order(notebook):\n    counts = [c.get('execution_count') or 10**9 for c in notebook.cells]\n"
        "    return [i for i in range(len(counts)) if any(n < counts[i] for n in counts[i + 1:])]",
        "the cell that ran last",
    ),
    (
        "def out_of_order(notebook):\n    counts = [c.execution_count for c in notebook.cells]\n"
        "    return [i for i, n in enumerate(counts) if any(n < m for m in counts[:i])]",
        "None cannot be compared",
    ),
    (
        "def out_of_order(notebook):\n    counts = [c.execution_count or 10**9 for c in notebook.cells]\n"
        "    return [i for i, n in enumerate(counts) if any(n < m < 10**9 for m in counts[:i])]",
        "Look at the cell's type",
    ),
    (
        "def out_of_order(notebook):\n    ran = [c.execution_count or 10**9 for c in notebook.cells if c.cell_type == 'code']\n"
        "    return [i for i, n in enumerate(ran) if any(n < m < 10**9 for m in ran[:i])]",
        "among the code cells",
    ),
]

# %% [markdown]
# Now ask it about your own week, as the notebooks were last saved:

# %%
for path in sorted((lab.root / "lessons" / "week1").glob("*.ipynb")):
    try:
        notebook = nbformat.read(path, as_version=4)
        ran = sum(cell.get("execution_count") is not None for cell in notebook.cells)
        found = (
            f"{ran} cells ran, {len(out_of_order(notebook))} out of order"
            if ran
            else "saved without running"
        )
    except (ValueError, AttributeError, KeyError):
        found = "cannot be read as a notebook"
    print(f"{path.name:<34} {found}")

# %% [markdown]
# Order is necessary, not enough. A cell that was edited after it ran keeps its number and its old output. A deleted
# cell leaves its variables behind. No search finds these; a fresh kernel does:
#
# - in JupyterLab: *Kernel*, then *Restart Kernel and Run All Cells*;
# - in a terminal: `jupyter execute NOTEBOOK.ipynb`, which runs it in a new kernel and leaves the file as it is.
#
# <!-- asked: W1SUN-T2 -->
# Do it once for each notebook of the week. Finished training runs are found again, so nothing trains twice. If a cell
# fails, you have found hidden state while you still remember what you meant.
#
# ## Clean one piece of code
#
# Hidden state has a cure that works while you write: functions. What a function needs comes in through its arguments,
# what it makes goes out through `return`, and everything else is forgotten when it ends.
#
# Here is something to clean. First Day 3's word-counting baseline, for its predictions on the validation split:

# %%
reviews = data.prepared("sentiment")
train, validation = reviews["train"], reviews["validation"]


def fit_words(ngrams):
    words = TfidfVectorizer(ngram_range=ngrams, sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=10, max_iter=1000)).fit(
        train["text"][:], train["label"][:]
    )


texts, labels = validation["text"][:], np.array(validation["label"])
predictions = fit_words((1, 2)).predict(texts)

# %% [markdown]
# Does it read short sentences better than long ones? Somebody has already looked. The cell runs, it prints a table, and
# nobody would stop at it:

# %%
a = []
for x in [(0, 10), (10, 20), (20, 30), (30, 99)]:
    n = 0
    c = 0
    for i in range(len(texts)):
        k = len(texts[i].split())
        if x[0] < k < x[1]:
            n = n + 1
            if predictions[i] == labels[i]:
                c = c + 1
    a.append((x[0], x[1], n, c / max(n, 1)))
    print(x, n, round(c / max(n, 1), 3))
m = sum(r[3] for r in a) / len(a)
print("overall", round(m, 3))

# %% [markdown]
# Two checks that cost one line each, and that you can make of any table: do the parts add up to the whole, and does the
# summary agree with a second way to compute it?

# %%
counted, share_right = sum(row[2] for row in a), (predictions == labels).mean()
print(f"{counted} of {len(texts)} sentences are in the table.")
print(
    f"The table says {m:.1%} overall. Counted directly, "
    f"{share_right:.1%} of the predictions are right."
)

# %% [markdown]
# Neither holds. There are two bugs in there, and the names `a`, `x`, `n`, `c`, `k`, `m` hide both. Take the last line
# first.


# %% tags=["exercise"] exercise="weekend1_sunday/overall" answer="overall" minutes=7 difficulty=2
# Find the bug in `m = sum(...) / len(a)` and write a version that is right for every table.
# rows: a list of (low, high, n, accuracy): n sentences, accuracy the share of them that is
# right. A row without sentences has n = 0 and accuracy nan (not a number). Return the accuracy
# over all sentences of the table.
def overall(rows): ...


# <solution>
def overall(rows):
    right = sum(n * accuracy for _, _, n, accuracy in rows if n)
    return right / sum(n for _, _, n, _ in rows)


# </solution>


# %% tags=["check"] exercise="weekend1_sunday/overall"
def check(answer):
    rows = [(0, 10, 10, 0.9), (10, 20, 90, 0.5)]
    value = answer(list(rows))
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return f"Your function returned {type(value).__name__}. It should return a number."
    if abs(value - 0.7) < 1e-9:
        return "For 10 sentences at 0.9 and 90 at 0.5 you still get 0.7, the mean of the two rows. Should a row of 10 speak as loudly as a row of 90?"
    if abs(value - 54) < 1e-9:
        return "You get 54, the number of right sentences among 100. A share of them is wanted."
    if abs(value - 27) < 1e-9:
        return "You weigh the rows, but then you divide by the number of rows. What would make it a share of all sentences?"
    if abs(value - 0.54) > 1e-9:
        return f"For 10 sentences at 0.9 and 90 at 0.5 you get {value:.6g}. How many sentences are right, and out of how many?"
    value = answer([*rows, (20, 30, 0, math.nan)])
    if math.isnan(value):
        return "With an empty row in the table your result is nan: 0 × nan is nan, and it swallows every sum. Leave empty rows out."
    return (
        None
        if abs(value - 0.54) < 1e-9
        else f"An empty row changes your result from 0.54 to {value:.6g}."
    )


def inputs(draw):
    yield [(0, 10, 1, 0.0)]
    yield [(0, 10, 0, math.nan), (10, 20, 7, 1.0), (20, 30, 0, math.nan)]
    for size in (2, 3, 6):
        counts = draw.integers(1, 40, size).tolist()
        counts[-1] = 0
        right = [int(draw.integers(0, n + 1)) / n if n else math.nan for n in counts]
        ends = range(0, 10 * size, 10)
        yield [
            (low, low + 10, *row)
            for low, row in zip(ends, zip(counts, right, strict=True), strict=True)
        ]


hints = [
    "How many sentences are right in a row with n sentences and this accuracy?",
    "Add up the right ones, add up all of them, divide once at the end.",
    "`n * accuracy` per row; skip the rows in which n is 0.",
]
misconceptions = [
    (
        "def overall(rows):\n    return sum(row[3] for row in rows) / len(rows)",
        "Should a row of 10",
    ),
    (
        "def overall(rows):\n    return sum(row[2] * row[3] for row in rows) / len(rows)",
        "divide by the number of rows",
    ),
    ("def overall(rows):\n    return sum(row[2] * row[3] for row in rows)", "A share of them"),
    (
        "def overall(rows):\n    return sum(row[2] * row[3] for row in rows) / sum(row[2] for row in rows)",
        "Leave empty rows out",
    ),
]

# %% [markdown]
# A mean of means weighs small groups as much as large ones. The second bug has lost sentences. Find it while you give the
# cell what it lacks: a name, arguments, and a return.


# %% tags=["exercise"] exercise="weekend1_sunday/by-length" answer="accuracy_by_length" minutes=12 difficulty=2
# Return one row (low, high, n, accuracy) for each two neighbours in edges: edges [0, 10, 20]
# makes the rows 0 ≤ words < 10 and 10 ≤ words < 20. A row without sentences gets n = 0 and
# accuracy math.nan.
# texts: n strings, words are what .split() gives. labels, predictions: n classes, as lists or
# arrays.
def accuracy_by_length(texts, labels, predictions, edges): ...


# <solution>
def accuracy_by_length(texts, labels, predictions, edges):
    words = np.array([len(text.split()) for text in texts])
    right = np.asarray(labels) == np.asarray(predictions)
    rows = []
    for low, high in itertools.pairwise(edges):
        chosen = right[(low <= words) & (words < high)]
        rows.append((low, high, len(chosen), float(chosen.mean()) if len(chosen) else math.nan))
    return rows


# </solution>


# %% tags=["check"] exercise="weekend1_sunday/by-length"
def check(answer):
    lengths = [1, 2, 2, 3, 4, 4, 4, 5]
    trial = (
        ["word " * length for length in lengths],
        [1, 1, 0, 1, 0, 0, 1, 1],
        [1, 0, 0, 1, 0, 1, 0, 1],
    )
    own = getattr(answer, "__wrapped__", answer)
    try:
        rows = [tuple(row) for row in answer(*trial, [1, 2, 4, 9])]
    except (IndexError, ValueError) as error:
        names = {"texts", "labels", "predictions", "validation"} & set(
            getattr(getattr(own, "__code__", None), "co_names", ())
        )
        if names:
            return f"Your function reads {sorted(names)} of the notebook instead of its arguments: hidden state again. It fails on any other data."
        return f"On a list of eight sentences it stops with: {error}. Do labels and predictions arrive as plain lists here?"
    if len(rows) != 3 or any(len(row) != 4 for row in rows):
        return "Edges [1, 2, 4, 9] make three rows, each with four entries: low, high, n, accuracy."
    counts = [row[2] for row in rows]
    if counts == [0, 1, 1]:
        return "Sentences of exactly 1, 2 or 4 words are in no row: this is how the messy cell lost some. One end of each row must belong to it."
    if sum(counts) > len(lengths):
        return f"Your rows hold {sum(counts)} sentences, but there are {len(lengths)}. A sentence on an edge is in two rows."
    if counts == [3, 4, 1]:
        return "A sentence with exactly as many words as an edge should fall into the row that begins there, not into the one that ends there."
    if counts != [1, 3, 4]:
        return f"Your rows hold {counts} sentences, and it should be [1, 3, 4]. Are you counting words, as .split() gives them?"
    if [round(row[3], 3) for row in rows] != [1.0, 0.667, 0.5]:
        return f"The counts are right, the accuracies {[round(row[3], 3) for row in rows]} are not. Each is the share of right predictions within its own row."
    try:
        empty = answer(*trial, [1, 9, 20])[1]
    except ZeroDivisionError:
        return "A row without sentences stops your function: it divides by zero. Such a row has the accuracy nan."
    return (
        None
        if empty[2] == 0 and math.isnan(empty[3])
        else f"A row without sentences comes out as {empty}; its accuracy should be nan."
    )


def inputs(draw):
    yield [], [], [], [0, 10]
    yield (
        ["one", "", "  two\twords\n", "and  three words"],
        [2, 0, 1, 3],
        [2, 1, 1, 3],
        [0, 1, 2, 4],
    )
    yield ["a b"], [1], [0], [2, 3]
    for edges in ([0, 3, 6, 20], [2, 5], [5, 6, 7, 8, 30], [40, 50]):
        lengths = draw.integers(0, 12, 25)
        labels, predictions = draw.integers(0, 3, (2, 25))
        texts = [" ".join(["word"] * length) for length in lengths]
        yield texts, labels, predictions.tolist(), edges
        yield texts, labels.tolist(), predictions, edges


hints = [
    "Which lengths satisfy `x[0] < k < x[1]` for no row at all?",
    "`low <= words < high` puts each length into exactly one row.",
    "With arrays: `right[(low <= words) & (words < high)]` are the sentences of one row; its mean is the accuracy.",
]
misconceptions = [
    (
        "def accuracy_by_length(texts, labels, predictions, edges):\n    rows = []\n"
        "    for low, high in zip(edges, edges[1:]):\n"
        "        ok = [y == p for t, y, p in zip(texts, labels, predictions) if low < len(t.split()) < high]\n"
        "        rows.append((low, high, len(ok), sum(ok) / max(len(ok), 1)))\n    return rows",
        "this is how the messy cell lost some",
    ),
    (
        "def accuracy_by_length(texts, labels, predictions, edges):\n    rows = []\n"
        "    for low, high in zip(edges, edges[1:]):\n"
        "        ok = [y == p for t, y, p in zip(texts, labels, predictions) if low <= len(t.split()) <= high]\n"
        "        rows.append((low, high, len(ok), sum(ok) / max(len(ok), 1)))\n    return rows",
        "is in two rows",
    ),
    (
        "def accuracy_by_length(texts, labels, predictions, edges):\n    rows = []\n"
        "    for low, high in zip(edges, edges[1:]):\n"
        "        ok = [y == p for t, y, p in zip(texts, labels, predictions) if low <= len(t.split()) < high]\n"
        "        rows.append((low, high, len(ok), sum(ok) / len(ok)))\n    return rows",
        "divides by zero",
    ),
    (
        "def accuracy_by_length(texts, labels, predictions, edges):\n    rows = []\n"
        "    for low, high in zip(edges, edges[1:]):\n"
        "        ok = [y == p for t, y, p in zip(texts, labels, predictions) if low <= len(t.split()) < high]\n"
        "        rows.append((low, high, len(ok), sum(ok) / len(texts)))\n    return rows",
        "within its own row",
    ),
    (
        "def accuracy_by_length(some, truth, guesses, edges):\n    sizes = np.array([len(t.split()) for t in some])\n"
        "    right = labels == predictions\n"
        "    return [(a, b, 0, right[(a <= sizes) & (sizes < b)].mean()) for a, b in zip(edges, edges[1:])]",
        "hidden state again",
    ),
    (
        "def accuracy_by_length(texts, labels, predictions, edges):\n    sizes = np.array([len(t) for t in texts])\n"
        "    right = np.array(labels) == np.array(predictions)\n"
        "    pick = [right[(a <= sizes) & (sizes < b)] for a, b in zip(edges, edges[1:])]\n"
        "    return [(a, b, len(p), p.mean() if len(p) else math.nan) for a, b, p in zip(edges, edges[1:], pick)]",
        "Are you counting words",
    ),
]

# %%
longest = max(len(text.split()) for text in texts)
rows = accuracy_by_length(texts, labels, predictions, [0, 10, 20, 30, longest + 1])
for low, high, n, accuracy in rows:
    print(f"{low:>3} to {high - 1:>2} words: {n:>4} sentences, {accuracy:.1%} right")
print(
    f"{sum(row[2] for row in rows)} of {len(texts)} sentences, "
    f"{overall(rows):.1%} right overall"
)

# %% [markdown]
# Now the parts add up, and two ways of computing the whole agree. Only now is the question worth asking: does length
# matter? Each row is a sample, so each gets its interval.

# %%
sizes, right = np.array([len(text.split()) for text in texts]), predictions == labels
filled = [(low, high) for low, high, n, _ in rows if n]
intervals = [
    metrics.bootstrap_interval(right[(low <= sizes) & (sizes < high)]) for low, high in filled
]

# %%
holding = sum(part.low <= right.mean() <= part.high for part in intervals)
figure = plots.interval_bars(
    [f"{low} to {high - 1} words" for low, high in filled],
    [(100 * part.estimate, 100 * part.low, 100 * part.high) for part in intervals],
    reference=100 * right.mean(),
    reference_label="all sentences",
    title=f"{holding} of {len(filled)} intervals hold the overall accuracy",
    xlabel="accuracy of the word-counting baseline (%), 95 % intervals over sentences",
)
alt = (
    f"Accuracy by sentence length; {holding} of {len(filled)} intervals hold the overall value."
)
plots.show(figure, alt=alt)

# %% [markdown]
# Clean code has a second reward: the next question costs two lines. The baseline counts single words *and* pairs of
# neighbours. Are the pairs worth it? A margin first: less than one point would not be worth a table so much longer. Then
# `metrics.compare`, which draws its word by the rule that you wrote this morning.

# %%
gain = metrics.compare(right, fit_words((1, 1)).predict(texts) == labels, margin=0.01)
print("with pairs against single words:", gain)
assert claim(gain.low, gain.high, gain.margin) == gain.verdict

# %% [markdown]
# <!-- asked: W1SUN-T3 -->
# Now take one cell of your own, the one you would least like to explain tomorrow. A recipe that rarely fails:
#
# 1. Name what comes out: that is the function's name. If you need an *and*, it is two functions.
# 2. Every variable it reads and does not make becomes an argument.
# 3. Restart the kernel and run it on three rows whose answer you know.
#
# ## Questions for Week 2
#
# In Week 2 you train the same task in several ways. The first is the plain one: all weights, no LoRA. With our small
# encoder that is no problem. But people fine-tune models with 7 billion parameters, many on a graphics card with 24 GB of
# memory. Suppose you ask for as little as possible otherwise: one sequence at a time, nothing kept that can be
# computed again.

# %%
from labhelpers import explorers, planner

memory_guess = widgets.predict(
    "week1-full-7b",
    "Memory for full fine-tuning of 7 billion parameters with AdamW in float32",
    0,
    200,
    "GB",
)

# %%
settings_7b = {"batch_size": 1, "sequence_length": 512, "gradient_checkpointing": True}
plan = planner.memory_plan("llama-7b", "full", **settings_7b)
parts = {
    "weights": plan.weights,
    "gradients": plan.gradients,
    "AdamW's two averages": plan.optimizer,
    "activations (estimated)": plan.activations,
}
total = f"{plan.total / 1e9:.0f} GB"

# %%
figure = plots.bars(
    list(parts),
    [amount / 1e9 for amount in parts.values()],
    reference=24,
    reference_label="room on a whole card",
    title=f"{total} in all, and the weights are {100 * plan.weights / plan.total:.0f} % of it",
    xlabel="memory (GB)",
)
alt = f"Memory of full fine-tuning, {total}: the optimizer's share is the largest."
plots.show(figure, alt=alt)
memory_guess.compare(plan.total / 1e9)

# %% [markdown]
# Weights, one gradient for each, and two running averages per weight that AdamW keeps. That is four float32 numbers
# of 4 bytes for every parameter, before the first sentence comes in. Storing all of it in 16 bits (`bfloat16`) halves it.
# LoRA needs gradients and averages only for its sliver. QLoRA also squeezes the frozen weights to 4 bits. So who fits
# where?


# %% tags=["exercise"] exercise="weekend1_sunday/what-fits" answer="methods_that_fit" minutes=8 difficulty=2
# Return a list with those of "full", "lora" and "qlora" that fit on a card with so many
# gigabytes (1 GB = 1e9 bytes), in this order. Use planner.memory_plan(shape, method,
# "bfloat16", **settings_7b).total, in bytes. Rule of thumb: a run may take at most 90 % of a
# card, because the driver and work buffers need the rest.
def methods_that_fit(shape, gigabytes): ...


# <solution>
def methods_that_fit(shape, gigabytes):
    needed = {
        method: planner.memory_plan(shape, method, "bfloat16", **settings_7b).total
        for method in ("full", "lora", "qlora")
    }
    return [method for method, amount in needed.items() if amount <= 0.9 * gigabytes * 1e9]


# </solution>


# %% tags=["check"] exercise="weekend1_sunday/what-fits"
def check(answer):
    totals = {
        method: planner.memory_plan("llama-7b", method, "bfloat16", **settings_7b).total
        for method in ("full", "lora", "qlora")
    }
    roomy, middle = 2 * totals["full"] / 1e9, 1.5 * totals["lora"] / 1e9
    found = answer("llama-7b", roomy)
    if isinstance(found, str) or not isinstance(found, list | tuple):
        return f"Your function returned {type(found).__name__}. A list of method names is wanted, also when only one fits."
    if not found:
        return f"Nothing fits, you say, not even on a card with {roomy:.0f} GB. The plan is in bytes and the card in gigabytes: bring both to one unit."
    if list(found) != list(totals):
        return f"On a card with {roomy:.0f} GB all three fit, but you return {list(found)}."
    if "full" in answer("llama-7b", middle):
        return f"You let full fine-tuning onto a card with {middle:.0f} GB. The weights would fit there; gradients and the optimizer's averages need room as well. Which field of the plan holds everything?"
    if list(answer("llama-7b", middle)) != ["lora", "qlora"]:
        return f"On a card with {middle:.0f} GB, LoRA and QLoRA fit; you return {list(answer('llama-7b', middle))}."
    if "lora" in answer("llama-7b", 1.05 * totals["lora"] / 1e9):
        return "A run that fills 95 % of the card passes your test. On paper it fits; with the driver's share and work buffers it stops with 'out of memory'. Keep a tenth free."
    if "full" not in answer("gpt2", 8):
        return "For the small model gpt2 your function gives the same answer as for the large one. Does it use its argument `shape`?"
    return None


def inputs(draw):
    for shape in ("llama-7b", "gpt2"):
        yield shape, 0.01
        for method in ("full", "lora", "qlora"):
            total = planner.memory_plan(shape, method, "bfloat16", **settings_7b).total / 1e9
            for share in (0.5, 0.885, 0.915, 0.99, 1.05, draw.uniform(0.3, 3)):
                yield shape, total / share


hints = [
    "Three plans, three totals, one comparison each.",
    "A card with 24 GB may hold 0.9 × 24 × 1e9 bytes.",
    '`[method for method in ("full", "lora", "qlora") if ... <= 0.9 * gigabytes * 1e9]`',
]
misconceptions = [
    (
        'def methods_that_fit(shape, gigabytes):\n    return [m for m in ("full", "lora", "qlora")\n'
        '            if planner.memory_plan(shape, m, "bfloat16", **settings_7b).total <= 0.9 * gigabytes]',
        "bring both to one unit",
    ),
    (
        'def methods_that_fit(shape, gigabytes):\n    return [m for m in ("full", "lora", "qlora")\n'
        '            if planner.memory_plan(shape, m, "bfloat16", **settings_7b).weights <= 0.9 * gigabytes * 1e9]',
        "Which field of the plan",
    ),
    (
        'def methods_that_fit(shape, gigabytes):\n    return [m for m in ("full", "lora", "qlora")\n'
        '            if planner.memory_plan(shape, m, "bfloat16", **settings_7b).total <= gigabytes * 1e9]',
        "Keep a tenth free",
    ),
    (
        'def methods_that_fit(shape, gigabytes):\n    return [m for m in ("full", "lora", "qlora")\n'
        '            if planner.memory_plan("llama-7b", m, "bfloat16", **settings_7b).total <= 0.9 * gigabytes * 1e9]',
        "its argument `shape`",
    ),
    (
        'def methods_that_fit(shape, gigabytes):\n    for m in ("full", "lora", "qlora"):\n'
        '        if planner.memory_plan(shape, m, "bfloat16", **settings_7b).total <= 0.9 * gigabytes * 1e9:\n'
        "            return m",
        "also when only one fits",
    ),
]

# %%
for card, gigabytes in planner.GPUS.items():
    print(
        f"{card:<18} "
        f"{', '.join(methods_that_fit('llama-7b', gigabytes)) or 'none of the three'}"
    )

# %% [markdown]
# Now your own case. The planner below takes other models, batches and lengths, and gives a reason for every part. Look
# for something you could really train on the machine you have.

# %%
explorers.memory_planner()

# %% [markdown]
# Memory decides what you *can* do. Whether you *should* is another question, and the honest answer is often no: a
# better prompt, a search through your documents or a word count may do. Think of one task of your own, at work or at
# home, and answer the questions for it.

# %%
explorers.should_i_finetune()

# %%
explorers.which_method()

# %% [markdown]
# The reasoning behind both is written out in the guide [Deciding](../../curriculum/guides/deciding.md). Did the second
# helper name a method that you have not met? A page each: [QLoRA](../../curriculum/guides/qlora.md),
# [prompt tuning](../../curriculum/guides/prompt_tuning.md), [adapter layers](../../curriculum/guides/adapters.md),
# [full fine-tuning](../../curriculum/guides/full_finetuning.md). Week 2 tries them all on your task.
#
# <!-- asked: W1SUN-T4 -->
# Now write down what you want from Week 2. A good question can be answered by a number, and says which: not *is QLoRA
# good?* but *how many points does 4-bit cost on my reviews, and is that more than another seed costs?* The plan is
# for your own project; it may be rough, and it may be *none of this, I will count words first*.

# %%
# Change the texts and run the cell; they go into your journal. (Put the questions into the
# report as well.)
questions = ["…", "…", "…"]
my_project = "…"
if any(text != "…" for text in [*questions, my_project]):
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(questions, 1))
    progress.write_journal(
        "weekend1_sunday", f"Questions for Week 2:\n\n{listed}\n\nMy project: {my_project}"
    )

# %% [markdown]
# ## Week checkpoint
#
# The week has four checkpoints. One of them can be tested right here: *the steps from raw text to a tested model, in
# order, from memory*. Do not scroll.

# %% tags=["exercise"] exercise="weekend1_sunday/steps" answer="steps" minutes=6 difficulty=2
# Put the letters in an order in which each step finds what it needs already done. There is more
# than one right order.
#   a  fine-tune on the training split, in tokens    f  turn the training split into tokens
#   b  open the test split, for the model chosen     g  measure a cheap baseline on validation
#   c  remove duplicates, so that splits share none
#   d  split into training, validation and test
#   e  choose by validation: one of the models, or the baseline
steps = ...  # a text of seven letters
# <solution>
steps = "cdgfaeb"
# </solution>


# %% tags=["check"] exercise="weekend1_sunday/steps"
def check(answer):
    if not isinstance(answer, str) or sorted(answer.strip().lower()) != list("abcdefg"):
        return (
            f"A text of seven letters is wanted, a to g, each exactly once; this is {answer!r}."
        )
    order = answer.strip().lower()
    broken = {
        "cd": "You split before you remove duplicates. Then two copies of a sentence can land in two splits, and the model is tested on what it has learnt by heart.",
        "df": "You tokenise training texts before there is a training split.",
        "dg": "You measure the baseline on validation before there is a validation split.",
        "da": "You train before you split. Nothing would be left that the model has not seen.",
        "fa": "You train before there are tokens. A model reads numbers, not text.",
        "ge": "You choose before you know what doing almost nothing achieves. The baseline may be what you should choose.",
        "ae": "You choose among trained models before anything is trained.",
        "eb": "You open the test split before you have chosen. A number that helps you choose is no honest witness any more.",
    }
    for (first, second), reply in broken.items():
        if order.index(first) > order.index(second):
            return f"In yours, {second} stands before {first}. {reply}"
    return None


def agrees(expected, found):
    return str(found).strip().lower() in ("cdgfaeb", "cdfgaeb", "cdfageb")


hints = [
    "Which step spoils all later ones if it comes too late? Duplicates that are split stay in two places.",
    "Day 2 cleaned and split, Day 3 measured without training, Day 4 trained. The last step of Day 4 happens once.",
    "It begins with c and d, and it ends with a, e, b.",
]
misconceptions = [
    ('steps = "dcgfaeb"', "learnt by heart"),
    ('steps = "cdgfabe"', "no honest witness"),
    ('steps = "cdfaegb"', "doing almost nothing"),
    ('steps = "cdgafeb"', "before there are tokens"),
    ('steps = "cdgfae"', "each exactly once"),
]

# %% [markdown]
# The other three you test yourself. For WC-1a, run `lab doctor` in a terminal. For WC-1d, open an empty notebook and load a
# tokenizer, a model and a data set without looking anything up but the names of the arguments. Then tick what
# is true; what is not true yet makes a fine first hour of next week.

# %%
reached = []  # for example ["WC-1a", "WC-1c"]
for id in reached:
    progress.tick(id)

done = progress.read()
for number in "abcd":
    print(f"[{'x' if done[f'WC-1{number}'] else ' '}] WC-1{number}")

# %% [markdown]
# ## What you saw
#
# Four numbers of today go on record, as on every day. The first is what a restart changed in the four-cell notebook.

# %%
from labhelpers import tracking

shown = [
    float("".join(output["text"] for output in notebook.cells[2].outputs).split()[1])
    for notebook in (friday, monday)
]
tracking.record("restart_changes_accuracy_by", shown[1] - shown[0])
tracking.record("sentences_in_the_table", sum(row[2] for row in rows) / len(texts))
tracking.record("baseline_accuracy", overall(rows))
tracking.record("full_7b_gigabytes", plan.total / 1e9)
report.week("week1")  # with today's row in it
print("Still yours to write in the report:", ", ".join(report.unwritten("week1")) or "nothing")

# %% tags=["quiz"]
quiz = [
    {
        "question": "A saved notebook shows the counts [1], [2], [3] in perfect order, and its last output says 0.868. After Restart and Run All it says 0.780. Nothing in it is random. How can that be?",
        "choices": [
            (
                "The third cell ran before the second.",
                "Then the counts would show it: the second cell would carry a 3.",
                False,
            ),
            (
                "A cell was edited after it had run.",
                "Right. Editing changes the text, not the count and not the output. Only a fresh run brings them together again.",
                True,
            ),
            (
                "The kernel kept old variables over the restart.",
                "A restarted kernel knows nothing. That is why the restart is the test.",
                False,
            ),
            (
                "It cannot: in order means reproducible.",
                "The counts say when each cell last ran, not which text it had then.",
                False,
            ),
        ],
        "proof": """
cells = ["sentences = 1000", "wrong = 132", "accuracy = round(1 - wrong / sentences, 3)"]
def run_all():
    kernel = {}
    for text in cells:
        exec(text, kernel)
    return kernel["accuracy"]
saved = run_all()
cells[0] = "sentences = 600"   # edited, not run
assert saved == 0.868 and run_all() == 0.780
""",
    },
    {
        "question": "A model is right on 10 of 10 short sentences and on 50 of 90 long ones. What is its accuracy?",
        "choices": [
            (
                "About 78 %, the mean of 100 % and 56 %.",
                "That lets 10 sentences speak as loudly as 90. It answers another question: how good it is on an average length group.",
                False,
            ),
            (
                "60 %.",
                "Right: 60 of 100 sentences. Add first, divide once.",
                True,
            ),
            (
                "56 %, because long sentences are the majority.",
                "The short ones count as well, each like any other.",
                False,
            ),
            (
                "It cannot be said without knowing where the edges lie.",
                "The edges only sort the sentences. Whichever way they are sorted, 60 of 100 are right.",
                False,
            ),
        ],
        "proof": """
assert (10 + 50) / (10 + 90) == 0.60
assert 0.77 < (10 / 10 + 50 / 90) / 2 < 0.78 and 0.55 < 50 / 90 < 0.56
""",
    },
    {
        "question": "A colleague calls TfidfVectorizer().fit(train + validation), then trains the classifier on train alone. On validation the accuracy hardly moves. What do you say?",
        "choices": [
            (
                "It is fine, since no labels of the validation split were used.",
                "Labels are not all that can leak. Which words exist, and how rare they are, came from sentences that should be new.",
                False,
            ),
            (
                "It is fine, since the number hardly moved.",
                "You know that only because you measured both. With rarer words or less data it can move, and nobody will measure again.",
                False,
            ),
            (
                "Fit on train only: otherwise the number no longer says what happens on new text.",
                "Right. The vectoriser is a part of the model. It must meet validation sentences for the first time when it is tested on them.",
                True,
            ),
            (
                "Fit it on validation only, so that train stays clean.",
                "Then the classifier would learn from words that were chosen by the sentences it is tested on.",
                False,
            ),
        ],
        "proof": """
from sklearn.feature_extraction.text import TfidfVectorizer
train, validation = ["a fine film", "a dull film"], ["an exquisite film"]
honest, leaky = TfidfVectorizer().fit(train), TfidfVectorizer().fit(train + validation)
assert "exquisite" in leaky.vocabulary_ and "exquisite" not in honest.vocabulary_
assert leaky.transform(train).shape[1] > honest.transform(train).shape[1]
""",
    },
    {
        "question": "LoRA trains less than one in a hundred of a 7-billion-parameter model's numbers. Everything stays in float32, with AdamW. Does that fit on a 24 GB card?",
        "choices": [
            (
                "Easily: it needs about a hundredth of what full fine-tuning needs.",
                "Gradients and averages shrink like that. The frozen weights do not: all of them are read for every sentence.",
                False,
            ),
            (
                "No: the frozen weights alone are more than 24 GB.",
                "Right. 4 bytes for each of them. Storing them in 16 or in 4 bits is what makes room; LoRA alone does not.",
                True,
            ),
            (
                "Yes, if the batch is small enough.",
                "A smaller batch saves activations. The weights are there before the first sentence.",
                False,
            ),
            (
                "No: AdamW's averages are kept for every number.",
                "Only for numbers that train. For the frozen ones there is neither gradient nor average.",
                False,
            ),
        ],
        "proof": """
from labhelpers import planner
assert planner.lora_parameters("llama-7b", r=8).share < 0.01
assert 4 * planner.parameters("llama-7b") > 24e9
least = {"batch_size": 1, "sequence_length": 512, "gradient_checkpointing": True}
full, lora = (planner.memory_plan("llama-7b", method, **least) for method in ("full", "lora"))
assert lora.total > 24e9 and lora.gradients + lora.optimizer < 0.01 * (full.gradients + full.optimizer)
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# **Try it.** Add `monday.cells[0].source = "sentences = 600"` below the cell that made `monday` and run your
# `out_of_order` on it. It finds nothing. Then read the notebook as a reader of the file would: which number is a lie?
#
# **Try it.** Replace `len(text.split())` by the number of commas or of the word *but*, and ask the same question about
# another slice. Four rows were enough for length; how many rows can a validation split of this size bear before every
# interval holds everything?
#
# **Read.** Wilson et al. (2017) wrote for people who program beside their real work. Its section on software
# practises what this afternoon practised, and some more. For the other kind of tidiness, what to do when an hour is all
# you have, see the guide [Study habits](../../curriculum/guides/study_habits.md).
#
# Then close the lid. You earned the evening.
