"""Waiting: an image on its way through the lanes, and its answer on the way back to the event loop that waits for it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from skin_platform.core.images import Limits, Refusal
from skin_platform.serving.engine import Scored
from skin_platform.serving.intake import Taken

logger = logging.getLogger("bentoml.skin_platform")


@dataclass(frozen=True)
class Answered:
    """What became of one image: what was taken of it and its scores, or its refusal; seconds of decoding."""

    outcome: tuple[Taken, Scored] | Refusal
    decode_seconds: float


class Waiting:
    """An image that waits, the key that asked (None: without one), and the future of its answer."""

    def __init__(self, data: bytes, limits: Limits, loop: asyncio.AbstractEventLoop, owner: str | None = None) -> None:
        self.data, self.limits, self.loop, self.owner = data, limits, loop, owner
        self.answer: asyncio.Future[Answered] = loop.create_future()

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for it any more: who asked has hung up, or has waited long enough."""
        return self.answer.done()

    def settle(self, answer: Answered | Exception) -> None:
        """Answer, in the loop's thread, unless whoever asked has gone."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


Settled = tuple[Waiting, Answered | Exception]


def hand_over(settled: Sequence[Settled]) -> None:
    """Give each answer to the loop that waits for it; one wake-up for all that wait in the same loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Settled]] = {}
    for item, answer in settled:
        by_loop.setdefault(item.loop, []).append((item, answer))
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, own)
        except RuntimeError:  # the loop was closed: nobody waits there any more
            logger.info("%d answers came after their loop had ended", len(own))


def _settle(settled: list[Settled]) -> None:
    for item, answer in settled:
        item.settle(answer)
