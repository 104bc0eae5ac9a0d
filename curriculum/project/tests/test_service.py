"""What the service does with good, bad, empty, enormous and hostile requests. A stand-in answers, so it takes a second."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

pytest.importorskip("fastapi", reason="pip install -r requirements-serving.txt")
pytest.importorskip("httpx2", reason="pip install httpx2")

from fastapi.testclient import TestClient
from src.serving import app, batching, model

if not app.LIMITS:
    pytest.skip("Day 19 writes the limits", allow_module_level=True)


def stand_in(texts):
    """Answers as the model does, and says the text's length as its label, so that a mix-up shows."""
    return [{"label": str(len(text)), "chance": 0.5} for text in texts]


@pytest.fixture
def service():
    with TestClient(app.create(stand_in), raise_server_exceptions=False) as client:
        yield client


def test_a_text_gets_its_label(service):
    answer = service.post("/predict", json={"text": "Fine."})
    assert answer.status_code == 200 and answer.json() == {"label": "5", "chance": 0.5}


def test_a_batch_keeps_its_order(service):
    texts = [{"text": "a" * length} for length in (3, 1, 2)]
    answers = service.post("/predict/batch", json={"questions": texts}).json()["answers"]
    assert [answer["label"] for answer in answers] == ["3", "1", "2"]


BAD = [
    {}, [], None, "text", 5, {"text": None}, {"text": 5}, {"text": ["a"]}, {"text": ""}, {"text": " \n"},
    {"text": "a" * 2001}, {"text": "a", "hunter2": 1}, {"texts": "hunter2"},
]  # fmt: skip
HOSTILE = [
    b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"text": "\\ud800"}', b'{"text": NaN}', b"9" * 5000, b'{"text": "a"}\x00',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_a_bad_question_is_told_in_a_line_that_repeats_nothing(service, body):
    answer = service.post("/predict", json=body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "request_id"} and "hunter2" not in answer.text
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("body", HOSTILE)
def test_hostile_bytes_are_refused(service, body):
    answer = service.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and "Traceback" not in answer.text


@pytest.mark.parametrize("count", [0, 33])
def test_a_batch_has_an_end(service, count):
    assert service.post("/predict/batch", json={"questions": [{"text": "a"}] * count}).status_code == 422


def test_an_enormous_body_is_refused_unread(service):
    assert service.post("/predict", content=b" " * 1_000_000).status_code == 413
    assert service.post("/predict", content=(part for part in [b"{}"])).status_code == 411


def test_who_finds_no_room_is_told_so_at_once(service, monkeypatch):
    go, batcher = threading.Event(), service.app.state.batcher
    monkeypatch.setattr(batcher, "answer", lambda texts: (go.wait(20), stand_in(texts))[1])
    many = {"questions": [{"text": "a"}] * 32}
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(service.post, "/predict/batch", json=many) for _ in range(8)]
        refused = next(one.result() for one in as_completed(asked))  # the others wait for the model
        assert not service.get("/health").is_error
        go.set()
        statuses = sorted(one.result().status_code for one in asked)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
    assert statuses[0] == 200 and statuses[-1] == 503


def test_a_slow_model_has_a_short_queue(service):
    batcher = service.app.state.batcher
    batcher.each = batching.SOON / 3
    assert batcher.room() == 3
    batcher.each = 10 * batching.SOON
    assert batcher.room() == 1 and service.get("/ready").status_code == 200


def test_a_failing_model_tells_no_secrets_and_goes_on(service, monkeypatch):
    batcher = service.app.state.batcher
    with monkeypatch.context() as patch:
        patch.setattr(batcher, "answer", lambda texts: {}["/root/secret"])
        answer = service.post("/predict", json={"text": "a"})
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json()["request_id"]
    assert service.post("/predict", json={"text": "a"}).status_code == 200


def test_a_worker_that_has_ended_takes_nothing_more(service, monkeypatch):
    monkeypatch.setattr(service.app.state.batcher, "sizes", lambda size: {}[size])
    monkeypatch.setattr(app, "PATIENCE", 0.2)
    assert [service.post("/predict", json={"text": "a"}).status_code for _ in range(2)] == [503, 503]
    assert service.get("/ready").status_code == 503 and service.get("/health").status_code == 200


def test_a_request_keeps_the_name_that_its_caller_gave(service):
    assert service.get("/health", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    assert "\t" not in service.get("/health", headers={"X-Request-ID": "a\tb"}).headers["X-Request-ID"]


def test_it_is_alive_ready_and_counted(service):
    for path in ("/health", "/ready", "/model"):
        assert service.get(path).status_code == 200
    assert 'path="/health",status="200"' in service.get("/metrics").text


def examples(schema):
    """The example request of each endpoint, as the document has it."""
    for path, methods in schema["paths"].items():
        for method, what in methods.items():
            body = (
                what.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            )
            parts = schema["components"]["schemas"].get(body.get("$ref", "").rpartition("/")[2], {})
            fields = parts.get("properties", {})
            yield method, path, {name: field["examples"][0] for name, field in fields.items()} or None


def test_every_example_of_the_document_works(service):
    found = list(examples(service.get("/openapi.json").json()))
    assert len(found) == 6
    for method, path, body in found:
        answer = service.request(method, path, json=body)
        assert answer.status_code == 200, (path, answer.text)


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ValueError, match="is a pickle"):
        model.load(tmp_path)
