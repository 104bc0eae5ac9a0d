# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import ast
import atexit
import contextlib
import gc
import importlib.util
import inspect
import io
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from unittest import mock

# %%
import mlflow
import numpy as np
import pandas as pd
import psutil
import requests
from mlflow.utils.credentials import get_default_host_creds
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

from labhelpers import data, exercise, plots, production, progress, quiz, settings, tracking
from labhelpers import widgets

lab = settings.start("day15")

# %% [markdown]
# ## Why today matters
#
# Your model is in use. A message arrives: *"Mine gets 0.66 on the test set, yours 0.64. Please swap."* A number against
# a number; who would say no?
#
# Suppose the colleague's model is **not better at all**: the same recipe, the same amount of data, other seeds. And
# suppose this happens 200 times. Each time the higher mean of three trainings takes the place.

# %%
guess = widgets.predict(
    "day15-luck", "Of 200 challengers that are no better, how many win?", 0, 200
)

# %% [markdown]
# We will count, with 200 real contests. Then you write the gate that such a challenger does not pass. Around it
# stands everything that two people need: one server for the runs, one shelf for the data, and a list of names that
# says who is champion, since when, and why.
#
# <!-- asked: D15-T1 -->
# ## A server and a shelf of your own
#
# So far your runs went into a file, `mlflow.db`. A file on one disk serves one person. A **tracking server** is a
# program that owns such a file and a folder, and speaks HTTP: whoever knows its address can log, read and compare.
# The command is one line. The rest below is about *which* file, *which* folder and *which* address.

# %%
home = lab.workspace / "day15"
shutil.rmtree(home, ignore_errors=True)
home.mkdir(parents=True)
spare = f"sqlite:///{(home / 'tries.db').as_posix()}"  # a second store, to try things out in
tries = mlflow.MlflowClient(spare)
tries.search_experiments()  # the first question makes the tables, and takes its time
empty = shutil.copy(home / "tries.db", home / "server.db")

# %%


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


port = free_port()
address = f"http://127.0.0.1:{port}"
command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
command += ["--host", "127.0.0.1", "--port", str(port)]
command += ["--backend-store-uri", f"sqlite:///{(home / 'server.db').as_posix()}"]
command += ["--artifacts-destination", str(home / "artefacts")]
print(" ".join(command))

# %% [markdown]
# Read the two stores again. `--backend-store-uri` is where numbers and names go. `--artifacts-destination` is where
# files go; since the server takes them, nobody else needs to reach that folder. And `--host 127.0.0.1` is the lock on
# the door: only this machine can knock. A plain server asks nobody for a name, so it must never listen to a network.
#
# With **accounts**, and HTTPS around it, it may. MLflow has accounts built in; they need one more package,
# `pip install "mlflow[auth]"`, which the course leaves out. If it is there, the next cell switches them on; if not, the
# server is a plain one, and every cell below is the same. Notice where the password is: in an environment variable, made
# this minute. It is in no cell and in no file.

# %%
os.environ["MLFLOW_TRACKING_USERNAME"] = "admin"
os.environ["MLFLOW_TRACKING_PASSWORD"] = secrets.token_urlsafe(12)
accounts = settings.pick(smoke=False, cpu=importlib.util.find_spec("flask_wtf") is not None)
more = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # no helpers for jobs nobody sends
if accounts:
    command += ["--app-name", "basic-auth"]
    more |= {
        "MLFLOW_AUTH_ADMIN_USERNAME": os.environ["MLFLOW_TRACKING_USERNAME"],
        "MLFLOW_AUTH_ADMIN_PASSWORD": os.environ["MLFLOW_TRACKING_PASSWORD"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
    }


# %%
def start(command, folder, **more):
    """Start a server beside this notebook; what it says goes into a file."""
    with (home / "servers.log").open("a") as log:
        made = subprocess.Popen(
            command, cwd=folder, env=os.environ | more, stdout=log, stderr=subprocess.STDOUT
        )
    atexit.register(stop, made)
    return made


def stop(server):
    """End a server and the processes that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(20)
        for each in psutil.wait_procs(family, 5)[1]:
            each.kill()


# %%
def wait_for(url, seconds=180):
    """Ask until somebody answers; how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            requests.get(url, timeout=5)
            return time.monotonic() - began
        time.sleep(0.3)
    raise TimeoutError(f"Nobody answers at {url}. See {home / 'servers.log'}.")


server = start(command, home, **more)
print(f"up after {wait_for(f'{address}/health'):.0f} seconds: {address}")

# %%
runs_url = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
print("without a password:", requests.get(runs_url, timeout=30).status_code)
me = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
print("with one:          ", requests.get(runs_url, auth=me, timeout=30).status_code)

# %% [markdown]
# 200 means "here you are", 401 "who are you?". A plain server says 200 to everybody. Open the address in your browser if
# you like: it is Day 11's page.
#
# ### The shelf
#
# The same for data. A **DVC remote** is a place where the files lie by their MD5; git carries only the pointers. The
# simplest shelf is a folder. Here is your project, and the helper that runs a command in a folder and prints what it
# says.

# %%
environment = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "FORCE_COLOR": "",
    "COLUMNS": "110",
    "DVC_NO_ANALYTICS": "1",
}


def run(command, folder):
    """Run one command in a folder and print what it says."""
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    said = "\n".join(line for line in done.stdout.splitlines() if line.strip())
    print(f"$ {command}" + (f"\n{said}" if said else ""))


# %%
project = production.ready("day15")
shelf = home / "shelf"
run(f"dvc remote add --local --force shelf {shlex.quote(str(shelf))}", project)
run("dvc push --remote shelf", project)

# %% [markdown]
# `--local` writes into `.dvc/config.local`, which git ignores: the place for paths of your own machine, and for
# passwords. Without it the address goes into `.dvc/config`, and everybody who clones has it.
#
# Now the colleague. She clones your repository, and the shelf she reaches through the oldest file server there is.
# It can only give, not take: just right for a public data set.

# %%
giving = f"http://127.0.0.1:{free_port()}"
files_server = start(
    [sys.executable, "-m", "http.server", giving.rpartition(":")[2], "--bind", "127.0.0.1"],
    shelf,
)
wait_for(giving)
place = tempfile.TemporaryDirectory(prefix="day15-", ignore_cleanup_errors=True)
work = Path(place.name).resolve() / "films"
run(f"git clone -q {shlex.quote(str(project))} films", work.parent)
run(f"dvc remote add --default shelf {giving}", work)
for pointer in sorted((work / "data" / "raw").glob("*.dvc")):
    run(f"dvc pull {pointer.relative_to(work).as_posix()}", work)

