# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import ast
import asyncio
import contextlib
import inspect
import io
import json
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# %%
import httpx
import pandas as pd

from labhelpers import exercise, plots, production, progress, quiz, settings, tracking, widgets
from labhelpers.production import image

lab = settings.start("day19")

# %% [markdown]
# ## Why today matters
#
# A research group that answers requests with a model changed **one word** of its server. The pull request notes "about
# 2x the throughput". At another project the same word was wrong in the other direction, and the page that only says
# *I am alive* took 30 to 40 seconds to say so. A program that is watched by another program does not survive that: it
# is taken for dead and started again, in the middle of the evening's work.
#
# The word is `async`. You will see what it does on your own machine, with your own model, and why taking it away is
# only half of the cure. Sixteen people ask at the same moment; beside them, somebody opens the page that needs no model
# at all.

# %%
health_guess = widgets.predict(
    "day19-health", "With `async def`: milliseconds until the idle page answers", 0, 1000, "ms"
)

# %% [markdown]
# By tonight your model has an address. It answers quickly, refuses politely, loses nobody when it is stopped, and fits
# into an image that any machine can run.
#
# ## One folder that can be served
#
# What is served is a **name**: `champion`, the alias of Day 15. If nobody in your project is champion yet, the
# pipeline's own adapter takes its place; and if there is none either, we train one now.

# %%
project = production.ready("day19")
place = tempfile.TemporaryDirectory(prefix="day19-", ignore_cleanup_errors=True)
if "task: generate" in (project / "params.yaml").read_text(encoding="utf-8"):
    print(
        "Your project writes answers. Today's service gives labels, so one of ours stands in."
    )
    project = production.new(Path(place.name) / "labels", at="day19")
came_from = Path.cwd()
os.chdir(project)
sys.path.insert(0, str(project))

# %%
from src import config
from src.serving import dockerfile, model

chosen = config.load(Path("params.yaml"))
source = "models/adapter"
if Path("mlflow.db").is_file():
    import mlflow
    from src import tracking as records

    records._experiment()
    known = mlflow.MlflowClient().search_registered_models()
    named = [each.name for each in known if "champion" in each.aliases]
    source = f"models:/{named[0]}@champion" if named else source
print(source)

# %%
if source == "models/adapter" and not Path(source).is_dir():
    from src.data import prepare_finetuning_data as prepare
    from src.models import checkpoints, finetune

    quick = chosen.finetune.model_copy(update={"epochs": 0.2})
    chosen = settings.pick(smoke=chosen.model_copy(update={"finetune": quick}), cpu=chosen)
    logging.disable(logging.INFO)
    with contextlib.redirect_stdout(io.StringIO()):
        prepare.main(Path("params.yaml"))
        finetune.save(finetune.train(chosen), checkpoints.fingerprint(chosen))
    logging.disable(logging.NOTSET)

# %% [markdown]
# An adapter alone is no model: it needs its base, PEFT, perhaps MLflow. A server should need as little as possible,
# because whatever it needs can be missing, old or attacked. So `export` merges the adapter into its base (Week 2) and
# writes one folder.

# %%
card = model.export(source, model.FOLDER, chosen.model.max_length)
for path in sorted(model.FOLDER.iterdir()):
    print(f"{path.stat().st_size:12,} bytes  {path.name}")
print(card)

# %%
answer = model.load()
answer(["A film with a heart.", "Two hours I will never get back."])

# %% [markdown]
# That is the whole model for today: a function from texts to answers. `card.json` beside it tells what it was made
# from, so that months later somebody can ask the *running* service, not you.
#
# ## Three doors
#
# <!-- asked: D19-T5 -->
# FastAPI turns functions into addresses. A server of its kind is **one waiter**, the *event loop*: he takes orders,
# carries plates, and answers who asks "are you open?". He is very quick, as long as he never cooks.
#
# | door | who runs the model | and the waiter? |
# |---|---|---|
# | `async def` | he himself | stands in the kitchen until the dish is done |
# | `def` | one of 40 helpers | free; but 40 cooks may crowd around two stoves |
# | a micro-batcher | *one* cook, who takes all orders on the counter at once | free |
#
# Here are the first two. They differ in one word.

# %%
home = lab.workspace / "day19"
home.mkdir(parents=True, exist_ok=True)
doors = '''"""Today's service, with two doors more to measure."""
from src.serving import app as service


def create():
    app = service.create()

    @app.post("/on-the-loop")
    async def on_the_loop(question: service.Question) -> service.Answer:
        return app.state.batcher.answer([question.text])[0]

    @app.post("/in-a-thread")
    def in_a_thread(question: service.Question) -> service.Answer:
        return app.state.batcher.answer([question.text])[0]

    return app
'''
(home / "doors.py").write_text(doors, encoding="utf-8")

# %% [markdown]
# The third is the service's own, `/predict`, from `src/serving/batching.py`. A question waits in a queue, together
# with an empty envelope (a *future*) for its answer. One worker takes a first question, then whatever else lies there
# already, calls the model **once** for all of them and fills the envelopes. This is its loop:

# %%
batching_file = project / "src" / "serving" / "batching.py"
text = batching_file.read_text(encoding="utf-8")
print(text[text.index("    async def work") : text.index("    async def _answers")])

# %% [markdown]
# Notice what it does not have: a clock. Many batchers wait some milliseconds for company. This one never waits. While
# the model is busy, others arrive by themselves; and who comes alone is served at once. The line that makes a batch is
# yours.


# %% tags=["exercise"] exercise="day19/together" answer="together" minutes=6 difficulty=2
# first: an entry that was taken from the queue already. queue: an asyncio.Queue, with
# .empty() and .get_nowait(). Return a list: `first`, then what else is waiting at this moment,
# in its order, at most `most` entries in all. What finds no room stays in the queue.
def together(first, queue, most): ...


# <solution>
def together(first, queue, most):
    batch = [first]
    while len(batch) < most and not queue.empty():
        batch.append(queue.get_nowait())
    return batch


# </solution>


# %% tags=["check"] exercise="day19/together"
def trial(answer, first, waiting, most):
    """The batch, and what is still waiting afterwards."""
    queue = asyncio.Queue()
    for entry in waiting:
        queue.put_nowait(entry)
    try:  # the function itself: what it takes from a queue nobody can take a second time
        batch = getattr(answer, "__wrapped__", answer)(first, queue, most)
    except asyncio.QueueEmpty:
        return "QueueEmpty"
    left = [queue.get_nowait() for _ in range(queue.qsize())]
    return [list(batch) if isinstance(batch, list | tuple) else batch, left]


