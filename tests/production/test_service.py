"""The project's service: nothing that strangers send breaks it, and no question that it took is lost."""

import contextlib
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from labhelpers import production
from labhelpers.core.settings import LabError, current
from labhelpers.production import image, scaffold, trial

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process, and tells it nothing before")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project's files with every gap filled; no repository, no data."""
    folder = tmp_path_factory.mktemp("service") / "project"
    for path in scaffold._sources():
        target = folder / path.relative_to(scaffold.source())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(scaffold.render(path.read_text(encoding="utf-8"), None), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tiny(project):
    """An exported model of a few kilobytes in the project's place for it."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = project / "models" / "served"
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "good", "bad"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    shape = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1},
    )  # fmt: skip
    BertForSequenceClassification(shape).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps({"max_length": 32, "source": "a test"}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def client(project):
    """The service in this process, answered by a stand-in."""
    sys.path.insert(0, str(project))
    try:
        from fastapi.testclient import TestClient
        from src.serving import app

        answer = lambda texts: [{"label": "good", "chance": 0.5}] * len(texts)  # noqa: E731
        with TestClient(app.create(answer), raise_server_exceptions=False) as made:
            yield made
    finally:
        sys.path.remove(str(project))
        for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
            del sys.modules[name]


# ---------------------------------------------------------------------------------------------- what strangers send

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=40),
    lambda inner: (
        some.lists(inner, max_size=5) | some.dictionaries(some.text(max_size=12), inner, max_size=5)
    ),
    max_leaves=20,
)
KEYS = some.sampled_from(["text", "texts", "questions", "label", "__proto__", "\x00", "text "])
NEAR = some.dictionaries(
    KEYS, JSON | some.lists(some.dictionaries(KEYS, JSON, max_size=3), max_size=40), max_size=4
)
BODIES = (
    (JSON | NEAR).map(lambda value: json.dumps(value).encode())
    | some.binary(max_size=300)
    | (JSON | NEAR).map(lambda value: json.dumps(value)[:-1].encode())
    | some.integers(1, 60_000).map(lambda deep: b"[" * deep)
    | some.integers(1, 400_000).map(lambda long: b'{"text": "' + b"a" * long + b'"}')
)
TYPES = some.sampled_from(
    ["application/json", "text/plain", "multipart/form-data", "application/xml", "", "\x01"]
)
PATHS = some.sampled_from(
    ["/predict", "/predict/batch", "/predict/", "/health", "/metrics", "/../etc/passwd", "/%00"]
)
METHODS = some.sampled_from(["POST", "POST", "POST", "PUT", "DELETE", "PATCH", "GET", "OPTIONS"])
LEAK = re.compile(r"Traceback|File \"|site-packages|\.py\b|/home/|/root/|/tmp/|src\.serving", re.I)


@pytest.mark.parametrize("count", [250, pytest.param(2000, marks=pytest.mark.heavy)])
def test_malformed_requests_and_none_breaks_it(client, count):
    seen = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(METHODS, PATHS, BODIES, TYPES, some.text(max_size=20))
    def ask(method, path, body, kind, name):
        headers = {"Content-Type": kind, "X-Request-ID": name.encode("utf-8", "surrogatepass")}
        with contextlib.suppress(httpx.LocalProtocolError):
            answer = client.request(method, path, content=body, headers=headers)
            seen.append(answer.status_code)
            assert answer.status_code < 500, answer.text
            assert path == "/metrics" or not LEAK.search(answer.text), answer.text
            assert answer.status_code < 400 or set(answer.json()) == {"error", "request_id"}

    logging.getLogger("service").setLevel(logging.ERROR)
    ask()
    assert len(seen) >= 0.95 * count
    assert {404, 405, 413, 422} <= set(seen), set(seen)


def test_every_example_of_the_document_is_answered_as_it_says(client):
    schema = client.get("/openapi.json").json()
    for path in ("/predict", "/predict/batch"):
        what = schema["paths"][path]["post"]
        assert {"200", "422", "503"} <= set(what["responses"]) and what["description"]
        named = what["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        body = {
            name: one["examples"][0]
            for name, one in schema["components"]["schemas"][named]["properties"].items()
        }
        assert client.post(path, json=body).status_code == 200
    assert "HTTPValidationError" not in str(schema["paths"]), "what is refused has one form only"


# ---------------------------------------------------------------------------------------------- a server of its own


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(folder, port, factory="src.serving.app:create", **environment):
    """A server as the Dockerfile starts it, on this machine only; nothing of it is left afterwards."""
    log = folder / f"log-{port}-{time.monotonic_ns()}"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        factory,
        "--port",
        str(port),
        "--timeout-graceful-shutdown",
        "20",
    ]
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, start_new_session=True,
            env=trial_environment() | {"OMP_NUM_THREADS": "1"} | environment,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while not alive(port):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield server, log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(30)


def trial_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}


def alive(port):
    with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False, timeout=2) as client:
        return client.get(f"http://127.0.0.1:{port}/health").status_code == 200
    return False


@pytest.fixture(scope="module")
def slow(project):
    """A factory whose model takes 50 ms a batch: no torch, so that the server is up in a second."""
    code = """import time
from src.serving import app
def create():
    return app.create(lambda texts: (time.sleep(0.05), [{"label": "good", "chance": 0.5} for _ in texts])[1])
"""
    (project / "slow.py").write_text(code, encoding="utf-8")
    return "slow:create"


def call_until_refused(port, number, stopped, answered, lost):
    """Ask one question after another, each with a name; note which are answered and which find nobody."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        for turn in range(1000):
            name = f"{number}-{turn}"
            try:
                answer = client.post("/predict", json={"text": "good"}, headers={"X-Request-ID": name})
                assert answer.status_code == 200, answer.text
                answered.append(name)
            except httpx.TransportError:  # not taken: the connection was closed before, or is refused
                lost.append(name)
                if stopped.is_set():
                    return


@POSIX
def test_a_stop_under_load_loses_no_question_that_was_taken(project, slow):
    port, answered, lost, stopped = free_port(), [], [], threading.Event()
    with serving(project, port, slow) as (server, log), ThreadPoolExecutor(12) as pool:
        callers = [
            pool.submit(call_until_refused, port, number, stopped, answered, lost) for number in range(12)
        ]
        time.sleep(1)
        server.terminate()
        assert server.wait(30) in (0, -signal.SIGTERM)  # uvicorn hands the signal on once it has stopped
        stopped.set()
        for one in callers:
            one.result()
        noted = re.findall(r"service (\S+) POST /predict 200", log.read_text(encoding="utf-8"))
    assert len(answered) > 50 and set(noted) == set(answered)
    assert not set(lost) & set(noted)


@POSIX
def test_killed_and_restarted_in_mid_load_it_answers_everyone_who_asks_again(project, slow):
    port, done = free_port(), []

    def caller(number):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            for _turn in range(25):
                for wait in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8):
                    with contextlib.suppress(httpx.TransportError):
                        if client.post("/predict", json={"text": "good"}).status_code == 200:
                            done.append(number)
                            break
                    time.sleep(wait * random.uniform(0.5, 1))

    with ThreadPoolExecutor(8) as pool:
        with serving(project, port, slow) as (server, _):
            callers = [pool.submit(caller, number) for number in range(8)]
            time.sleep(0.6)
            server.kill()
            server.wait(30)
        between = len(done)
        with serving(project, port, slow):
            for one in callers:
                one.result()
    assert 0 < between < 200 == len(done)