# %%
stop(files_server)
named = "git -c user.name=Colleague -c user.email=colleague@localhost -c commit.gpgsign=false"
filled = production.fill(work)  # what you have not written yet is ours in her clone
shutil.copy(empty, work / "mlflow.db")  # a store at home, its tables made
small = settings.pick(
    smoke={"epochs": 0.5, "max_length": 32},
    cpu={"rows": 1000, "epochs": 1, "max_length": 64, "batch_size": 8},
)
text = (work / "params.yaml").read_text(encoding="utf-8")
for key, value in small.items():  # her machine is small, and nine trainings are many
    text = re.sub(rf"{key}: \S+", f"{key}: {value}", text)

# %%
(work / "params.yaml").write_text(text, encoding="utf-8")
run("dvc repro prepare_data", work)
run("git add --all", work)
run(f"{named} commit -q -m 'The shelf, small sizes, the splits'", work)

# %% [markdown]
# Her clone has the data, byte for byte. (Where she may also *write*, the address begins with `ssh://`, `webdavs://` or
# `s3://`, each with its extra: `pip install dvc-ssh`, `dvc-webdav`, `dvc-s3`. User and password go in by `dvc remote modify --local`.)
#
# From here on we work in her clone, as if we had opened a terminal there. Your own project is left alone until the end.

# %%
came_from = Path.cwd()
os.chdir(work)
sys.path.insert(0, str(work))

# %%
from src import config, registry
from src import tracking as records  # `tracking` is the course's helper in this notebook
from src.models import seeds

# %% [markdown]
# <!-- asked: D15-T2 -->
# ## Point your scripts at it
#
# `src/tracking.py` asks the environment first: `MLFLOW_TRACKING_URI` for the address, `MLFLOW_EXPERIMENT_NAME` for the
# drawer. If there is no address, it takes the file `mlflow.db` of the project. So one project serves at home and at
# work, without a line of code changed. Watch what one letter does:

# %%
for name in ("MLFLOW_TRACKING_URL", "MLFLOW_TRACKING_URI"):
    with mock.patch.dict(os.environ, {name: address}):
        records._experiment(work)
    print(f"{name} → {mlflow.get_tracking_uri()}")

# %% [markdown]
# No error in the first line. The run would be logged, into a file on your disk, and you would look for it on the
# server in vain. **An environment variable that nobody reads is silent**, so print the address before a long training.
#
# A hosted server takes the same settings. On DagsHub a repository `ana/films` has its server at
# `https://dagshub.com/ana/films.mlflow`; the user is your name there, the password a token from your settings page.
# Databricks, Azure or your own company give you other addresses; the names of the variables stay.
#
# In a terminal: `export MLFLOW_TRACKING_URI=…`. The password comes from your password manager, or from a file `.env`
# that git ignores. Never from a script.


# %% tags=["exercise"] exercise="day15/environment" answer="pointed" minutes=6 difficulty=1
# Return the environment variables (a dictionary of texts) with which the project's scripts log
# to this server: its address and the experiment's name; and user and password, if there are
# any. The password must not end up in the address: addresses are printed and logged.
def pointed(address, experiment, user=None, password=None): ...


# <solution>
def pointed(address, experiment, user=None, password=None):
    found = {"MLFLOW_TRACKING_URI": address, "MLFLOW_EXPERIMENT_NAME": experiment}
    if user is not None:
        found |= {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
    return found


# </solution>


# %% tags=["check"] exercise="day15/environment"
def trial(answer, *args):
    """What the project's scripts, and MLflow itself, make of these variables."""
    found = answer(*args)
    silent = {name: "" for name in os.environ if name.startswith("MLFLOW_TRACKING_")}
    before = mlflow.get_tracking_uri()
    try:
        with mock.patch.dict(os.environ, silent):
            for name in silent:
                del os.environ[name]
            os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)
            os.environ.update(found)
            name, uri = records._experiment(work), mlflow.get_tracking_uri()
            known = get_default_host_creds(uri)
    finally:
        mlflow.set_tracking_uri(before)
    return [uri, name, known.username, known.password, known.token]


def check(answer):
    given = answer("https://h.example/f.mlflow", "reviews", "ana", "t0ken")
    if not isinstance(given, dict):
        return f"A dictionary is wanted, and this is {type(given).__name__}."
    if "@" in str(given.get("MLFLOW_TRACKING_URI", "")):
        return "The password is in the address now. MLflow prints addresses, and so do error messages: use the two variables made for it."
    if "MLFLOW_TRACKING_URL" in given:
        return "Nobody reads MLFLOW_TRACKING_URL, and nobody will tell you. Look at the last letter."
    if "MLFLOW_TRACKING_TOKEN" in given:
        return "MLFLOW_TRACKING_TOKEN is sent another way, as a `Bearer` token without a user. Accounts of MLflow's kind, DagsHub's too, want USERNAME and PASSWORD."
    plain = answer("http://127.0.0.1:5000", "films")
    if None in plain.values():
        return "Without a user you return a variable that is None. The environment holds texts only (`os.environ` would refuse it): leave it out."
    found = trial(answer, "https://h.example/f.mlflow", "reviews", "ana", "t0ken")
    if found[0] != "https://h.example/f.mlflow":
        return f"With your variables the scripts log to {found[0].partition('://')[0]}://…, not to the server. Which variable holds the address?"
    if found[1] != "reviews":
        return "The address is right, but the runs land in a drawer named after the folder. Which variable names the experiment?"
    if found[2:4] != ["ana", "t0ken"]:
        return "The server would not know who is there: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are missing or misspelt."
    return None


def inputs(draw):
    yield "http://127.0.0.1:5000", "films"
    yield f"https://h.example:{draw.integers(1000, 9000)}/x.mlflow", "two words", "ana", "a:b@c"
    yield "http://localhost:1", "e", None, None