def check(answer):
    alone, some = trial(answer, "a", [], 4), trial(answer, "a", ["b", "c"], 4)
    if "QueueEmpty" in (alone, some):
        return "With an empty counter `get_nowait` raises QueueEmpty. Ask `queue.empty()` before each one you take."
    if alone[0] is None:
        return "The function returns nothing. Did it end without `return`?"
    if alone[0] == [] or some[0] == ["b", "c"]:
        return "`first` has left the queue already. If it is not in the batch, nobody will ever answer it."
    if some[0] == ["a", "b"]:
        return "Two are waiting, and you take one. Go on while there is something, and room."
    many = trial(answer, "a", ["b", "c", "d", "e", "f"], 3)
    if len(many[0]) == 6:
        return "`most` is 3, and your batch has 6. A batch without an end takes memory without an end."
    if len(many[0]) == 4:
        return "`most` is 3, and your batch has 4: `first` counts, too."
    if some[0] == ["a", "c", "b"]:
        return "Who came first should be served first: keep the order of the queue."
    if many != [["a", "b", "c"], ["d", "e", "f"]]:
        return f"Of five that wait, with `most` = 3, you take {many[0]} and leave {many[1]}."
    return None


def inputs(draw):
    yield "a", [], 1
    yield "a", ["b"], 1
    yield 0, list(range(1, 9)), 9
    for _ in range(5):
        yield 0, list(range(1, int(draw.integers(1, 12)))), int(draw.integers(1, 12))


hints = [
    "Begin with `batch = [first]`.",
    "Two conditions for going on: the batch is shorter than `most`, and the queue is not empty.",
]
misconceptions = [
    (
        "def together(first, queue, most):\n    batch = [first]\n    while not queue.empty():\n        batch.append(queue.get_nowait())\n    return batch",
        "without an end",
    ),
    (
        "def together(first, queue, most):\n    batch = [first]\n    for _ in range(most):\n        if not queue.empty():\n            batch.append(queue.get_nowait())\n    return batch",
        "`first` counts, too",
    ),
    (
        "def together(first, queue, most):\n    return [first] + [queue.get_nowait() for _ in range(most - 1)]",
        "QueueEmpty",
    ),
    (
        "def together(first, queue, most):\n    batch = []\n    while len(batch) < most and not queue.empty():\n        batch.append(queue.get_nowait())\n    return batch",
        "has left the queue already",
    ),
    (
        "def together(first, queue, most):\n    return [first] if queue.empty() or most == 1 else [first, queue.get_nowait()]",
        "you take one",
    ),
]

# %% [markdown]
# Your function goes into the project, in place of its stub; what you have written there already stays.


# %%
def write_in(path, functions):
    """Put functions in place of the stubs of their names."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in reversed(ast.parse("\n".join(lines)).body):
        function = functions.get(getattr(node, "name", None))
        untouched = function and "..." in ast.unparse(node.body[-1])
        with contextlib.suppress(OSError, TypeError):  # one that a check has handed out
            source = inspect.getsource(inspect.unwrap(function)) if untouched else None
            if source:
                lines[node.lineno - 1 : node.end_lineno] = source.rstrip().splitlines()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


write_in(batching_file, {"together": together})
trying = Path(place.name).resolve() / "trying"
shutil.copytree(project / "src", trying / "src")
filled = production.fill(trying, "day20")  # in this copy, what you will write below is ours

# %% [markdown]
# Now a real server. `uvicorn` runs the app in a process of its own, on a free port of this machine only. The `with`
# ends it and all that it started, whatever happens inside.


# %%
leash = """import os, threading, uvicorn
threading.Thread(target=lambda: os._exit(bool(os.read(0, 1)) + 1), daemon=True).start()
uvicorn.main()"""  # if this notebook dies, its end of the pipe closes, and the server goes too


# %%
@contextlib.contextmanager
def serving(factory, code):
    """A server with today's model; gives its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    ours = {"PYTHONPATH": str(code), "MODEL_FOLDER": str(project / model.FOLDER)}
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", leash, "--factory", factory, "--port", port],
            cwd=home, env=os.environ | ours | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield server, wait_for(f"http://127.0.0.1:{port}", server)
    finally:
        end(server)


# %%
def wait_for(address, server, seconds=120):
    """Ask until somebody answers."""
    for _ in range(10 * seconds):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", trust_env=False).status_code == 200:
                return address
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"The server did not come up. See {home / 'server.log'}.")


