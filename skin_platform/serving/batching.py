"""Batching: images of requests that arrive together are computed together, on one thread, without waiting for each other.

Here: natural batching: the thread takes all that waits (up to a bound) as soon as it is free, so a lone request is never held
back and a crowd shares a pass. Not here: computing (``serving.engine``), what is answered when too many wait (the routes).
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from skin_platform.serving.engine import Engine, Scored

logger = logging.getLogger("bentoml.skin_platform")


class Overloaded(Exception):  # noqa: N818  # a state of the service, which the caller answers with "later"
    """More images wait than may, or the batcher is being closed: ask again later."""


class Batcher:
    """One inference thread before ``engine``. ``score`` may be awaited from one event loop or several.

    At most ``max_batch`` images a pass and ``max_waiting`` images that wait; ``on_batch`` is called, on the thread, with the
    size of each pass and its seconds.
    """

    def __init__(self, engine: Engine, max_batch: int = 32, max_waiting: int = 256,
                 on_batch: Callable[[int, float], None] | None = None) -> None:
        self._engine, self._max_batch, self._max_waiting, self._on_batch = engine, max_batch, max_waiting, on_batch
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock, self._waiting, self._is_closed = threading.Lock(), 0, False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that were handed in and are not answered yet."""
        return self._waiting

    async def score(self, pixels: NDArray[np.uint8]) -> Scored:
        """The answer for one image's pixels (S, S, 3). Raises ``Overloaded``, and what the engine raises."""
        return (await self.score_many([pixels]))[0]

    async def score_many(self, images: Sequence[NDArray[np.uint8]]) -> list[Scored]:
        """The answers for several images, in order; all are taken or none. Raises as ``score`` does."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(pixels, loop) for pixels in images]
        with self._lock:
            if self._is_closed or self._waiting + len(waiting) > self._max_waiting:
                raise Overloaded(f"{self._waiting} images wait already (at most {self._max_waiting} may)")
            self._waiting += len(waiting)
            for item in waiting:
                self._queue.put(item)
        return list(await asyncio.gather(*(item.answer for item in waiting)))

    def close(self, timeout: float = 30.0) -> None:
        """Take nothing more, answer what waits, end the thread. May be called twice."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, is_last = [first], False
            while len(batch) < self._max_batch and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    is_last = True
                    break
                batch.append(item)
            self._answer(batch)
            if is_last:
                return

    def _answer(self, batch: "list[_Waiting]") -> None:
        started = time.perf_counter()
        try:
            answers: list[Scored] | Exception = self._engine.score(np.stack([item.pixels for item in batch]))
        except Exception as error:  # whatever a runtime raises belongs to those who asked; the thread must go on
            logger.exception("a batch of %d images failed", len(batch))
            answers = error
        with self._lock:
            self._waiting -= len(batch)
        for at, item in enumerate(batch):
            item.settle(answers if isinstance(answers, Exception) else answers[at])
        if self._on_batch is not None:
            self._on_batch(len(batch), time.perf_counter() - started)


class _Waiting:
    """An image that waits, and the future of its answer."""

    def __init__(self, pixels: NDArray[np.uint8], loop: asyncio.AbstractEventLoop) -> None:
        self.pixels, self._loop = pixels, loop
        self.answer: asyncio.Future[Scored] = loop.create_future()

    def settle(self, answer: Scored | Exception) -> None:
        """Hand the answer over to the loop that waits for it, if it still runs."""
        try:
            self._loop.call_soon_threadsafe(self._settle, answer)
        except RuntimeError:  # the loop was closed: nobody waits any more
            logger.info("an answer came after its request had ended")

    def _settle(self, answer: Scored | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)