hints = [
    "Two variables are named in the text above, two more stand in the cell that made the password.",
    "`found = {…}`, then `if user is not None: found |= {…}`.",
]
misconceptions = [
    (
        "def pointed(address, experiment, user=None, password=None):\n    host = address.replace('://', f'://{user}:{password}@') if user else address\n    return {'MLFLOW_TRACKING_URI': host, 'MLFLOW_EXPERIMENT_NAME': experiment}",
        "password is in the address",
    ),
    (
        "def pointed(address, experiment, user=None, password=None):\n    found = {'MLFLOW_TRACKING_URL': address, 'MLFLOW_EXPERIMENT_NAME': experiment}\n    return found | ({'MLFLOW_TRACKING_USERNAME': user, 'MLFLOW_TRACKING_PASSWORD': password} if user else {})",
        "last letter",
    ),
    (
        "def pointed(address, experiment, user=None, password=None):\n    return {'MLFLOW_TRACKING_URI': address, 'MLFLOW_EXPERIMENT_NAME': experiment, 'MLFLOW_TRACKING_TOKEN': password or ''}",
        "Bearer",
    ),
    (
        "def pointed(address, experiment, user=None, password=None):\n    return {'MLFLOW_TRACKING_URI': address, 'MLFLOW_EXPERIMENT_NAME': experiment, 'MLFLOW_TRACKING_USERNAME': user, 'MLFLOW_TRACKING_PASSWORD': password}",
        "texts only",
    ),
    (
        "def pointed(address, experiment, user=None, password=None):\n    found = {'MLFLOW_TRACKING_URI': address}\n    return found | ({'MLFLOW_TRACKING_USERNAME': user, 'MLFLOW_TRACKING_PASSWORD': password} if user else {})",
        "named after the folder",
    ),
]

# %%
os.environ.update(pointed(address, "films", *me))
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
print([name for name in os.environ if name.startswith("MLFLOW_TRACKING")])

# %% [markdown]
# (One more, for the day on which the server is down. MLflow asks seven times with growing pauses, and a script seems to
# hang for minutes. `MLFLOW_HTTP_REQUEST_MAX_RETRIES=1` tells you at once.)
#
# <!-- asked: D15-T3 -->
# ## Several experiments, compared by code
#
# Two recipes that differ in one number, the learning rate, and a third that is the second one again with other seeds.
# The project can train a recipe under several seeds (`python -m src.models.seeds`; here we call its function). Each
# training is a run with its settings, lineage, adapter, and the score of each test text.
#
# First the change, then a **commit**, then the training. That order is what makes a run's `git_commit` worth something.

# %%
params = Path("params.yaml")
several = settings.pick(smoke=2, cpu=3)


def recipe(learning_rate):
    """Write a recipe into params.yaml and commit it."""
    text = params.read_text(encoding="utf-8")
    text = re.sub(r"learning_rate: \S+", f"learning_rate: {learning_rate}", text)
    params.write_text(text, encoding="utf-8")
    run(f"{named} commit -q -a -m 'Learning rate {learning_rate}'", work)


# %%
def experiment(name, first_seed=0):
    """Train the committed recipe under several seeds; the runs go to the server."""
    gc.freeze()  # each Trainer looks for garbage; not among what is loaded by now
    with contextlib.redirect_stdout(io.StringIO()):  # what the Trainer says
        chosen = config.load(params)
        made = seeds.several(chosen, list(range(first_seed, first_seed + several)))
    for run_id in made:
        mlflow.MlflowClient().set_tag(run_id, "recipe", name)
    return made


# %%
began = time.monotonic()
recipe(0.0001)
trained = {"careful": experiment("careful")}
recipe(0.002)
trained["bold"] = experiment("bold")
trained["bold again"] = experiment("bold again", first_seed=several)
print(f"{sum(map(len, trained.values()))} trainings in {time.monotonic() - began:.0f} seconds")

# %% [markdown]
# The comparison is a question to the server, and pandas does the rest:

# %%
table = mlflow.search_runs(
    experiment_names=["films"],
    filter_string="attributes.status = 'FINISHED' and tags.recipe LIKE '%'",
)
table["seed"] = table["params.finetune.seed"]
by_recipe = table.groupby("tags.recipe")["metrics.test_score"]
by_recipe.agg(["count", "mean", "min", "max"]).round(3)

# %%
table = table.sort_values(["tags.recipe", "seed"], ignore_index=True)
labels = [f"{row['tags.recipe']}, seed {row.seed}" for _, row in table.iterrows()]
ends = table[["metrics.test_score", "metrics.test_score_low", "metrics.test_score_high"]]
spread = by_recipe.agg(np.ptp).max()
figure = plots.interval_bars(
    labels,
    ends.to_numpy().tolist(),
    title=f"Up to {100 * spread:.0f} points between seeds of one recipe",
    xlabel="share of test texts that are right, 95 % interval over texts",
)
plots.show(figure, alt=f"{len(labels)} runs with intervals; seeds differ by {spread:.2f}.")
tracking.record("runs_on_server", len(table))

# %% [markdown]
# Two kinds of chance are in this figure. The whiskers: *other test texts* would have given another score. And the
# distance between dots of one recipe: *another seed* would have, too. A message "0.66 against 0.64" has silently
# drawn from both.
#
# ## How often does luck win?
#
# Now the 200 contests. For those we need hundreds of trainings, so the model is a light one: counted words and a
# linear classifier, milliseconds each. What its seed decides is what a seed often decides: which rows it happened to
# see, and in which order.

# %%
rows = data.load("sentiment").to_pandas().drop_duplicates("text")
rows = rows.sample(4000, random_state=lab.seed)
learn, held = rows[:1000], rows[1000:]
words = TfidfVectorizer().fit(learn["text"])
learn_x, held_x = words.transform(learn["text"]), words.transform(held["text"])


def light(seed, size=300):
    """Train on `size` rows drawn by this seed; 1 for each held-out text that is right."""
    seen = np.random.default_rng(seed).choice(len(learn), size, replace=False)
    model = SGDClassifier(loss="log_loss", max_iter=3, tol=None, random_state=seed)
    model.fit(learn_x[seen], learn["label"].to_numpy()[seen])
    return (model.predict(held_x) == held["label"]).to_numpy(float)


# %%
pool = np.array([light(seed) for seed in range(120)])
draw = np.random.default_rng(lab.seed)
contests = [draw.permutation(len(pool))[:6] for _ in range(200)]  # three seeds against three
gains = [pool[six[3:]].mean() - pool[six[:3]].mean() for six in contests]
wins = sum(gain > 0 for gain in gains)
guess.compare(wins)
tracking.record("wins_by_mean", wins)

# %% [markdown]
# About half, of course: one of two equals has the higher mean. What is less obvious is by *how much*:

# %%
luckiest = max(gains)
figure = plots.histogram(
    [100 * gain for gain in gains],
    markers={"no difference": 0},
    title=f"The same recipe against itself: luck is worth up to {100 * luckiest:.1f} points",
    xlabel="challenger minus champion, points (three seeds each)",
)
plots.show(figure, alt=f"Histogram of 200 differences around zero; largest {luckiest:.3f}.")