def end(server):
    """Kill a server's whole process group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, AttributeError):
        os.killpg(server.pid, signal.SIGKILL)
    server.kill()
    server.communicate()


# %% [markdown]
# And people who ask. Each client is a thread that sends one text after another, real ones from the test split, and
# writes down how long each answer took. Meanwhile one more looks at `/health` again and again.

# %%
test_rows = pd.read_json("data/finetuning/test.jsonl", lines=True)
texts = [text[:2000] for text in test_rows["text"]]


def timed(client, method, path, **options):
    began = time.perf_counter()
    while (said := client.request(method, path, **options)).status_code == 503:
        time.sleep(1)  # a polite client asks again
    said.raise_for_status()
    return 1000 * (time.perf_counter() - began)


# %%
def measure(client, door, people, requests):
    """p50 and p95 in ms, answers per second, and p95 of /health meanwhile."""
    idle, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            idle.append(timed(client, "GET", "/health"))
            time.sleep(0.02)

    def ask(number):
        return timed(client, "POST", door, json={"text": texts[number % len(texts)]})

    with ThreadPoolExecutor(people + 1) as pool:
        began, _ = time.perf_counter(), pool.submit(look)
        try:
            took = pd.Series(list(pool.map(ask, range(requests))))
            seconds = time.perf_counter() - began
        finally:
            stop.set()
    return [*took.quantile([0.5, 0.95]), requests / seconds, pd.Series(idle).quantile(0.95)]


# %% [markdown]
# Each door, with one, four and sixteen people. Several rounds, the doors in turn, so that whatever else your machine
# does meanwhile hits all of them. (p50: half of the answers come sooner; p95: 95 of 100 do.)

# %%
crowd = settings.pick(smoke=[1, 16], cpu=[1, 4, 16])
rounds, requests = settings.pick(smoke=(1, 16), cpu=(3, 160))
names = {"/on-the-loop": "async def", "/in-a-thread": "def", "/predict": "batcher"}
rows = []
with (
    serving("doors:create", trying) as (server, address),
    httpx.Client(base_url=address, trust_env=False, timeout=120) as client,
):
    for door in names:
        measure(client, door, 4, 8)  # warm up
    for _ in range(rounds):
        for people in crowd:
            for door, name in names.items():
                rows.append([name, people, *measure(client, door, people, requests)])
columns = ["door", "clients", "p50_ms", "p95_ms", "per_second", "health_p95_ms"]
measured = pd.DataFrame(rows, columns=columns)

# %%
table = measured.groupby(["clients", "door"], sort=False).median()
table.round(1)

# %%
idle = table["health_p95_ms"].unstack("clients").round(0).astype(int)
waits = idle.loc[list(names.values()), 16]
health_guess.compare(waits["async def"])
figure = plots.lines(
    crowd,
    {name: list(idle.loc[name]) for name in names.values()},
    title="With 16 clients /health takes {} ms, {} ms or {} ms".format(*waits),
    xlabel="clients that ask for labels at the same time",
    ylabel="ms until /health answers (p95)",
)
plots.show(figure, alt=f"Lines: ms until /health answers; with 16 clients {waits.to_dict()}.")

# %% [markdown]
# The page needs no model. Behind `async def` it waits all the same, because the only one who could answer it is
# cooking, and fifteen orders lie before it. With a larger model, or texts of a thousand words, the milliseconds become
# seconds; then somebody's watchdog pulls the plug. No error is in any log: every single answer was right.
#
# And `def`? The waiter is free, but sixteen cooks stand in a kitchen with two stoves, and he has to get through. They
# share the processor with him, and Python's lock (the *GIL*) as well. The more ask, the more he is in the crowd. The
# queue has **one** cook, whoever comes.
#
# **So: the model in a thread and never on the loop, few such threads, and `/health` in `async def`.** (The reverse is
# a trap of its own: a health page in `def` needs one of the 40 helpers, and when all of them compute, it waits again.)
#
# Now the answers per second.

# %%
speed = table["per_second"].unstack("clients")
batched, threads, looped = (speed.loc[name, 16] for name in ("batcher", "def", "async def"))
figure = plots.lines(
    crowd,
    {name: list(speed.loc[name]) for name in names.values()},
    title=f"16 clients: {batched:.0f} answers a second batched, {looped:.0f} on the loop",
    xlabel="clients that ask at the same time",
    ylabel="answers per second",
)
alt = f"Lines; at 16 clients: batcher {batched:.0f}, def {threads:.0f}, async def {looped:.0f}."
plots.show(figure, alt=alt)
tracking.record("health_ratio", waits["async def"] / max(waits["batcher"], 1))
tracking.record("batched_against_def", batched / threads)

# %% [markdown]
# With one client the three are nearly alike: there is nothing to be put together. With sixteen, `def` can use a second
# core if one is free; the batcher reads the weights once for many texts, but pads the short ones to the longest. Which
# is ahead depends on your cores, on the model's size and on how alike the texts are. That is why one measures. Two
# reasons for the queue stay in any case: one thread's memory instead of forty, and **somebody chose its length**.
#
# ### A queue with an end
#
# Without an end a server accepts everybody, and everybody waits. How long should the queue be? As long as patience
# lasts: who is taken now waits for all in front of him.

# %%
for patience in (0.5, 1, 5):
    print(f"patience {patience} s: about {batched * patience:.0f} texts may wait")

# %% [markdown]
# (John Little proved in 1961 that this holds for any queue in the long run: how many wait = how many come per second
# × how long each waits.) The project's batcher does this sum at every request, with the seconds that a text took lately:
# `SOON` is 5 seconds, `WAITING` at most 64 texts. Whoever finds no room gets **503** and `Retry-After: 1`, within
# milliseconds. A quick no is kind. A client can ask again, or elsewhere; a slow yes that comes after its patience has
# ended is work for nobody.
#
# ## Safe by default
#
# Behind an address anybody may stand. FastAPI lets pydantic look at each request before your code sees it. What it
# should let through is a few words per field. Yours are for a text:

# %% tags=["exercise"] exercise="day19/limits" answer="limits" minutes=5 difficulty=1
# The options of pydantic's Field for a text: 1 to 2,000 characters, and not only blanks. Three
# keys: min_length, max_length, and pattern, an expression that must occur somewhere in it.
limits = ...  # such as {"min_length": 3}
# <solution>
limits = {"min_length": 1, "max_length": 2000, "pattern": r"\S"}
# </solution>


# %% tags=["check"] exercise="day19/limits"
def check(answer):
    from pydantic import Field, create_model

    if not isinstance(answer, dict):
        return "Write a dictionary: the name of each option as a text, then its value."
    if strange := set(answer) - {"min_length", "max_length", "pattern"}:
        return (
            f"Three options are enough, and {sorted(map(str, strange))[0]!r} is none of them."
        )
    try:
        form = create_model("Form", text=(str, Field(**answer)))
    except Exception as error:
        return f"Pydantic cannot use this: {str(error).splitlines()[0][:90]}"

    def fits(text):
        try:
            return bool(form(text=text))
        except ValueError:
            return False

    if fits("a" * 2001):
        return "A text of 2,001 characters comes through. Without an end somebody sends a book, and the memory is his."
    if not fits("a" * 2000) or not fits("a"):
        return "A text of 1 and one of 2,000 characters are within the limits, and you refuse one of them."
    if fits(""):
        return "An empty text comes through. The model would give it a label, with a straight face."
    if fits("  \n "):
        return "Blanks alone come through: they have a length. `pattern` can ask for one character that is no blank."
    if not all(fits(text) for text in (" a", "a ", "a\nb", "Größe?", "好", "!")):
        return "You refuse honest texts: one that begins with a blank, has two lines, or is not English. Ask for one `\\S`, anywhere."
    return None


hints = [
    r"A raw text for the expression: `\S` is any character that is no blank.",
    "Pydantic *searches* for the pattern: one place that fits is enough.",
]
misconceptions = [
    ('limits = {"min_length": 1, "max_length": 2000}', "they have a length"),
    ('limits = {"min_length": 1, "pattern": r"\\S"}', "the memory is his"),
    (
        'limits = {"min_length": 1, "max_length": 2000, "pattern": r"^[A-Za-z]"}',
        "refuse honest texts",
    ),
    (
        'limits = {"min_length": 2, "max_length": 2000, "pattern": r"\\S"}',
        "within the limits",
    ),
    (
        'limits = {"min_length": 1, "max_length": 2000, "pattern": "\\\\S", "strip": True}',
        "is none of them",
    ),
]

# %%
app_file = project / "src" / "serving" / "app.py"
text = app_file.read_text(encoding="utf-8")
text = re.sub(
    r"^LIMITS: dict = \{\}.*", lambda _: f"LIMITS: dict = {limits!r}", text, flags=re.M
)
app_file.write_text(text, encoding="utf-8")
print(re.search(r"^LIMITS.*\n\n\nclass Question.*?(?=\n\n\n)", text, re.M | re.S)[0])

# %% [markdown]
# `strict` and `extra="forbid"` stand beside them: a 5 is no text, and a key that nobody reads is a misunderstanding
# that should be told. So most bad requests end here, with status 422 and a message.
#
# Which message? On Day 13 your `explain` said what was wrong with `params.yaml`, and the best ones *showed what they
# had found*. There the reader was you. Here it is a stranger, and the answer also goes into logs. Whatever you repeat,
# somebody else has written: a password in the wrong field, a script for the browser of whoever reads the log, ten
# kilobytes of rubbish. **Name the place and the rule, never the content.**


# %% tags=["exercise"] exercise="day19/explain" answer="explain" minutes=8 difficulty=2
# problem: one of pydantic's, such as
#   {"loc": ("body", "questions", 2, "text"), "type": "string_too_short",
#    "msg": "String should have at least 1 character", "input": ""}
# Return one line: the place without "body", joined by dots, then ": ", then msg and a full stop
#   "questions.2.text: String should have at least 1 character."
# Without a place after "body" write "The body" for it. If the type is "extra_forbidden", the
# last part of loc is a key that the caller made up: say "There is a key that nobody reads."
def explain(problem): ...


# <solution>
def explain(problem):
    if problem["type"] == "extra_forbidden":
        return "There is a key that nobody reads."
    place = ".".join(str(part) for part in problem["loc"][1:]) or "The body"
    return f"{place}: {problem['msg']}."


# </solution>


# %% tags=["check"] exercise="day19/explain"
def check(answer):
    deep = {
        "loc": ("body", "questions", 2, "text"),
        "type": "string_type",
        "msg": "Input should be a valid string",
        "input": "hunter2",
    }
    own = deep | {"loc": ("body", "hunter2"), "type": "extra_forbidden", "msg": "Extra inputs"}
    try:
        first, second, third = answer(deep), answer(own), answer(deep | {"loc": ("body",)})
    except TypeError:
        return "A place holds numbers, too: the 2 is the third question of a batch. `str(part)` before you join."
    if not all(isinstance(said, str) for said in (first, second, third)):
        return "Return a text in each of the three cases."
    if "hunter2" in first:
        return "You repeat the input. It may be somebody's password: place and rule are enough."
    if "hunter2" in second:
        return "You repeat a key that a stranger has chosen. With `extra_forbidden` leave the place out."
    if "body" in first:
        return "Each place begins with 'body', and whoever sent it knows that. Leave it out."
    if "questions.2.text" not in first:
        return f"You write {first!r}. The place is questions.2.text: in a batch of 32 one wants to know which."
    if third.startswith(":") or not third.startswith("The body"):
        return "Where nothing follows 'body' the place is empty: write 'The body' then."
    return None


def inputs(draw):
    message = "Field required"
    for place in ((), ("text",), ("questions", 0, "text"), ("questions",), ("a b", 7)):
        for kind in ("missing", "extra_forbidden", "string_too_long"):
            yield {
                "loc": ("body", *place),
                "type": kind,
                "msg": message,
                "input": draw.random(),
            }


def agrees(expected, found):
    return str(found).rstrip(".") == expected.rstrip(".")


hints = [
    'First the special case: `if problem["type"] == "extra_forbidden": return …`.',
    '`problem["loc"][1:]` is the place without "body"; `".".join(map(str, …))` makes one text of it.',
    '`"" or "The body"` is "The body".',
]
misconceptions = [
    (
        "def explain(problem):\n    return f\"{'.'.join(map(str, problem['loc'][1:])) or 'The body'}: {problem['msg']}.\"",
        "a key that a stranger has chosen",
    ),
    (
        "def explain(problem):\n    if problem['type'] == 'extra_forbidden':\n        return 'There is a key that nobody reads.'\n    return f\"{'.'.join(map(str, problem['loc'][1:])) or 'The body'}: {problem['input']!r}: {problem['msg']}.\"",
        "somebody's password",
    ),
    (
        "def explain(problem):\n    if problem['type'] == 'extra_forbidden':\n        return 'There is a key that nobody reads.'\n    return f\"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.\"",
        "Leave it out",
    ),
    (
        "def explain(problem):\n    if problem['type'] == 'extra_forbidden':\n        return 'There is a key that nobody reads.'\n    return f\"{'.'.join(problem['loc'][1:])}: {problem['msg']}.\"",
        "holds numbers, too",
    ),
    (
        "def explain(problem):\n    if problem['type'] == 'extra_forbidden':\n        return 'There is a key that nobody reads.'\n    return f\"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}.\"",
        "the place is empty",
    ),
]

# %%
write_in(app_file, {"explain": explain})

# %% [markdown]
# What else the service does without being asked; each line stands in `src/serving/`, and has a test:
#
# | danger | what is done about it |
# |---|---|
# | a body of a gigabyte | refused by its announced length (413), before a byte is read |
# | a stack trace that tells paths and versions | goes to the log; the caller gets a sentence and an **id** |
# | "it failed some time yesterday" | the id is in the answer's `X-Request-ID` and in the log's line |
# | a pickle among the weights | `load` refuses the folder: opening a pickle runs what is inside (Day 11) |
# | a model that hangs | after a minute the question is given up with 503 |
# | endless odd paths that fill the counters | counted as one: `unknown` |
# | passwords | there are none here. What needs one gets it from the environment at run time (Day 15) |
#
# ## Test the API
#
# <!-- asked: D19-T6 -->
# Statuses are a language of their own. 200: here you are. 4xx: *you* should change something. 5xx: *we* should; 503
# means "later". Eight requests arrive. What should each get?

# %% tags=["exercise"] exercise="day19/statuses" answer="statuses" minutes=5 difficulty=1
# Choose among 200, 404, 405, 413, 422. The questions go to POST /predict, but for "g" and "h".
# "a" {"text": "Fine."}           "e" {"text": "Fine.", "lang": "en"}
# "b" {"text": ""}                "f" a body of one million characters
# "c" {"text": 5}                 "g" GET /predict
# "d" {"text": "\u0000 😀"}       "h" GET /admin
statuses = ...  # such as {"a": 200, "b": 200, …}
# <solution>
statuses = {"a": 200, "b": 422, "c": 422, "d": 200, "e": 422, "f": 413, "g": 405, "h": 404}
# </solution>


# %% tags=["check"] exercise="day19/statuses"
def check(answer):
    right = {"a": 200, "b": 422, "c": 422, "d": 200, "e": 422, "f": 413, "g": 405, "h": 404}
    if not isinstance(answer, dict) or set(answer) != set(right):
        return "Write a dictionary with the eight letters as keys, and a status for each."
    if not set(answer.values()) <= {200, 404, 405, 413, 422}:
        return "Choose among the five statuses. A 500 would be our fault, and no request should be able to cause it."
    replies = {
        "b200": "b: The model would find a label for nothing at all, and somebody would believe it. Your `min_length` refuses it.",
        "c200": "c: With `strict` a number is no text. Turning 5 into '5' hides a mistake of the caller.",
        "d422": "d: Strange, but a text: it has characters that are no blanks. A tokenizer knows what to do with any.",
        "e200": "e: The caller thinks that `lang` does something. If you keep silent, he will think so for years.",
        "f422": "f: 422 would mean that somebody has read it and found it unfit. Nobody reads a million characters: too large, by the announced length.",
        "g404": "g: The address is there; only not for GET. 404 would send him looking for a typing mistake.",
        "h405": "h: There is no such address for any method.",
    }
    for letter, status in right.items():
        if answer[letter] != status:
            return replies.get(
                f"{letter}{answer[letter]}",
                f"{letter}: Whose move is it, and what should be changed? Look at the meanings above again.",
            )
    return None


hints = [
    "200 if the model should answer. 422: read, and found unfit. 413: too large. 404: no such address. 405: not with this method.",
    "Ask the limits: which of the texts has no character but blanks, or is none?",
]
misconceptions = [
    (
        'statuses = {"a": 200, "b": 200, "c": 422, "d": 200, "e": 422, "f": 413, "g": 405, "h": 404}',
        "label for nothing at all",
    ),
    (
        'statuses = {"a": 200, "b": 422, "c": 422, "d": 422, "e": 422, "f": 413, "g": 405, "h": 404}',
        "Strange, but a text",
    ),
    (
        'statuses = {"a": 200, "b": 422, "c": 422, "d": 200, "e": 200, "f": 413, "g": 405, "h": 404}',
        "for years",
    ),
    (
        'statuses = {"a": 200, "b": 422, "c": 422, "d": 200, "e": 422, "f": 422, "g": 405, "h": 404}',
        "Nobody reads a million",
    ),
    (
        'statuses = {"a": 200, "b": 422, "c": 422, "d": 200, "e": 422, "f": 413, "g": 404, "h": 404}',
        "only not for GET",
    ),
]

# %% [markdown]
# Ask it. FastAPI's `TestClient` speaks to the app in this process, without a port. (What of today is still a stub in
# your project is filled by ours first.)

# %%
print("filled by ours:", production.fill(project, "day20") or "nothing")
from fastapi.testclient import TestClient
from src.serving import app as service

asked = {letter: ("POST", "/predict", {"json": {"text": "Fine."}}) for letter in "abcdef"}
asked["b"][2]["json"] = {"text": ""}
asked["c"][2]["json"] = {"text": 5}
asked["d"][2]["json"] = {"text": "\u0000 😀"}
asked["e"][2]["json"] = {"text": "Fine.", "lang": "en"}
asked["f"] = ("POST", "/predict", {"content": "a" * 1_000_000})
asked |= {"g": ("GET", "/predict", {}), "h": ("GET", "/admin", {})}

# %%
logging.disable(logging.INFO)
with TestClient(service.create(answer), raise_server_exceptions=False) as inside:
    for letter, (method, path, options) in asked.items():
        said = inside.request(method, path, **options)
        told = said.json().get("error") or said.json()
        print(
            letter, said.status_code, "" if said.status_code == statuses[letter] else "!", told
        )
logging.disable(logging.NOTSET)

# %% [markdown]
# A person thinks of eight bad requests. A program thinks of thousands. This one knows what belongs there, and breaks
# it: wrong types, deep nesting, bytes that are no text, lists without an end.

# %%
import random

draw = random.Random(lab.seed)


def rubbish(depth=0):
    """Something that JSON can hold, most of it useless."""
    simple = [None, True, -1, 1e308, "", " ", "a" * draw.choice([1, 2001]), "\x00\u202e"]
    kind = draw.random()
    if depth > 3 or kind < 0.5:
        return draw.choice(simple)
    if kind < 0.7:
        return [rubbish(depth + 1) for _ in range(draw.choice([0, 1, 40]))]
    keys = draw.choices(["text", "questions", "__class__", "\x00", "text "], k=2)
    return {key: rubbish(depth + 1) for key in keys}


def bytes_of_it():
    raw = json.dumps(rubbish()).encode()
    return draw.choice([raw, raw[:-1], raw + b"\xff", b"[" * 5000, b"", raw])


# %%
seen, leaks = [], 0
logging.disable(logging.ERROR)
with TestClient(service.create(answer), raise_server_exceptions=False) as inside:
    for _ in range(settings.pick(smoke=300, cpu=2000)):
        path = draw.choice(["/predict", "/predict/batch"])
        said = inside.post(path, content=bytes_of_it())
        seen.append(said.status_code)
        leaks += bool(re.search(r'Traceback|File "|\.py\b|site-packages', said.text))
logging.disable(logging.NOTSET)
print(pd.Series(seen).value_counts().to_dict(), "leaks:", leaks)
tracking.record("server_errors", sum(status >= 500 for status in seen))
tracking.record("leaks", leaks)

# %% [markdown]
# No 500, and no path or line of code in any answer. (The course's own tests send 2,000 more, with every method and
# header.) The project has tests for all of this; they come with it and take a few seconds.

# %%
tests = ["tests/test_service.py", "-q", "--color=no", "-p", "no:cacheprovider"]
done = subprocess.run(
    [sys.executable, "-m", "pytest", *tests],
    capture_output=True,
    encoding="utf-8",
    env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
)
print(done.stdout.strip().splitlines()[-1])

# %% [markdown]
# ## Document it, then stop it
#
# <!-- asked: D19-T7 -->
# FastAPI writes the document by itself: `/openapi.json` has each address, each field with its limits, and an example.
# What a person wants is a line to paste into a terminal. `curl` speaks HTTP there, on every system.


# %% tags=["exercise"] exercise="day19/curl" answer="curl" minutes=7 difficulty=2
# Return the line that a person pastes: curl -s -X METHOD URL, and with a body the header
# "Content-Type: application/json" (-H) and the body as JSON (-d). A shell splits at blanks and
# quotes: shlex.join puts quotes around what needs them.
#   curl("http://127.0.0.1:8000", "GET", "/health")
#   → "curl -s -X GET http://127.0.0.1:8000/health"
def curl(address, method, path, body=None): ...


# <solution>
def curl(address, method, path, body=None):
    words = ["curl", "-s", "-X", method, f"{address}{path}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join(words)


# </solution>


# %% tags=["check"] exercise="day19/curl"
def trial(answer, *args):
    """What curl would send: method, address, headers, and the body as JSON."""
    line = answer(*args)
    if not isinstance(line, str):
        return line
    words, found = shlex.split(line), {"method": None, "headers": [], "url": [], "body": None}
    while words:
        word = words.pop(0)
        if word in (
            "-X",
            "--request",
            "-H",
            "--header",
            "-d",
            "--data",
            "--data-raw",
            "--json",
        ):
            value = words.pop(0) if words else ""
            if word in ("-X", "--request"):
                found["method"] = value
            elif word in ("-H", "--header"):
                found["headers"].append(value.lower().replace(" ", ""))
            else:
                found["body"] = value
                found["headers"] += (
                    ["content-type:application/json"] if word == "--json" else []
                )
        elif not word.startswith("-") and word != "curl":
            found["url"].append(word)
    with contextlib.suppress(ValueError, TypeError):
        found["body"] = json.loads(found["body"])
    return found


def check(answer):
    plain = trial(answer, "http://127.0.0.1:8000", "GET", "/health")
    if plain is None:
        return "The function returns nothing. Did it end without `return`?"
    if not isinstance(plain, dict):
        return f"Return one line of text, not a {type(plain).__name__}: `shlex.join(words)` makes it."
    try:
        found = trial(
            answer, "http://127.0.0.1:8000", "POST", "/predict", {"text": "It's fun."}
        )
    except ValueError:
        return 'The text "It\'s fun." holds a quote, and a shell would wait for its partner for ever. Quote with shlex.'
    if plain["url"] != ["http://127.0.0.1:8000/health"]:
        return f"The address should be one word, http://127.0.0.1:8000/health. Yours: {plain['url']}."
    if plain["method"] not in ("GET", None) or found["method"] != "POST":
        return "-X takes the method that was asked for."
    if len(found["url"]) > 1:
        return "A shell splits the body at its blanks, and curl takes the pieces for addresses. Quote with shlex."
    if found["body"] is None:
        return "The body is not sent: -d takes it."
    if isinstance(found["body"], str):
        return "That body is no JSON: Python's own way to write a dictionary has other quotes. `json.dumps` writes JSON."
    if "content-type:application/json" not in found["headers"]:
        return "Without its Content-Type the body is a form, says curl, and the service refuses it. Add the header."
    if plain["body"] is not None or plain["headers"]:
        return "Without a body there is nothing to send, and no header for it."
    return None


def inputs(draw):
    yield "http://127.0.0.1:8000", "GET", "/health"
    for text in ("Fine.", 'It\'s "fun" & $more', "two\nlines", "Größe; rm x", ""):
        yield "http://h.example:1", "POST", "/predict", {"text": text}
    yield "http://h.example:1", "POST", "/predict/batch", {"questions": [{"text": "a b"}] * 2}
    yield "http://h.example:1", "POST", "/x", {}


def agrees(expected, found):
    methods = (expected["method"], "GET" if found["method"] is None else found["method"])
    return methods[0] == methods[1] and {**expected, "method": 0} == {**found, "method": 0}


hints = [
    "Make a list of words first; each one is what curl should see as one piece.",
    '`if body is not None:` two pairs more: "-H" with the header, "-d" with `json.dumps(body)`.',
    "`shlex.join(words)` at the end.",
]
misconceptions = [
    (
        "def curl(address, method, path, body=None):\n    words = ['curl', '-s', '-X', method, address + path]\n    if body is not None:\n        words += ['-H', 'Content-Type: application/json', '-d', str(body)]\n    return shlex.join(words)",
        "no JSON",
    ),
    (
        "def curl(address, method, path, body=None):\n    words = ['curl', '-s', '-X', method, address + path]\n    if body is not None:\n        words += ['-d', json.dumps(body)]\n    return shlex.join(words)",
        "Add the header",
    ),
    (
        "def curl(address, method, path, body=None):\n    words = ['curl', '-s', '-X', method, address + path]\n    if body is not None:\n        words += ['-H', \"'Content-Type: application/json'\", '-d', \"'\" + json.dumps(body) + \"'\"]\n    return ' '.join(words)",
        "wait for its partner",
    ),
    (
        "def curl(address, method, path, body=None):\n    words = ['curl', '-s', '-X', method, address + path, '-H', 'Content-Type: application/json', '-d', json.dumps(body)]\n    return shlex.join(words)",
        "nothing to send",
    ),
    (
        "def curl(address, method, path, body=None):\n    words = ['curl', '-s', '-X', method, address + path]\n    if body is not None:\n        words += ['-H', 'Content-Type: application/json', '-d', json.dumps(body)]\n    return words",
        "one line of text",
    ),
]

# %% [markdown]
# Now a page made from the document: for each address its sentence and its line. The examples come from the fields.


# %%
def examples(schema):
    """Method, path, sentence and example body of each address."""
    for path, methods in schema["paths"].items():
        for method, what in methods.items():
            content = what.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            fields = schema["components"]["schemas"].get(name, {}).get("properties", {})
            body = {key: field["examples"][0] for key, field in fields.items()} or None
            yield method.upper(), path, what["description"].split("\n")[0], body


# %%
schema = service.create(answer).openapi()
page = [
    "# The service",
    "",
    "Made from `/openapi.json`; every line was run when it was written.",
]
for method, path, sentence, body in examples(schema):
    line = curl("http://127.0.0.1:8000", method, path, body)
    page += ["", f"## {method} {path}", "", sentence, "", "```bash", line, "```"]
Path("API.md").write_text("\n".join(page) + "\n", encoding="utf-8")
print("\n".join(page[:24]))

# %% [markdown]
# An example that nobody has run is a rumour. So: a real server, and each line as it would be pasted. Then the test
# that nobody likes to make. Twelve clients ask as fast as they can, each question with a name of its own
# (`X-Request-ID`), and in the middle of it the server is told to stop: SIGTERM, the signal that Docker, Kubernetes and
# `kill` send. It should finish what it has taken, and take nothing more.

# %%
answered, refused = [], []


def keep_asking(address, number):
    """Ask until nobody is there any more."""
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        for turn in range(1000):
            name = f"{number}-{turn}"
            try:
                headers = {"X-Request-ID": name}
                said = client.post("/predict", json={"text": "Fine."}, headers=headers)
                (answered if said.status_code == 200 else refused).append(name)
            except httpx.TransportError:
                return refused.append(name)


# %%
def paste(line):
    """Run a line as a terminal would; give what it says."""
    words = shlex.split(line)
    if shutil.which("curl"):
        return subprocess.run(words, capture_output=True, encoding="utf-8").stdout
    body = words[words.index("-d") + 1] if "-d" in words else None
    headers = {"Content-Type": "application/json"} if body else {}
    url = next(word for word in words if word.startswith("http"))
    return httpx.request(words[3], url, content=body, headers=headers, trust_env=False).text


# %%
with serving("src.serving.app:create", project) as (server, address):
    pasted = {}
    for method, path, _, body in examples(schema):
        pasted[path] = paste(curl(address, method, path, body))
    with ThreadPoolExecutor(12) as pool:
        for number in range(12):
            pool.submit(keep_asking, address, number)
        time.sleep(1)
        server.terminate()
        server.wait(60)
for path, said in pasted.items():
    print(f"{path:15} {said.splitlines()[0][:70]}")

# %%
log = (home / "server.log").read_text(encoding="utf-8")
noted = re.findall(r"service (\d+-\d+) POST /predict 200", log)
lost = set(noted) - set(answered)
print(f"answered, says the server: {len(noted)}; received, say the clients: {len(answered)}")
print(f"taken and lost: {len(lost)}; found the door closed: {len(refused)}")
tracking.record("lost", len(lost))
tracking.record(
    "examples_that_work", sum("error" not in said and bool(said) for said in pasted.values())
)

# %% [markdown]
# Nobody who was let in went home without an answer. The others found a closed door at once and can ask another
# server, or this one when it is back. (A power cut is another matter. Then some *are* lost, and only clients that ask
# again help: with growing pauses and a little chance in them, so that they do not all come back in the same second.)

# %% [markdown]
# ## Read the Dockerfile and adapt it
#
# <!-- asked: D19-T1, GAP-01 -->
# Your service runs here, with this Python, these packages, this folder. An **image** is all of that in one file: a
# small Linux, Python, packages, code and weights. A **container** is a process that sees nothing but an image. The
# recipe is a `Dockerfile`, and each of its lines adds a *layer*. Your project has one; Podman reads it as well.

# %%
docker_file = project / "Dockerfile"
recipe = docker_file.read_text(encoding="utf-8")
print(recipe)

# %% [markdown]
# | line | what it is for |
# |---|---|
# | `ARG BASE=python:3.11.11-…` | what everything stands on, with its version. `python:latest` is another image every few weeks |
# | `FROM … AS packages` | a **stage**: a workbench. What lies on it is in the image only if it is carried over |
# | `ARG PIP_…` | where packages come from, if not from the internet; pip reads these names from the environment |
# | `COPY requirements-serving.txt .` *before* the code | layers are kept until their input changes. New code, same packages: nothing is installed again |
# | `pip install torch` first, from PyTorch's CPU index | else pip takes the build for NVIDIA cards, several gigabytes larger |
# | `FROM packages AS training` | a second image from the same bench: the project is not copied into it but *mounted* when it runs |
# | `WORKDIR`, `ENV`, `CMD` | the folder, the variables and the command of whoever starts it |
#
# And beside it lies `.dockerignore`. It begins with a star: **nothing** goes to the builder but what is named below. So
# no `.env`, no key, no raw data gets into an image by accident; and images travel far.
#
# <!-- asked: D19-T2 -->
# The last stage, the service itself, is yours. A colleague has begun one. It builds, it runs, and it has six faults.
# The project has a reader that finds the first:

# %%
earlier = re.split(r"^# final:|^FROM \$\{BASE\} AS serving", recipe, flags=re.M)[0]
colleague = """
FROM packages
WORKDIR /app
COPY . .
ENV HF_TOKEN=none
CMD uvicorn --factory src.serving.app:create --port 8000
"""
print(dockerfile.problem(earlier + colleague))

# %% tags=["exercise"] exercise="day19/stage" answer="stage" minutes=10 difficulty=3
# The last stage, as text. From ${BASE}. A user of its own (RUN useradd --uid 10001 app) and
# the switch to it. WORKDIR /app, and in there: /opt/venv from the stage `packages`, to the
# same place; src/; models/served/. PATH with /opt/venv/bin in front, OMP_NUM_THREADS=1.
# A HEALTHCHECK (its command may be: CMD ["python3", "-c", "import urllib.request as u;
# u.urlopen('http://127.0.0.1:8000/health')"]). CMD as a list: uvicorn, for all addresses.
stage = ...
# <solution>
stage = """
FROM ${BASE} AS serving
RUN useradd --uid 10001 --create-home app
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY src/ src/
COPY models/served/ models/served/
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
USER 10001
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python3", "-c", \
 "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
