"""The model behind an address: what may be asked, what is answered, and how a request is refused.

uvicorn --factory src.serving.app:create --port 8000
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from src.serving import batching, model, watch
from starlette.exceptions import HTTPException

PATIENCE = 60  # seconds until a question is given up: the model hangs
AGAIN = {"Retry-After": "1"}


# <gap day19>
# LIMITS: dict = {}  # for a text: 1 to 2,000 characters, and not only blanks
# <solution>
LIMITS: dict = {"min_length": 1, "max_length": 2000, "pattern": r"\S"}
# </solution>


class Question(BaseModel):
    """One text; no other key, and nothing that is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str = Field(**LIMITS, examples=["A film with a heart."])


class Questions(BaseModel):
    """Up to 32 texts in one request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    questions: list[Question] = Field(
        min_length=1, max_length=32, examples=[[{"text": "A bore."}, {"text": "Fun!"}]]
    )


class Answer(BaseModel):
    """A label, and how sure the model is of it, from 0 to 1."""

    label: str
    chance: float = Field(ge=0, le=1)


class Answers(BaseModel):
    """One answer for each question, in their order."""

    answers: list[Answer]


class Refusal(BaseModel):
    """What is wrong, in one sentence, and the id under which the log knows the request."""

    error: str
    request_id: str


# <gap day19>
# def explain(problem: dict) -> str:
#     """Say what is wrong with a request, in one line, and nothing of what was sent.
#
#     `problem` is one of Pydantic's: {"loc": ("body", "questions", 2, "text"), "type": …, "msg": …, "input": …}.
#     """
#     ...
# <solution>
def explain(problem: dict) -> str:
    """Say what is wrong with a request, in one line, and nothing of what was sent."""
    if problem["type"] == "extra_forbidden":  # the key is the caller's own word
        return "There is a key that nobody reads. /openapi.json tells which ones are read."
    if problem["type"] == "json_invalid":
        return "The body is no JSON."
    place = ".".join(str(part) for part in problem["loc"][1:]) or "The body"
    return f"{place}: {problem['msg']}."


# </solution>

REFUSED = {
    422: {"model": Refusal, "description": "The request is not what the schema says."},
    503: {"model": Refusal, "description": "No room. Try again after the seconds in Retry-After."},
}


def create(answer: Callable[[list[str]], list[model.Answer]] | None = None) -> FastAPI:
    """The service. It opens the exported folder that MODEL_FOLDER names, unless it is given something that answers."""
    folder = Path(os.environ.get("MODEL_FOLDER", model.FOLDER))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        speak()
        answers = answer or model.load(folder)
        answers(["The first call is slow, so it is made before anybody asks."])
        app.state.batcher = batcher = batching.Batcher(answers)
        app.state.card = {} if answer else model.card(folder)
        batcher.sizes = watch.TOGETHER.observe
        worker = asyncio.create_task(batcher.work())
        worker.add_done_callback(batcher.ended)
        yield  # whoever stops us has first waited for the open requests
        worker.cancel()
        batcher.thread.shutdown()

    # Without the two pages that FastAPI can show: they would fetch scripts from elsewhere.
    app = FastAPI(title="A fine-tuned classifier", lifespan=lifespan, docs_url=None, redoc_url=None)
    polite(app)
    _questions(app)
    _looks(app)
    return app


def polite(app: FastAPI) -> None:
    """One form for whatever is refused, an id and a line in the log for each request, and the counters."""
    app.add_middleware(watch.Door)
    app.add_exception_handler(RequestValidationError, _not_as_asked)
    app.add_exception_handler(HTTPException, _refused)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive? Asks nothing of the model. A program that fails to answer is started again."""
        return {"status": "alive"}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters and clocks, as Prometheus reads them."""
        return Response(generate_latest(watch.METRICS), media_type=CONTENT_TYPE_LATEST)


def _questions(app: FastAPI) -> None:
    """What the model is for."""

    async def asked(request: Request, texts: list[str]) -> list[model.Answer]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await request.app.state.batcher.ask(texts)
        except batching.Full:
            raise HTTPException(503, "Too many are waiting. Try again in a second.", AGAIN) from None
        except TimeoutError:
            raise HTTPException(503, "The model did not answer in time. Try again.", AGAIN) from None

    @app.post("/predict", responses=REFUSED)
    async def predict(question: Question, request: Request) -> Answer:
        """The label of one text."""
        return Answer(**(await asked(request, [question.text]))[0])

    @app.post("/predict/batch", responses=REFUSED)
    async def predict_batch(questions: Questions, request: Request) -> Answers:
        """The labels of up to 32 texts, in their order; all of them are answered, or none."""
        found = await asked(request, [question.text for question in questions.questions])
        return Answers(answers=[Answer(**one) for one in found])


def _looks(app: FastAPI) -> None:
    """What those want to know who run it."""

    @app.get("/ready", responses={503: REFUSED[503]})
    async def ready(request: Request) -> dict[str, str]:
        """Room for more? While there is none, requests should go elsewhere; nobody is started again."""
        if request.app.state.batcher.room() < 1:
            raise HTTPException(503, "Too many are waiting.", AGAIN)
        return {"status": "ready"}

    @app.get("/model")
    async def which(request: Request) -> dict:
        """Which model answers, and what it was made from."""
        return request.app.state.card


async def _not_as_asked(request: Request, error: RequestValidationError) -> JSONResponse:
    return watch.refusal(request.scope, 422, explain(error.errors()[0]))


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    return watch.refusal(request.scope, error.status_code, str(error.detail), error.headers)


def speak() -> None:
    """Let the service's own lines through; libraries speak when something is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    watch.log.setLevel(logging.INFO)