# %% [markdown]
# And promotion has a ratchet. After a year of such swaps your champion has changed dozens of times, each change
# announced as progress, and the model is no better than on the first day.
#
# ### The gate
#
# You know the **paired interval** from Day 3: both models answer the *same* items, take the difference item by
# item, and ask how far its mean would move with other items. That covers one kind of chance. The other is the seed.
# So the variance of the mean difference has three parts, and variances of independent parts add up:
#
# | part | how to compute it | degrees of freedom |
# |---|---|---|
# | the items | variance of the items' differences (each averaged over seeds), divided by the number of items | items − 1 |
# | the champion's seeds | variance of its seeds' mean scores, divided by the number of seeds | seeds − 1 |
# | the challenger's seeds | the same for the challenger | seeds − 1 |
#
# Three seeds say little about how far seeds scatter. The **degrees of freedom** carry that: the fewer, the wider the
# interval (Welch and Satterthwaite worked out how). Given such parts, `_reach` of the project returns half the width:


# %%
def seeds_of(numbers, size=300, items=None):
    """The scores of real trainings, one row per seed, one column per text."""
    found = [pool[n] if size == 300 else light(n, size) for n in numbers]
    return pd.DataFrame(np.array(found)).iloc[:, :items]


seeds_of(range(3)).iloc[:, :12]

# %%
from src.registry import _alone, _champion, _crown, _reach, history, scores

print(inspect.getsource(_reach))


# %% tags=["exercise"] exercise="day15/evidence" answer="evidence" minutes=14 difficulty=3
# champion, challenger: tables with one row per seed and one column per item (1 right, 0 wrong).
# Return {"mean": …, "low": …, "high": …, "items": …}: challenger minus champion, its 95 %
# interval over items and seeds (use `_reach`), and how many items.
# Raise ValueError if the two were not asked the same items (their order may differ), and if one
# of them has a single seed.
def evidence(champion, challenger): ...


# <solution>
def evidence(champion, challenger):
    """Challenger minus champion on the same items, its interval over seeds and items."""
    if set(champion.columns) != set(challenger.columns):
        raise ValueError("The two were not asked the same items. Use one test split for both.")
    if min(len(champion), len(challenger)) < 2:
        raise ValueError("One training cannot say what another seed would give. Train again.")
    items = challenger.mean() - champion.mean()
    parts = [(items.var() / len(items), len(items) - 1)]
    for one in (champion, challenger):
        parts.append((one.mean(axis=1).var() / len(one), len(one) - 1))
    mean, reach = float(items.mean()), _reach(parts)
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "items": len(items)}


# </solution>


# %% tags=["check"] exercise="day15/evidence"
def trial(answer, champion, challenger):
    answer = getattr(answer, "__wrapped__", answer)  # its own errors, not ours
    try:
        found = answer(champion, challenger)
    except ValueError:
        return "refused"
    return {name: float(found[name]) for name in sorted(found)}


def check(answer):
    one, other = seeds_of(range(3)), seeds_of(range(3, 6))
    found = answer(one, other)
    if not isinstance(found, dict) or set(found) != {"mean", "low", "high", "items"}:
        return "Return a dictionary with the keys mean, low, high and items."
    gain = float(other.to_numpy().mean() - one.to_numpy().mean())
    if abs(found["mean"] + gain) < 1e-9 < abs(gain):
        return "The sign is turned: a challenger that is better should come out above zero."
    if abs(found["mean"] - gain) > 1e-9:
        return f"`mean` should be {gain:+.4f} here, challenger minus champion over all seeds and items, and you give {found['mean']:+.4f}."
    if found["items"] != len(held):
        return f"`items` is the number of columns, {len(held)}, not {found['items']}."
    if trial(answer, one, other.iloc[:1]) != "refused":
        return "A challenger with one training is let through. Nobody knows what its second seed would give: raise a ValueError."
    if trial(answer, one, other.iloc[:, 5:]) != "refused":
        return "The two answered different items, and you compare them all the same. An easier test set would win: raise a ValueError."
    turned = trial(answer, one, other[other.columns[::-1]])
    if turned == "refused" or abs(turned["mean"] - gain) > 1e-9:
        return "With the same items in another order the answer changes. pandas matches columns by name if you let it; a comparison of lists does not."
    items = other.mean() - one.mean()
    only_items = _reach([(items.var() / len(items), len(items) - 1)])
    width = (found["high"] - found["low"]) / 2
    if abs(width - only_items) < 1e-9:
        return "Your interval knows other test texts, but no other seeds. With it, luck of the seed passes as progress: add the two other parts."
    parts = [(one.mean(axis=1).var() / 3, 2), (other.mean(axis=1).var() / 3, 2)]
    if abs(width - _reach(parts)) < 1e-9:
        return (
            "The items' part is missing: another test set would have given other differences."
        )
    if width > 3 * only_items + 0.2:
        return f"The interval reaches {width:.2f} to each side. Is a variance not divided by its number, items or seeds?"
    return None


def inputs(draw):
    yield seeds_of(range(6, 9)), seeds_of(range(9, 14))
    yield seeds_of(range(2), items=2), seeds_of(range(2, 4), items=2)
    yield seeds_of(range(3)), seeds_of(range(3))
    yield seeds_of(range(3), items=9), seeds_of(range(3), items=8)
    yield seeds_of(range(3), items=8), seeds_of(range(3), items=9)
    yield seeds_of([1]), seeds_of(range(4))
    for _ in range(3):
        some = draw.permutation(len(pool))
        one, other = seeds_of(some[:4], items=60), seeds_of(some[4:7], items=60)
        yield one, other[draw.permutation(other.columns)]