@POSIX
def test_more_than_it_can_take_is_refused_within_a_second(project, slow):
    port = free_port()
    many = {"questions": [{"text": "good"}] * 32}
    with serving(project, port, slow), ThreadPoolExecutor(24) as pool:

        def ask(_):
            began = time.perf_counter()
            with httpx.Client(trust_env=False, timeout=30) as client:
                answer = client.post(f"http://127.0.0.1:{port}/predict/batch", json=many)
            return answer.status_code, time.perf_counter() - began, answer.headers.get("Retry-After")

        found = list(pool.map(ask, range(96)))
    refused = [one for one in found if one[0] == 503]
    assert {one[0] for one in found} == {200, 503} and refused
    assert max(seconds for _, seconds, _ in refused) < 1 and {one[2] for one in refused} == {"1"}


@POSIX
def test_the_steps_of_the_dockerfile_run_without_docker(project, tiny):
    done = trial.run(project, [sys.executable, "-m", "src.serving.dry"], 120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✔ CMD: answered" in done.stdout and "✔ stopped" in done.stdout


@POSIX
def test_what_is_not_copied_is_missed(project, tiny, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    (folder / ".dockerignore").write_text("models\n", encoding="utf-8")
    done = trial.run(folder, [sys.executable, "-m", "src.serving.dry"], 120)
    assert done.returncode == 1 and "✘ COPY models/served/" in done.stdout, done.stdout
    shutil.copy(project / ".dockerignore", folder)
    path = folder / "src/serving/app.py"
    path.write_text(f"import mlflow\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    done = trial.run(folder, [sys.executable, "-m", "src.serving.dry"], 120)
    assert done.returncode == 1 and "No module named 'mlflow'" in done.stdout, done.stdout


@pytest.fixture
def encoder(tmp_path):
    """The real encoder, with a head of its own, as an exported folder."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from labhelpers import models

    folder, names, source = tmp_path / "served", {0: "bad", 1: "good"}, models.source("encoder")
    AutoModelForSequenceClassification.from_pretrained(source, id2label=names).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps({"max_length": 128}), encoding="utf-8")
    return folder


def call_until(until, port, number, found):
    """Ask short and long, single and many, without a pause; note status and seconds."""
    draw = random.Random(number)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        while time.monotonic() < until:
            one, many = {"text": " ".join(["film"] * draw.randint(1, 300))}, draw.random() < 0.3
            body = {"questions": [one] * 16} if many else one
            began = time.perf_counter()
            answer = client.post("/predict/batch" if many else "/predict", json=body)
            found.append((answer.status_code, time.perf_counter() - began))


@pytest.mark.heavy
def test_sixteen_clients_for_a_minute(project, encoder):
    """Every request answered, or refused within a second; memory bounded; no error of ours."""
    import psutil

    port, found = free_port(), []
    environment = {"MODEL_FOLDER": str(encoder)}
    with serving(project, port, **environment) as (server, log), ThreadPoolExecutor(16) as pool:
        until, process = time.monotonic() + 60, psutil.Process(server.pid)
        callers = [pool.submit(call_until, until, port, number, found) for number in range(16)]
        time.sleep(20)
        early = process.memory_info().rss
        for one in callers:
            one.result()
        late, said = process.memory_info().rss, log.read_text(encoding="utf-8")
    refused = [seconds for status, seconds in found if status == 503]
    print(f"{len(found)} asked, {len(refused)} refused, slowest {max(found, key=lambda one: one[1])}")
    assert {status for status, _ in found} <= {200, 503} and "Traceback" not in said
    assert max(refused, default=0) < 1 and max(seconds for _, seconds in found) < 30
    assert late < 1.25 * early


# ---------------------------------------------------------------------------------------------- the image

WRONG = [
    ("FROM ${BASE} AS serving", "FROM packages AS serving", "tools and all"),
    ("ARG BASE=python:3.11.11-slim-bookworm", "ARG BASE=python:latest", "every few weeks"),
    ("COPY src/ src/", "COPY . .", "copies the whole folder"),
    ("COPY src/ src/\n", "", "the code, src/"),
    ("COPY models/served/ models/served/\n", "", "the weights"),
    ("ENV PATH=/opt/venv/bin:$PATH PYTHONDONT", "ENV HF_TOKEN=hf PATH=/opt/venv/bin:$PATH PYTHONDONT", "HF_TOKEN would be"),
    ("ENV PATH=/opt/venv/bin:$PATH PYTHONDONT", "ENV PYTHONDONT", "set PATH"),
    ("USER 10001\n", "", "is root in there"),
    ('"--host", "0.0.0.0", ', "", "nobody outside can knock"),
    ('CMD ["uvicorn", "--factory"', 'CMD exec uvicorn # ["uvicorn", "--factory"', "one line for a shell"),
    ("HEALTHCHECK --interval", "LABEL --interval", "nobody would notice"),
]  # fmt: skip


def judged(folder, text):
    """What the project's own reader says of a Dockerfile."""
    (folder / "probe").write_text(text, encoding="utf-8")
    code = "from src.serving import dockerfile\nfound = dockerfile.problem(open('probe', encoding='utf-8').read())"
    return trial.answer(folder, code)


def test_each_wrong_dockerfile_gets_its_own_reply(project):
    text = (project / "Dockerfile").read_text(encoding="utf-8")
    assert judged(project, text) is None
    replies = [judged(project, text.replace(ours, theirs, 1)) for ours, theirs, _ in WRONG]
    assert all(ours in text for ours, _, _ in WRONG)
    for reply, (_, _, told) in zip(replies, WRONG, strict=True):
        assert reply and told in reply, reply
    assert len(set(replies)) == len(WRONG)


def test_the_pins_of_the_image_are_those_of_the_course():
    locked = (current().root / "requirements.lock").read_text(encoding="utf-8").lower()
    for line in (scaffold.source() / "requirements-serving.txt").read_text(encoding="utf-8").split():
        assert re.search(rf"^{re.escape(line.lower())}[ ;\\]", locked, re.M) or line.startswith("torch=="), (
            line
        )


def test_without_a_builder_the_way_out_is_told(project, monkeypatch):
    monkeypatch.setattr(image, "engine", lambda: None)
    with pytest.raises(LabError, match="--dry"):
        image.build(project)


@pytest.mark.heavy
@pytest.mark.skipif(image.engine() is None, reason="neither Docker nor Podman answers here")
def test_the_image_is_built_and_answers(project, tiny):
    """BASE and the ways to the packages come from the environment where there is no registry: IMAGE_OPTIONS."""
    options = tuple(os.environ.get("IMAGE_OPTIONS", "").split())
    assert image.build(project, "course-test", options)
    name, port = image.engine(), free_port()
    flags = ["--rm", "--detach", "--read-only", "--tmpfs", "/tmp", "--publish", f"127.0.0.1:{port}:8000"]
    box = subprocess.run(
        [name, "run", *flags, "course-test"], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        until = time.monotonic() + 120
        while not alive(port) and time.monotonic() < until:
            time.sleep(0.2)
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"text": "good film"}, trust_env=False)
        assert answer.status_code == 200 and answer.json()["label"] in ("good", "bad")
        who = subprocess.run([name, "exec", box, "id", "-u"], capture_output=True, text=True, check=True)
        assert who.stdout.strip() == "10001"
    finally:
        subprocess.run([name, "stop", box], capture_output=True)


# ---------------------------------------------------------------------------------------------- from a name to answers


def test_the_champion_is_exported_and_answers_as_its_adapter_did(tmp_path):
    folder = production.new(tmp_path / "project", at="day20")
    code = """
import pathlib, mlflow, torch
from src import config, tracking
from src.data import prepare_finetuning_data as prepare
from src.evaluation import answers
from src.models import finetune
from src.serving import model
prepare.main(pathlib.Path("params.yaml"))
chosen = config.load(pathlib.Path("params.yaml"))
run = finetune.logged(chosen)
client = mlflow.MlflowClient()
client.create_registered_model("films")
client.create_model_version("films", client.get_run(run).info.artifact_uri + "/adapter", run)
client.set_registered_model_alias("films", "champion", "1")
told = model.export("models:/films@champion", model.FOLDER, chosen.model.max_length)
texts = ["A film with a heart.", "A terrible bore.", "Neither here nor there, but long " * 40]
found = {"same": [one["label"] for one in model.load()(texts)] == answers.labels(texts, chosen.model.max_length),
  "version": told["version"], "files": sorted(path.suffix for path in model.FOLDER.iterdir()),
  "readable": all(path.stat().st_mode & 0o004 for path in (model.FOLDER, *model.FOLDER.iterdir()))}
"""
    found = trial.answer(folder, code, 240)
    assert found["same"] and found["readable"] and found["version"] == "1"
    assert ".safetensors" in found["files"] and not {".bin", ".pt"} & set(found["files"])


def test_every_piece_of_the_day_has_its_reply(project, tmp_path):
    from labhelpers.production import checks

    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    for name, ours, theirs, reply in PIECES:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert ours in text, ours
        path.write_text(text.replace(ours, theirs, 1), encoding="utf-8")
        found = [checks._judge(folder, piece, set()).problem for piece in checks.PIECES if piece.file == name]
        assert any(reply in problem for problem in found), (reply, found)
        path.write_text(text, encoding="utf-8")


PIECES = [
    ("src/serving/app.py", '"min_length": 1', '"min_length": 2', "one character is refused"),
    ("src/serving/app.py", ', "pattern": r"\\S"}', "}", "blanks only"),
    ("src/serving/app.py", '"max_length": 2000, ', "", "2,001 characters"),
    ("src/serving/app.py", ": {problem['msg']}", ": {problem['input']!r}", "repeats what was sent"),
    ("src/serving/app.py", 'if problem["type"] == "extra_forbidden":', "if False:", "repeats what was sent"),
    ("src/serving/app.py", 'problem["loc"][1:]', 'problem["loc"][-1:]', "questions.1.text"),
    ("src/serving/batching.py", "len(batch) < most and not", "not", "leave six"),
    ("src/serving/batching.py", "batch = [first]", "batch = []", "first entry alone"),
    ("src/serving/batching.py", "while len(batch) < most and not queue.empty():", "if most > 1 and not queue.empty():", "both"),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------- the writer


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """A writer of a few kilobytes with two adapters that disagree; the course's own tokenizer."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed

    from labhelpers import models

    place = tmp_path_factory.mktemp("writer")
    tokenizer = AutoTokenizer.from_pretrained(models.source("decoder"))
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    set_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(place / "base")
    for seed, name in enumerate(("one", "two")):
        set_seed(seed)
        base = LlamaForCausalLM.from_pretrained(place / "base")
        recipe = LoraConfig(r=8, lora_alpha=64, init_lora_weights=False, target_modules="all-linear")
        get_peft_model(base, recipe).save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)
    return {name: place / name for name in ("one", "two")}


@pytest.fixture
def writer(project, adapters):
    """The writing service in this process."""
    sys.path.insert(0, str(project))
    try:
        from fastapi.testclient import TestClient
        from src.serving import writing

        with TestClient(writing.create(writing.Writer(adapters)), raise_server_exceptions=False) as made:
            yield made
    finally:
        sys.path.remove(str(project))


def said(text):
    """The pieces of a stream of events."""
    assert text.rstrip().endswith("event: end\ndata: {}")
    return [json.loads(line[6:])["text"] for line in text.splitlines() if line.startswith('data: {"text"')]


def wish(adapter, most=12):
    return {"messages": [{"role": "user", "content": "Who are you?"}], "adapter": adapter, "most": most}


def test_each_request_gets_its_own_adapter_even_in_a_crowd(writer):
    """The trap: which adapter is on belongs to the model, and requests at once got one another's."""
    alone = {
        name: "".join(said(writer.post("/write", json=wish(name)).text)) for name in ("none", "one", "two")
    }
    assert len(set(alone.values())) == 3
    names = ["none", "one", "two"] * 3
    with ThreadPoolExecutor(9) as pool:
        crowd = list(pool.map(lambda name: "".join(said(writer.post("/write", json=wish(name)).text)), names))
    assert crowd == [alone[name] for name in names]


def test_an_answer_comes_in_pieces(writer):
    answer = writer.post("/write", json=wish("one"))
    assert answer.headers["content-type"].startswith("text/event-stream") and len(said(answer.text)) > 1


@pytest.mark.parametrize(
    "change",
    [{"adapter": "three"}, {"most": 0}, {"messages": []}, {"messages": [{"role": "root", "content": "a"}]}],
)
def test_a_wish_that_cannot_be_met_is_refused(writer, change):
    answer = writer.post("/write", json=wish("one") | change)
    assert answer.status_code == 422 and set(answer.json()) == {"error", "request_id"}


def test_a_crowd_has_an_end(writer):
    writer.app.state.turn.waiting = 9
    answer = writer.post("/write", json=wish("one"))
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
    writer.app.state.turn.waiting = 0


def test_who_goes_away_stops_the_model(writer):
    began = time.monotonic()
    made = writer.app.state.writer.pieces(wish("one")["messages"], "one", 256)
    next(made)
    made.close()
    assert time.monotonic() - began < 10 and threading.active_count() < 20