CMD ["uvicorn", "--factory", "src.serving.app:create", "--host", "0.0.0.0", \
 "--port", "8000", "--timeout-graceful-shutdown", "20"]
"""
# </solution>


# %% tags=["check"] exercise="day19/stage"
def check(answer):
    if not isinstance(answer, str):
        return f"This is a {type(answer).__name__}. Write the lines as one text, between triple quotes."
    if "FROM" not in answer:
        return "A stage begins with FROM."
    told = dockerfile.problem(earlier + answer)
    if told:
        return f"Read by the project's own reader: {told}"
    words = {word for word, _ in dockerfile.instructions(answer)}
    known = {
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "ENV",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
        "LABEL",
        "ARG",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "ADD",
        "VOLUME",
        "SHELL",
    }
    if words - known:
        return f"A builder knows no word {sorted(words - known)[0]!r}. Does a line go on without a backslash?"
    try:
        command = json.loads(dict(dockerfile.last_stage(answer))["CMD"])
    except ValueError:
        return 'CMD is no proper list: ["word", "word"], with double quotes, as JSON.'
    if "src.serving.app:create" not in command or "--factory" not in command:
        return "uvicorn has to be told what to serve: --factory and src.serving.app:create, two words of the list."
    if "OMP_NUM_THREADS" not in answer:
        return "Two containers on one machine, and each takes every core for each call: set OMP_NUM_THREADS=1."
    return None


hints = [
    "Ten instructions: FROM, RUN, WORKDIR, three COPY, ENV, USER, HEALTHCHECK, CMD.",
    "`COPY --from=packages /opt/venv /opt/venv` carries the packages over from the bench.",
    'The list: CMD ["uvicorn", "--factory", "src.serving.app:create", "--host", "0.0.0.0", "--port", "8000"].',
]
misconceptions = [
    ("stage = colleague", "tools and all"),
    ("stage = stage.replace('USER 10001', '')", "is root in there"),
    ("stage = stage.replace('COPY src/ src/', 'COPY . .')", "copies the whole folder"),
    (
        "stage = stage.replace('\"--host\", \"0.0.0.0\", ', '').replace('\"0.0.0.0\", ', '')",
        "nobody outside can knock",
    ),
    (
        "stage = stage.replace('CMD [\"uvicorn\"', 'CMD exec uvicorn # [\"uvicorn\"')",
        "one line for a shell",
    ),
    ("stage = stage.replace('HEALTHCHECK', 'LABEL a=b # ')", "nobody would notice"),
    ("stage = stage.replace('OMP_NUM_THREADS=1', '')", "takes every core"),
]

# %% [markdown]
# The six: it begins from the bench with all its tools; it copies the folder wholesale; a token is baked in, readable
# for everybody who has the image (`docker history` shows it); nobody but root runs it; the server listens only to the
# container's own loopback; and its `CMD` is one line of text. The last is the quietest. A line is run by a shell, the
# shell gets SIGTERM, and the server never hears of it. After ten seconds Docker kills both, and everything that you
# have just seen about stopping was in vain.

# %%
if "# final:" in recipe:
    docker_file.write_text(earlier + stage.strip() + "\n", encoding="utf-8")
production.fill(project, "day20")
print(dockerfile.problem(docker_file.read_text(encoding="utf-8")) or "Nothing wrong with it.")

# %% [markdown]
# ## Build it, and train inside
#
# <!-- asked: D19-T3 -->
# With Docker or Podman on this machine: `docker build -t films .`, or `lab project image`. The first time it fetches
# Linux, Python and torch: some minutes, and a good network. Set `build_now = True` if you have both.

# %%
build_now = False
builder = image.engine()
print("here answers:", builder or "neither Docker nor Podman")
if build_now and builder:
    image.build(project, "films")

# %% [markdown]
# Then start it as one starts something that one does not trust:
#
# ```bash
# docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp --memory 1g --cap-drop ALL films
# ```
#
# `--read-only`: even the program cannot change its own files. `--tmpfs /tmp`: one folder in memory for what must be
# written. `--cap-drop ALL`: no special rights. `127.0.0.1:`: this machine only. `docker images films` tells the size;
# nearly all of it is torch. A push to a registry, or `docker save`, takes it elsewhere.
#
# Without either of the two, the steps can be tried all the same. `lab project image --dry` makes an empty folder, puts
# in what `COPY` names (and `.dockerignore` lets through), links exactly the packages of `requirements-serving.txt` and
# what they need, sets the variables of `ENV` and no others, runs `CMD`, asks a question, and says SIGTERM.

# %%
if settings.pick(smoke=False, cpu=True):
    steps = [sys.executable, "-m", "src.serving.dry"]
    done = subprocess.run(steps, capture_output=True, encoding="utf-8")
    print(done.stdout + done.stderr)

# %% [markdown]
# What that finds is what breaks most images: a file that only lies in *your* folder, a package that only *your* Python
# has, a variable that only *your* shell sets. What it cannot find: another Linux, another processor, rights.
#
# ### The same training?
#
# <!-- asked: D19-T4 -->
# The stage `training` holds what `dvc repro` needs. Project and cache of models are mounted, so that what comes out
# stays with you:
#
# ```bash
# docker build -t films-training --target training .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD":/work -v CACHE:/cache:ro -e LAB_CACHE=/cache films-training
# ```
#
# Does a model from in there answer like yours? Here is the comparison: a clone, a training in a process that knows
# nothing of your environment (with `docker run` in front of it, if there is an image), and both models on the same
# texts.

# %%
clone = Path(place.name).resolve() / "clone"
shutil.copytree(project / "src", clone / "src")
shutil.copytree(project / "data" / "finetuning", clone / "data" / "finetuning")
shutil.copy(project / "params.yaml", clone)
bare = {"PATH": os.defpath, "HOME": str(clone), "LAB_CACHE": str(lab.cache)}
bare |= {"HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
bare |= {
    name: os.environ[name] for name in ("SYSTEMROOT", "OMP_NUM_THREADS") if name in os.environ
}
start = [sys.executable]
if build_now and builder:
    image.build(project, "films-training", ("--target", "training"))
    mounts = ["-v", f"{clone}:/work", "-v", f"{lab.cache}:/cache:ro", "-e", "LAB_CACHE=/cache"]
    start = [builder, "run", "--rm", *mounts, "films-training", "python3"]
    bare = dict(os.environ)


# %%
def run_inside(module):
    done = subprocess.run(
        [*start, "-m", module], cwd=clone, env=bare, capture_output=True, encoding="utf-8"
    )
    assert not done.returncode, done.stderr[-300:]


def accuracy(labels):
    return sum(one == two for one, two in zip(labels, test_rows["label"], strict=True)) / len(
        texts
    )


# %%
if settings.pick(smoke=False, cpu=True):
    for module in ("src.models.finetune", "src.serving.model"):
        run_inside(module)
    theirs = [one["label"] for one in model.load(clone / model.FOLDER)(texts)]
    mine = [one["label"] for one in answer(texts)]
    differ = sum(one != two for one, two in zip(mine, theirs, strict=True))
    print(f"accuracy here {accuracy(mine):.4f}, inside {accuracy(theirs):.4f}")
    print(f"{differ} of {len(texts)} texts get another label")

# %% [markdown]
# On one machine, with the same versions, the same settings and the same data, expect none or a handful. Another
# processor adds in another order, and texts on the border tip over (Day 14). If your champion is another seed's, they
# differ by what a seed does. A large difference means that something is not in the image that you thought was.
#
# ## What you saw

# %%
print("16 clients, /health:", *(f"{ms} ms ({name})" for name, ms in waits.items()))
print(
    f"{len(seen)} malformed requests: {sum(status >= 500 for status in seen)} errors of ours."
)
print(f"A stop under load: {len(noted)} answered, {len(lost)} lost.")
print(f"Pasted lines that worked: {len(pasted)}.")

# %% [markdown]
# None of this made the model any better. It made it a thing that others can build on: it is there, or says that it is
# not; it answers in time, or says when to come back; and in two years somebody can ask it what it was made from.
# (`git add --all`, `git commit`: the service and its page belong to the project now.)
#
# One sentence for your journal: who will ask your service first, and what happens to them when it says 503?

# %%
my_words = ...  # for example: "My sister's shop; her page then shows reviews without a label."
entry = f"A stop under load lost {len(lost)} of {len(noted)}; {len(seen)} bad requests, no 500."
progress.write_journal("day19", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %%
if settings.pick(smoke=False, cpu=True):
    production.check(project, "day19")
os.chdir(came_from)
sys.path.remove(str(project))
place.cleanup()

# %% tags=["quiz"]
quiz = [
    {
        "question": "A service with `async def` around the model call gives right answers and has no error in its log. Its watchdog starts it again every few minutes, at noon. Why?",
        "choices": [
            (
                "The memory is full at noon, and the process dies of it.",
                "Then the log of the system would say so. Here the process lives; it only does not answer in time.",
                False,
            ),
            (
                "At noon there is always a question in work, and /health waits behind it.",
                "The loop cannot answer while it computes. To a watchdog, late is dead.",
                True,
            ),
            (
                "`async` functions are slower, so the answers come late.",
                "A single answer takes as long as with `def`. It is everybody else who waits.",
                False,
            ),
        ],
        "proof": (
            "import asyncio, time\n"
            "async def cook():\n    time.sleep(0.2)\n"
            "async def idle():\n    return time.perf_counter()\n"
            "async def both():\n"
            "    began = time.perf_counter()\n"
            "    _, at = await asyncio.gather(cook(), idle())\n"
            "    return at - began\n"
            "import threading\n"
            "found = []\n"
            "thread = threading.Thread(target=lambda: found.append(asyncio.run(both())))\n"
            "thread.start(); thread.join()\n"
            "assert found[0] >= 0.19\n"
        ),
    },
    {
        "question": "Your service answers 50 texts a second, and nobody waits longer than 2 seconds gladly. Somebody sets the queue to 10,000, `so that no request is refused`. What happens on a busy evening?",
        "choices": [
            (
                "Everybody is served, only a little later.",
                "The last of 10,000 waits 200 seconds. His program has given up long before, and yours computes an answer for nobody.",
                False,
            ),
            (
                "Most answers are computed for callers who have gone.",
                "And those who would still wait stand behind them. With 100 places the others hear `no` at once.",
                True,
            ),
            (
                "uvicorn refuses the rest by itself.",
                "Only if it is told a limit. It has none by default.",
                False,
            ),
        ],
        "proof": "assert 10_000 / 50 == 200 and 50 * 2 == 100",
    },
    {
        "question": "Why does `COPY requirements-serving.txt .` stand before `COPY src/ src/`, with `pip install` between them?",
        "choices": [
            (
                "pip needs the file before it can see the code.",
                "It does need the file. But the code could have been copied before, and everything would work.",
                False,
            ),
            (
                "A layer is built again when its input, or a layer below it, has changed. Code changes daily, packages rarely.",
                "The other way round each new line of code would install torch again.",
                True,
            ),
            (
                "It makes the image smaller.",
                "The same files are in it either way. It is the builds that get quicker.",
                False,
            ),
        ],
    },
    {
        "question": "In a layer you copy `.env`, and in the next one you delete it. Who can read it?",
        "choices": [
            (
                "Nobody: it is deleted.",
                "A later layer hides a file. The earlier one still has it, and travels along.",
                False,
            ),
            (
                "Root in the container.",
                "In the container the file cannot be seen. But the image is more than what a container shows.",
                False,
            ),
            (
                "Everybody who has the image.",
                "Each layer is an archive of its own. That is why `.dockerignore` begins with a star.",
                True,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Kill the server in mid-load (`kill -9`) and start it again on the same port, while clients ask again with growing
#   pauses. The course's test `tests/production/test_service.py` does it; how many tries do yours need?
# - Set `SOON = 0.1` and let 16 clients ask. Who is refused, and how long do the others wait at most?
# - `/metrics` is made for Prometheus. Plot `batch_texts` after a load: how full were your batches?