hints = [
    "`one.mean()` averages each column, that is each item; `one.mean(axis=1)` each row, that is each seed.",
    "`items = challenger.mean() - champion.mean()` has one difference per item, matched by name. Its part: `(items.var() / len(items), len(items) - 1)`.",
    "For each model: `(one.mean(axis=1).var() / len(one), len(one) - 1)`. Then `_reach(parts)`.",
]
misconceptions = [
    (
        "def evidence(champion, challenger):\n    if set(champion.columns) != set(challenger.columns) or min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = challenger.mean() - champion.mean()\n    reach = _reach([(items.var() / len(items), len(items) - 1)])\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "no other seeds",
    ),
    (
        "def evidence(champion, challenger):\n    if set(champion.columns) != set(challenger.columns) or min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = challenger.mean() - champion.mean()\n    parts = [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "items' part is missing",
    ),
    (
        "def evidence(champion, challenger):\n    items = challenger.mean() - champion.mean()\n    parts = [(items.var() / len(items), len(items) - 1)]\n    parts += [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger) if len(one) > 1]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "one training is let through",
    ),
    (
        "def evidence(champion, challenger):\n    if min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = (challenger.mean() - champion.mean()).dropna()\n    parts = [(items.var() / len(items), len(items) - 1)]\n    parts += [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "An easier test set",
    ),
    (
        "def evidence(champion, challenger):\n    if list(champion.columns) != list(challenger.columns) or min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = challenger.mean() - champion.mean()\n    parts = [(items.var() / len(items), len(items) - 1)]\n    parts += [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "in another order",
    ),
    (
        "def evidence(champion, challenger):\n    if set(champion.columns) != set(challenger.columns) or min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = challenger.mean() - champion.mean()\n    parts = [(items.var(), len(items) - 1)]\n    parts += [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "not divided by its number",
    ),
    (
        "def evidence(champion, challenger):\n    if set(champion.columns) != set(challenger.columns) or min(len(champion), len(challenger)) < 2:\n        raise ValueError('no')\n    items = champion.mean() - challenger.mean()\n    parts = [(items.var() / len(items), len(items) - 1)]\n    parts += [(one.mean(axis=1).var() / len(one), len(one) - 1) for one in (champion, challenger)]\n    reach = _reach(parts)\n    return {'mean': items.mean(), 'low': items.mean() - reach, 'high': items.mean() + reach, 'items': len(items)}",
        "sign is turned",
    ),
]

# %% [markdown]
# The same 200 contests again, at three doors: the higher mean; an interval over items alone, from one training each
# (what most reports have); and your gate.


# %%
def items_only(one, other):
    """The paired 95 % interval over items, of one training against one other: its lower end."""
    gain = other - one
    return gain.mean() - 1.96 * gain.std(ddof=1) / len(gain) ** 0.5


verdicts = [evidence(seeds_of(six[:3]), seeds_of(six[3:])) for six in contests]
passed = {
    "the higher mean": wins,
    "items only": sum(items_only(pool[six[0]], pool[six[3]]) > 0 for six in contests),
    "items and seeds": sum(found["low"] > 0 for found in verdicts),
}

# %%
figure = plots.bars(
    list(passed),
    list(passed.values()),
    title=f"No better, let in: {wins} by the mean, {passed['items and seeds']} by your gate",
    xlabel="challengers let in, of 200",
)
doors = ", ".join(f"{count} by {door}" for door, count in passed.items())
plots.show(figure, alt=f"Bars of challengers let in although no better: {doors}.")
tracking.record("wins_by_gate", passed["items and seeds"])

# %% [markdown]
# A 95 % interval lies above zero by luck at most about 5 times in 200 (2.5 % on that side). The middle door promises
# the same and does not keep it, because the seed has a say of its own.
#
# A gate has a price: a challenger that *is* better by a little may be held as well. It may come again, with more seeds
# or a larger test set. The mistake that is cheap to mend is the one to prefer.

# %%
luckiest_held = max(
    (found for found in verdicts if found["low"] <= 0), key=lambda found: found["mean"]
)
claims = {
    "A": (luckiest_held, "false"),
    "B": (evidence(seeds_of(range(6)), seeds_of(range(200, 206), 1000)), "true"),
    "C": (evidence(seeds_of(range(6)), seeds_of(range(200, 206), 800)), "false"),
}
for name, (found, dirty) in claims.items():
    print(
        f"{name}: {found['mean']:+.3f}"
        f" ({found['low']:+.3f} to {found['high']:+.3f}), git_dirty {dirty}"
    )

# %% tags=["exercise"] exercise="day15/may" answer="may" minutes=4 difficulty=1
# Three challengers, each against its champion. Which of them may be promoted?
may = ...  # a list of letters, such as ["A", "B", "C"]
# <solution>
may = [name for name, (found, dirty) in claims.items() if found["low"] > 0 and dirty == "false"]
# </solution>


# %% tags=["check"] exercise="day15/may"
def check(answer):
    if isinstance(answer, str):
        answer = list(answer)
    if not isinstance(answer, list | tuple | set) or not set(answer) <= set("ABC"):
        return 'Write a list of letters, such as ["A", "C"].'
    right = {
        name for name, (found, dirty) in claims.items() if found["low"] > 0 and dirty == "false"
    }
    if "A" in set(answer) - right:
        return "A has a fine mean and an interval that holds zero. It is the luckiest of those that your gate has held, and no better: that is what luck looks like."
    if "B" in set(answer) - right:
        return "B is better beyond chance, but its code is in no commit. Nobody could make this model again. Commit, train again, then ask."
    if "C" in right - set(answer):
        return "C's interval lies above zero and its tree was clean. Nothing speaks against it, however modest the mean."
    return (
        None
        if set(answer) == right
        else "Ask two things of each: is `low` above zero, and was the tree clean?"
    )


hints = ["Two conditions: what it can do, and whether it could be made again."]
misconceptions = [
    ('may = ["A", "C"]', "what luck looks like"),
    ('may = ["B", "C"]', "in no commit"),
    ("may = []", "Nothing speaks against it"),
]

# %% [markdown]
# <!-- asked: D15-T4 -->
# ## The registry: a place that is won
#
# The **registry** knows *names*; a name has numbered **versions**, and an **alias** is a bookmark that points at one
# of them. (You will still read of *stages*, `Staging` and `Production`. They are deprecated since MLflow 2.9; an alias does more.)
# The project's `register` makes a version of a recipe's first adapter, writes down all its runs, and what they were
# made from. And it refuses. Somebody has added a line "just to try something":

# %%
name = "film-reviews"
with Path("src/files.py").open("a", encoding="utf-8") as file:
    file.write("# a quick fix\n")
with records.run("quick fix", {}) as quick:
    pass  # a training would stand here
run("git restore src/files.py", work)
try:
    registry.register([quick.info.run_id], name)
except ValueError as refused:
    print("ValueError:", refused)

# %%
versions = {each: registry.register(run_ids, name) for each, run_ids in trained.items()}
client = mlflow.MlflowClient()
for each, version in versions.items():
    client.set_registered_model_alias(name, "challenger", version)
    print(version, each, client.get_model_version(name, version).aliases)

