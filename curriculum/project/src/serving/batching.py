"""Questions that arrive together are answered together; one that finds no room is told so at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

MOST = 16  # texts in one call of the model
WAITING = 64  # texts that may wait for their turn, at most
SOON = 5.0  # seconds: who would have to wait longer is told to come back instead


class Full(Exception):
    """There is no room in the queue."""


# <gap day19>
# def together(first: tuple, queue: asyncio.Queue, most: int) -> list:
#     """The batch that begins with `first`: it, and what else is waiting at this moment, `most` in all."""
#     ...
# <solution>
def together(first: tuple, queue: asyncio.Queue, most: int) -> list:
    """The batch that begins with `first`: it, and what else is waiting at this moment, `most` in all."""
    batch = [first]
    while len(batch) < most and not queue.empty():
        batch.append(queue.get_nowait())
    return batch


# </solution>


class Batcher:
    """One thread with the model in it, and in front of it a queue that has an end."""

    def __init__(self, answer: Callable[[list[str]], list], most: int = MOST, waiting: int = WAITING):
        self.answer, self.most = answer, most
        self.queue: asyncio.Queue = asyncio.Queue(waiting)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.each = 0.0  # seconds that a text has taken lately
        self.sizes: Callable[[int], None] = lambda size: None  # is told the size of each batch

    def ended(self, worker: asyncio.Task) -> None:
        """Take nothing more once the worker has ended: nobody would answer it."""
        self.queue = asyncio.Queue(1)
        self.queue.put_nowait(None)
        if not worker.cancelled():
            worker.get_loop().call_exception_handler(
                {"message": "The worker has ended", "exception": worker.exception()}
            )

    def room(self) -> int:
        """How many more texts may come: as many as are answered soon, and never more than the queue holds."""
        most = self.queue.maxsize if not self.each else min(self.queue.maxsize, int(SOON / self.each))
        return max(most, 1) - self.queue.qsize()

    async def ask(self, texts: list[str]) -> list:
        """The answers to some texts, in their order. Full, and nothing is done, where not all of them find room."""
        free = self.queue.maxsize - self.queue.qsize()
        if len(texts) > (
            self.room() if self.queue.qsize() else free
        ):  # whoever comes to an empty queue is taken
            raise Full
        loop = asyncio.get_running_loop()
        waiting = [(text, loop.create_future()) for text in texts]
        for entry in waiting:
            self.queue.put_nowait(entry)
        return list(await asyncio.gather(*(future for _, future in waiting)))

    async def work(self) -> None:
        """Answer batch after batch. One that fails tells those who asked; the next is taken all the same."""
        while True:
            batch = together(await self.queue.get(), self.queue, self.most)
            batch = [entry for entry in batch if not entry[1].done()]
            if not batch:  # whoever asked has gone
                continue
            self.sizes(len(batch))
            for (_, future), found in zip(batch, await self._answers(batch), strict=True):
                if future.done():
                    continue
                if isinstance(found, Exception):
                    future.set_exception(found)
                else:
                    future.set_result(found)

    async def _answers(self, batch: list) -> list:
        texts, began = [text for text, _ in batch], time.monotonic()
        try:
            found = list(await asyncio.get_running_loop().run_in_executor(self.thread, self.answer, texts))
            if len(found) != len(texts):
                raise RuntimeError("The model did not give one answer for each text.")
        except Exception as error:
            found = [error] * len(texts)
        took = (time.monotonic() - began) / len(texts)
        self.each = 0.7 * self.each + 0.3 * took if self.each else took
        return found
