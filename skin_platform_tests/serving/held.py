"""An engine that computes when it is told to, so that what waits meanwhile can be looked at."""

import asyncio
import threading

from skin_platform.serving.engine import Engine, Scored
from skin_platform_tests.serving.tiny_bundles import tiny_bundle


class Held(Engine):
    """An engine whose passes begin once they are let; it notes of each how many images and whether alone."""

    def __init__(self, lanes: int = 2) -> None:
        super().__init__(tiny_bundle(), threads=lanes)
        self.let, self.began = threading.Semaphore(0), threading.Semaphore(0)
        self.passes: list[tuple[int, bool]] = []

    def score(self, pixels, *, is_alone: bool = True) -> list[Scored]:
        self.passes.append((len(pixels), is_alone))
        self.began.release()
        self.let.acquire()
        return super().score(pixels, is_alone=is_alone)


async def until(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, True, 30)