# %% [markdown]
# Each got the alias `challenger` when it came; now the last one has it, for an alias points at one version only. Moving
# `champion` is your next function. These tools of the project do the small steps:
#
# | call | what it does |
# |---|---|
# | `_alone(name)` | a lock, for `with`: two people cannot move the alias at once |
# | `_champion(name)` | the version that is champion, None if there is none; `.version`, `.tags["runs"]` |
# | `scores(run_ids)` | the table that `evidence` takes, from the runs' `predictions.csv` |
# | `_crown(name, version, reason)` | writes the history, moves the alias, returns True |
#
# To try it out there is the second store, with real runs: `few` saw 40 rows, `same` is that recipe again, `many` saw
# a thousand.

# %%
drawer = tries.create_experiment("tries", artifact_location=(home / "tries").as_uri())
clean = {"git_dirty": "false", "git_commit": "abc", "dvc_lock": "def", "params": "ghi"}


def kept(numbers, size):
    """Log real trainings of the light model, and tell their runs."""
    ids = []
    for row in seeds_of(numbers, size, items=200).itertuples(index=False):
        made = tries.create_run(drawer, tags=clean).info.run_id
        answers = pd.DataFrame({"text": held["text"][:200], "score": row})
        tries.log_text(made, answers.to_csv(index=False), "predictions.csv")
        ids.append(made)
    return ids


shown = {"few": kept(range(3), 40), "same": kept(range(3, 6), 40), "many": kept(range(4), 1000)}


# %%
@contextlib.contextmanager
def tried_out():
    """A fresh name in the spare store; afterwards the scripts point at the server again."""
    mlflow.set_tracking_uri(spare)
    try:
        yield uuid.uuid4().hex
    finally:
        mlflow.set_tracking_uri(address)


# %% tags=["exercise"] exercise="day15/promote" answer="promote" minutes=13 difficulty=3
# Make a version champion if it is better than the champion beyond chance. Return True if it
# took the place now, else False. - No champion yet: it becomes champion at once, for the reason
# "the first". - It is champion already: nothing happens. - `low` of the evidence is above zero:
# crown it. The reason tells mean, low and high. - Otherwise hold it: write the reason into the
# version's tag "held", `mlflow.MlflowClient().set_model_version_tag(name, version, "held",
# reason)`. A version's runs: `client.get_model_version(name, version).tags["runs"].split(",")`.
def promote(name, version): ...


# <solution>
def promote(name, version):
    """Make a version champion if it is better than the champion beyond chance; else hold it."""
    client = mlflow.MlflowClient()
    with _alone(name):
        champion = _champion(name)
        if champion is None:
            return _crown(name, version, "the first")
        if str(champion.version) == str(version):
            return False
        challenger = client.get_model_version(name, version)
        found = evidence(
            *(scores(one.tags["runs"].split(",")) for one in (champion, challenger))
        )
        reason = f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
        reason += f" against version {champion.version}"
        if found["low"] > 0:
            return _crown(name, version, reason)
        client.set_model_version_tag(name, version, "held", reason)
        return False


# </solution>


# %% tags=["check"] exercise="day15/promote"
from functools import cache

read_once = cache(mlflow.artifacts.load_text)  # the runs of `shown` do not change


def trial(answer, kinds):
    """Register these one after the other and promote each; "again" asks for the last one again."""
    answer = getattr(answer, "__wrapped__", answer)  # nobody else moves the alias in between
    with tried_out() as name, mock.patch.object(mlflow.artifacts, "load_text", read_once):
        given, version = [], None
        for kind in kinds:
            version = version if kind == "again" else registry.register(shown[kind], name)
            given.append(answer(name, version))
        champion, told = _champion(name), history(name)
        made = [tries.get_model_version(name, str(at + 1)) for at in range(int(version))]
    return {
        "given": [bool(each) for each in given],
        "champion": champion and int(champion.version),
        "history": [int(each) for each in told["version"]],
        "reasons": [bool(re.search(r"\d\.\d", why)) for why in told["why"]],
        "held": [bool(re.search(r"\d\.\d", one.tags.get("held", ""))) for one in made],
        "tagged": ["held" in one.tags for one in made],
    }


def check(answer):
    first = trial(answer, ["few"])
    if first["champion"] is None:
        return "Where nobody is champion the first version should become it at once. Nothing to compare with is no reason to have no model."
    if first["given"] != [True]:
        return (
            "It became champion, and you do not return True. `_crown` returns it: hand that on."
        )
    if first["history"] != [1]:
        return "The alias stands there, but the history does not know it. Let `_crown` move it: it writes first, then moves."
    twice = trial(answer, ["few", "again"])
    if twice["history"] != [1] or twice["tagged"][0]:
        return "Asked twice for the same version, you compare the champion with itself. Nothing should happen then."
    worse = trial(answer, ["many", "few"])
    if worse["champion"] != 1:
        return "A challenger that is clearly worse took the place. Which way round does `evidence` take the two?"
    equal = trial(answer, ["few", "same"])
    if equal["champion"] != 1:
        return "A challenger that is no better took the place: its mean is a little higher and its interval holds zero. Ask `low`, not `mean`."
    if not equal["tagged"][1]:
        return "The challenger was held, and nobody can see why. Write the reason into the version's tag `held`."
    if not equal["held"][1]:
        return "The tag `held` tells no numbers. Whoever comes back in a month wants mean, low and high."
    if equal["given"] != [True, False]:
        return "For a version that is held the answer should be False."
    better = trial(answer, ["few", "many"])
    if better["champion"] != 2:
        return "A challenger that is better beyond chance is not made champion."
    if not better["reasons"][1]:
        return "The new champion's reason tells no numbers. The history should say by how much it was better."
    return None


def inputs(draw):
    yield (["few", "same", "many", "again", "few"],)
    yield (["many", "same"],)


