"""Batching: images of requests that arrive together are computed together, without waiting for each other.

Here: natural batching: whichever lane of the engine is free takes what waits, shared out among the free lanes, decodes and
computes it, so that a lone request is never held back, and has the whole machine, while a crowd fills the lanes. A lane does an
image's whole work: threads for decoding beside them would take turns with them on the same cores, and each hand-over from
thread to thread costs a busy machine milliseconds. Not here: decoding (``serving.intake``), computing (``serving.engine``),
whose turn it is (``serving.turns``), how an answer gets back to who asked (``serving.waiting``).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.images import Limits, Refusal
from skin_platform.serving.engine import Engine, Scored
from skin_platform.serving.intake import Taken, take
from skin_platform.serving.turns import Turns
from skin_platform.serving.waiting import Answered, Settled, Waiting, hand_over

logger = logging.getLogger("bentoml.skin_platform")


class Overloaded(Exception):  # noqa: N818  # a state of the service, which the caller answers with "later"
    """More images wait than may, or the batcher is being closed: ask again later."""


class Batcher:
    """The engine's lanes, each a thread, behind one queue. ``answer`` may be awaited from several event loops.

    At most ``max_batch`` images a pass (0: as many as suit the engine) and ``max_waiting`` images that wait; ``on_batch`` is
    called, in the lane, with the size of each pass and its seconds.
    """

    def __init__(self, engine: Engine, max_batch: int = 0, max_waiting: int = 256,
                 on_batch: Callable[[int, float], None] | None = None) -> None:
        self._engine, self._max_batch, self._on_batch = engine, max_batch or engine.batch, on_batch
        self._turns, self._changed = Turns(max_waiting), threading.Condition()
        self._running, self._is_closed = 0, False
        self._lanes = [threading.Thread(target=self._work, name=f"inference-{lane}", daemon=True)
                       for lane in range(engine.lanes)]
        for thread in self._lanes:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether all its lanes run."""
        return all(lane.is_alive() for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Images that were handed in and are not answered yet."""
        return self._turns.taken

    async def answer(self, images: Sequence[bytes], limits: Limits, owner: str | None = None) -> list[Answered]:
        """What becomes of encoded images that the key ``owner`` asks about, in order; all are let in or none.

        Raises ``Overloaded``, and what the engine raises.
        """
        loop = asyncio.get_running_loop()
        waiting = [Waiting(data, limits, loop, owner) for data in images]
        with self._changed:
            if self._is_closed:
                raise Overloaded("the model that would have answered is being replaced")
            if (why := self._turns.refusal(owner, len(waiting))) is not None:
                raise Overloaded(why)
            self._turns.put(owner, waiting)
            self._changed.notify(len(waiting))
        return await asyncio.gather(*(item.answer for item in waiting))

    def close(self, timeout: float = 8.0) -> None:
        """Take nothing more, answer what waits, end the lanes, each within ``timeout`` seconds. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._lanes:
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._turns.waiting:
                    if self._is_closed:
                        return
                    self._changed.wait()
                batch = self._share()
                self._running += 1
            try:
                settled = self._answers(batch)
            except Exception as error:  # whatever a runtime raises belongs to those who asked; the lane must go on
                logger.exception("a pass of %d images failed", len(batch))
                settled = [(item, error) for item in batch]
            with self._changed:
                self._running -= 1
                self._turns.leave(batch)
            hand_over(settled)

    def _share(self) -> list[Waiting]:
        """What this lane takes: the queue divided among the free lanes, at most a pass; not what nobody waits for any more."""
        free, before = len(self._lanes) - self._running, self._turns.waiting
        batch: list[Waiting] = []
        while self._turns.waiting and len(batch) < min(self._max_batch, -(-before // free)):
            item = self._turns.next()
            if item.is_given_up:
                self._turns.leave([item])
            else:
                batch.append(item)
        return batch

    def _answers(self, batch: list[Waiting]) -> list[Settled]:
        """The answers of those who still wait when their image's turn to be decoded has come."""
        answered, taken, seconds = [], [], []
        for item in batch:
            if item.is_given_up:  # a pass of large images takes seconds
                continue
            started = time.perf_counter()
            taken.append(take(item.data, item.limits, self._engine.bundle.preprocessing))
            seconds.append(time.perf_counter() - started)
            answered.append(item)
        pixels = [found.pixels for found in taken if isinstance(found, Taken)]
        scores = iter(self._score(np.stack(pixels)) if pixels else [])
        return [(item, Answered(found if isinstance(found, Refusal) else (found, next(scores)), spent))
                for item, found, spent in zip(answered, taken, seconds, strict=True)]

    def _score(self, pixels: NDArray[np.uint8]) -> list[Scored]:
        with self._changed:
            is_alone = self._running == 1 and not self._turns.waiting
        started = time.perf_counter()
        found = self._engine.score(pixels, is_alone=is_alone)
        if self._on_batch is not None:
            self._on_batch(len(pixels), time.perf_counter() - started)
        return found
