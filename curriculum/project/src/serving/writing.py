"""Answers word by word, from one base with several adapters: each request chooses its own.

ADAPTERS=films=models/adapter uvicorn --factory src.serving.writing:create --port 8000
"""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from src.serving import app as service
from src.serving import model
from starlette.concurrency import iterate_in_threadpool
from starlette.exceptions import HTTPException

WAITING = 8  # requests that may wait for their turn
BASE = "none"  # the adapter's name for the base model as it was


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, max_length=4000, pattern=r"\S")


class Conversation(BaseModel):
    """What was said so far, which adapter answers, and with how many tokens at most."""

    model_config = ConfigDict(extra="forbid", strict=True)
    messages: list[Message] = Field(
        min_length=1, max_length=20, examples=[[{"role": "user", "content": "Who are you?"}]]
    )
    adapter: str = Field(default=BASE, max_length=64, examples=[BASE])
    most: int = Field(default=64, ge=1, le=256, examples=[16])


class Writer:
    """One base and its adapters. Which one is switched on belongs to the whole model, so one answer at a time."""

    def __init__(self, adapters: dict[str, Path]):
        import torch
        from peft import AutoPeftModelForCausalLM
        from transformers import AutoTokenizer

        for folder in adapters.values():
            model.refuse_pickles(folder)
        (name, folder), *others = adapters.items()
        self.names = [BASE, *adapters]
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoPeftModelForCausalLM.from_pretrained(
            folder, adapter_name=name, dtype=torch.float32
        ).eval()
        for name, folder in others:
            self.model.load_adapter(folder, adapter_name=name)

    def pieces(self, messages: list[dict[str, str]], adapter: str, most: int) -> Iterator[str]:
        """The answer as it is written; whoever closes this iterator stops the model at its next token."""
        from transformers import TextIteratorStreamer

        shape = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        ids = self.tokenizer.apply_chat_template(messages, **shape)
        stop, failed = threading.Event(), []
        streamer = TextIteratorStreamer(
            self.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=60
        )
        options = {"max_new_tokens": most, "do_sample": False, "streamer": streamer}
        options["stopping_criteria"] = [lambda ids, scores, **_: stop.is_set()]
        thread = threading.Thread(target=self._write, args=({**ids, **options}, adapter, failed))
        thread.start()
        try:
            yield from streamer
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    def _write(self, options: dict[str, Any], adapter: str, failed: list[Exception]) -> None:
        import torch

        try:
            with torch.inference_mode():
                if adapter == BASE:
                    with self.model.disable_adapter():
                        self.model.generate(**options)
                else:
                    self.model.set_adapter(adapter)
                    self.model.generate(**options)
        except Exception as error:
            failed.append(error)
            options["streamer"].end()


def named() -> dict[str, Path]:
    """The adapters of the environment: ADAPTERS=films=models/adapter,news=models/other."""
    pairs = os.environ.get("ADAPTERS", "mine=models/adapter").split(",")
    return {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in pairs)}


class Turn:
    """One answer at a time, and a few who wait."""

    def __init__(self) -> None:
        self.lock, self.waiting = asyncio.Lock(), 0

    async def events(self, writer: Writer, asked: Conversation) -> AsyncIterator[str]:
        """The answer's pieces as server-sent events, when it is their turn."""
        try:
            async with self.lock:
                messages = [message.model_dump() for message in asked.messages]
                pieces = writer.pieces(messages, asked.adapter, asked.most)
                try:
                    async for piece in iterate_in_threadpool(pieces):
                        yield f"data: {json.dumps({'text': piece})}\n\n"
                    yield "event: end\ndata: {}\n\n"
                finally:  # whoever asked may have gone; the model stops before the next one's turn
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(pieces.close)
        finally:
            self.waiting -= 1


def create(writer: Writer | None = None) -> FastAPI:
    """The service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.speak()
        app.state.writer, app.state.turn = writer or Writer(named()), Turn()
        yield

    app = FastAPI(title="A fine-tuned writer", lifespan=lifespan, docs_url=None, redoc_url=None)
    service.polite(app)

    @app.post("/write", responses=service.REFUSED, response_class=StreamingResponse)
    async def write(asked: Conversation, request: Request) -> StreamingResponse:
        """An answer as it is written: server-sent events with a piece of text each, and one named `end`."""
        writer, turn = request.app.state.writer, request.app.state.turn
        if asked.adapter not in writer.names:
            raise HTTPException(422, f"adapter: One of {', '.join(writer.names)}.")
        if turn.waiting > WAITING:
            raise HTTPException(503, "Too many are waiting. Try again in a second.", service.AGAIN)
        turn.waiting += 1
        return StreamingResponse(turn.events(writer, asked), media_type="text/event-stream")

    @app.get("/adapters")
    async def adapters(request: Request) -> list[str]:
        """The adapters that a request may name."""
        return request.app.state.writer.names

    return app