hints = [
    "Four cases, in the order of the text: None, the same version, above zero, the rest. Everything inside `with _alone(name):`.",
    "`evidence(scores(champion.tags['runs'].split(',')), scores(challenger.tags['runs'].split(',')))`",
    "Compare versions as text: `str(champion.version) == str(version)`.",
]
misconceptions = [
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return _crown(name, version, 'the first')\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    if found['mean'] > -0.02:\n        return _crown(name, version, reason)\n    client.set_model_version_tag(name, version, 'held', reason)\n    return False",
        "Ask `low`, not `mean`",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return _crown(name, version, 'the first')\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    return found['low'] > 0 and _crown(name, version, reason)",
        "nobody can see why",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return _crown(name, version, 'the first')\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    if found['low'] > 0:\n        return _crown(name, version, 'better')\n    client.set_model_version_tag(name, version, 'held', 'not better')\n    return False",
        "tells no numbers",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return _crown(name, version, 'the first')\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(other.tags['runs'].split(',')), scores(champion.tags['runs'].split(',')))\n    reason = str(found)\n    if found['low'] > 0:\n        return _crown(name, version, reason)\n    client.set_model_version_tag(name, version, 'held', reason)\n    return False",
        "Which way round",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return _crown(name, version, 'the first')\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    if found['low'] > 0:\n        return _crown(name, version, reason)\n    client.set_model_version_tag(name, version, 'held', reason)\n    return False",
        "compare the champion with itself",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        return False\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    if found['low'] > 0:\n        return _crown(name, version, reason)\n    client.set_model_version_tag(name, version, 'held', reason)\n    return False",
        "become it at once",
    ),
    (
        "def promote(name, version):\n    client = mlflow.MlflowClient()\n    champion = _champion(name)\n    if champion is None:\n        client.set_registered_model_alias(name, 'champion', version)\n        return True\n    if str(champion.version) == str(version):\n        return False\n    other = client.get_model_version(name, version)\n    found = evidence(scores(champion.tags['runs'].split(',')), scores(other.tags['runs'].split(',')))\n    reason = str(found)\n    if found['low'] > 0:\n        return _crown(name, version, reason)\n    client.set_model_version_tag(name, version, 'held', reason)\n    return False",
        "history does not know it",
    ),
]

# %% [markdown]
# Now for real, on the server, with the three recipes of this morning:

# %%
for each, version in versions.items():
    took = promote(name, version)
    held_because = client.get_model_version(name, version).tags.get("held", "")
    print(f"{each}: {'champion' if took else f'held, {held_because}'}")
told = history(name)
print(told.to_string(index=False))
tracking.record("champions", len(told))

# %% [markdown]
# *bold again* is the colleague of the opening: the same recipe, other seeds. A mean of its own, and no better.
#
# ## Who was champion, and from which data?
#
# <!-- asked: D15-T5 -->
# MLflow remembers where the alias points, and not where it pointed last week. People have asked for that since 2019. Our
# `history` is a few tags on the name, written before each move. With it the way back is short: somebody reports that the
# new champion fails on long reviews, and you want the old one *now*, and find out later.


# %% tags=["exercise"] exercise="day15/roll-back" answer="roll_back" minutes=8 difficulty=2
# Give the place back to the champion before this one: the latest in the history that is another
# version. The history tells it, with a reason such as "back from version 3". Return the version
# that is champion now; raise ValueError if there has been no other.
# `history(name)["version"]` lists the champions as texts, the newest last.
def roll_back(name): ...


# <solution>
def roll_back(name):
    """Give the place back to the champion before this one, and say so in the history."""
    with _alone(name):
        now = _champion(name)
        earlier = [
            each for each in history(name)["version"] if now and each != str(now.version)
        ]
        if not earlier:
            raise ValueError(f"{name} has had no other champion. There is no way back.")
        _crown(name, earlier[-1], f"back from version {now.version}")
        return earlier[-1]


# </solution>


# %% tags=["check"] exercise="day15/roll-back"
def trial(answer, crowned, times=1):
    """Four versions, some of them crowned in this order; then step back."""
    answer = getattr(answer, "__wrapped__", answer)  # nobody else moves the alias in between
    with tried_out() as name:
        tries.create_registered_model(name)
        for _ in range(4):
            tries.create_model_version(name, (home / "tries").as_uri())
        for version in crowned:
            _crown(name, str(version), f"crowned {version}")
        try:
            given = [int(answer(name)) for _ in range(times)]
        except ValueError:
            given = "refused"
        champion = _champion(name)
        told = history(name)
    now = champion and int(champion.version)
    return (
        given,
        now,
        [int(each) for each in told["version"]],
        list(told["why"])[: len(crowned)],
    )


def check(answer):
    given, now, told, _ = trial(answer, [1])
    if given != "refused":
        return f"With one champion ever, version 1, you do not raise a ValueError. Champion afterwards: {now}."
    if told != [1]:
        return "You refuse, but only after the history was written. Look first."
    given, now, told, _ = trial(answer, [1, 4])
    if now == 3:
        return "Champions were 1, then 4; you went to version 3, one less. It was never champion: ask the history, not the numbers."
    if now == 4:
        return "Afterwards the champion is the same as before. The newest line of the history is the one that you want to leave."
    if told == [1, 4]:
        return "The alias went back, and the history does not tell. Let `_crown` do it."
    if given != [1]:
        return "Return the version that is champion now."
    _, now, _, _ = trial(answer, [1, 2, 4])
    if now == 1:
        return "Champions were 1, 2, 4; you went all the way back to 1. The one *before* this one is meant."
    _, now, _, _ = trial(answer, [1, 4, 4])
    if now == 4:
        return "A version may be named twice in a row: champions 1, 4, 4. You went from 4 to 4. Look for the latest one that is *another*."
    return None


def inputs(draw):
    yield [], 1
    yield [2, 2], 1
    yield [1, 2, 4], 1
    yield [3, 1, 4], 3
    yield [int(each) for each in draw.permutation([1, 2, 3, 4])], 2


hints = [
    "`now = _champion(name)`; then keep of the history's versions those that differ from `str(now.version)`.",
    "The last of these is the one; if there are none, raise ValueError before anything is written.",
    "`_crown(name, earlier[-1], f'back from version {now.version}')`",
]
misconceptions = [
    (
        "def roll_back(name):\n    now = int(_champion(name).version)\n    if now == 1:\n        raise ValueError('none')\n    _crown(name, str(now - 1), 'back')\n    return str(now - 1)",
        "one less",
    ),
    (
        "def roll_back(name):\n    told = list(history(name)['version'])\n    if len(told) < 2:\n        raise ValueError('none')\n    _crown(name, told[-1], 'back')\n    return told[-1]",
        "same as before",
    ),
    (
        "def roll_back(name):\n    told = list(history(name)['version'])\n    if len(told) < 2:\n        raise ValueError('none')\n    mlflow.MlflowClient().set_registered_model_alias(name, 'champion', told[-2])\n    return told[-2]",
        "history does not tell",
    ),
    (
        "def roll_back(name):\n    told = list(history(name)['version'])\n    if len(told) < 2:\n        raise ValueError('none')\n    _crown(name, told[0], 'back')\n    return told[0]",
        "all the way back",
    ),
    (
        "def roll_back(name):\n    told = list(history(name)['version'])\n    back = told[-2] if len(told) > 1 else told[0]\n    _crown(name, back, 'back')\n    return back",
        "With one champion ever",
    ),
    (
        "def roll_back(name):\n    told = list(history(name)['version'])\n    if len(told) < 2:\n        raise ValueError('none')\n    _crown(name, told[-2], 'back')\n    return told[-2]",
        "named twice in a row",
    ),
]

# %%
try:
    print("champion now: version", roll_back(name))
except ValueError as refused:
    print("ValueError:", refused)
print(history(name).to_string(index=False))

# %% [markdown]
# Found and mended? The one that was champion can take the place again, but by evidence: `promote` asks all over.

# %%
print("bold is champion again:", promote(name, versions["bold"]))

# %% [markdown]
# And who uses the model has noticed nothing but other answers, because nobody knows a version number. They ask for the name:

# %%
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer

folder = mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=home / "got")
label_names = ast.literal_eval((Path(folder) / "labels.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoPeftModelForSequenceClassification.from_pretrained(
    folder, num_labels=len(label_names)
)
batch = tokenizer(["A wonderful film.", "A terrible bore."], return_tensors="pt", padding=True)
print([label_names[at] for at in model.eval()(**batch).logits.argmax(dim=1)])

# %% [markdown]
# Last question, the oldest of this week: **which data made this number?** The version knows its runs, and each run has kept
# `dvc.lock`. Two calls, from the name to the bytes:

# %%
made_from = registry.made_from(name)
known = records.data_of(made_from["runs"].split(",")[0])
print("commit", made_from["git_commit"])
for path, md5 in known.items():
    print(md5, path)

# %%
raw, md5 = next(pair for pair in known.items() if not pair[1].endswith(".dir"))
on_the_shelf = shelf / "files" / "md5" / md5[:2] / md5[2:]
print(f"{raw}, {on_the_shelf.stat().st_size:,} bytes, begins with")
print(on_the_shelf.read_text(encoding="utf-8")[:110])
tracking.record("data_found", float(on_the_shelf.is_file()))

# %% [markdown]
# From the word `champion` to the first line of its raw data, and nobody had to remember anything.
#
# ### Into your project
#
# Your three functions go into `src/registry.py` of your own project, where its stubs still stand; what you have written
# there stays. What is still open is filled by ours.


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


mine = {"evidence": evidence, "promote": promote, "roll_back": roll_back}
write_in(project / "src" / "registry.py", mine)
filled = production.fill(project, "day16")
print("filled by ours:", filled or "nothing")

# %% [markdown]
# (`lab project check` in a terminal judges them where they stand now. Then commit.) And the server is stopped. Yours, some day,
# will run on a machine that stays on.

# %%
if settings.pick(smoke=False, cpu=True):
    production.check(project, "day15")
os.chdir(came_from)
sys.path.remove(str(work))
stop(server)
place.cleanup()

# %%
my_words = ...  # for example: "From now on I answer such a message with: how many seeds?"
entry = f"No better, let in: {wins} of 200 by the mean, {passed['items and seeds']} by my gate."
progress.write_journal("day15", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Champion 0.64, challenger 0.66, three seeds each, same items, interval of the difference −0.01 to +0.05. What now?",
        "choices": [
            (
                "Promote: the mean is higher, and nothing shows that it is worse.",
                "That door lets in half of all challengers that are no better.",
                False,
            ),
            (
                "Hold it, note why, and let it come again with more seeds or more items.",
                "It may well be better. Today nobody can tell, and a wrong swap costs more than a week.",
                True,
            ),
            (
                "Throw it away: it is not better.",
                "The interval reaches to +0.05. Not shown is not the same as not so.",
                False,
            ),
        ],
    },
    {
        "question": "With 10,000 test items the items' part is tiny. Do you still need several seeds?",
        "choices": [
            (
                "No: the interval is narrow enough.",
                "It is narrow about these two trainings. The recipe's next training may lie elsewhere.",
                False,
            ),
            (
                "Yes: more items do nothing about the scatter between seeds.",
                "Each part of the variance is divided by its own number. More items cannot stand in for seeds.",
                True,
            ),
            (
                "Only if the model is small.",
                "Large models scatter as well, and training them often is dear. That makes it harder, not needless.",
                False,
            ),
        ],
        "proof": (
            "import numpy as np\n"
            "draw = np.random.default_rng(0)\n"
            "def mean_of_a_seed(items):\n"
            "    level = 0.7 + draw.normal(0, 0.02)\n"
            "    return (draw.random(items) < level).mean()\n"
            "few = np.std([mean_of_a_seed(1_000) for _ in range(400)])\n"
            "many = np.std([mean_of_a_seed(100_000) for _ in range(400)])\n"
            "assert many > 0.017 and few < 0.03\n"
        ),
    },
    {
        "question": "You exported MLFLOW_TRACKING_URL and trained all night. No error. Where are the runs?",
        "choices": [
            (
                "On the server.",
                "MLflow never read that variable. It ends with URI.",
                False,
            ),
            ("Nowhere.", "They were logged, just not where you look.", False),
            (
                "In the project's own mlflow.db, on the machine that trained.",
                "Nobody named a server, so the script took the file. Print the address before a long training.",
                True,
            ),
        ],
    },
    {
        "question": "Champions so far: 1, 2, 4. You roll back, and then once more. Who is champion?",
        "choices": [
            (
                "Version 1.",
                "After the first step the history reads 1, 2, 4, 2. The newest that is not 2 is 4.",
                False,
            ),
            (
                "Version 4.",
                "Back to 2, and back again to the one before: like `cd -`. For version 1, say so by name.",
                True,
            ),
            (
                "Version 2.",
                "That is after one step.",
                False,
            ),
        ],
        "proof": (
            "told = ['1', '2', '4']\n"
            "for _ in range(2):\n"
            "    told.append([each for each in told if each != told[-1]][-1])\n"
            "assert told[-1] == '4'\n"
        ),
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - How much better must a challenger be to pass in half of the cases? Vary `size` in `light` and count. And with five
#   seeds instead of three?
# - Start the server with accounts, make a second user (`mlflow.server.get_app_client`), and let them write into your experiment.
# - Put a server where your team can reach it: behind HTTPS, with accounts, and with a copy of `server.db` every night.
