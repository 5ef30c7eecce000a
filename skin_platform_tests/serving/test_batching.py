"""Promises of batching: nobody waits for a batch to fill, nobody gets another's answer, nothing is lost at the end."""

import asyncio
import threading

import numpy as np
import pytest

from skin_platform.serving.batching import Batcher, Overloaded
from skin_platform.serving.engine import Engine, Scored
from skin_platform_tests.serving.tiny_bundles import tiny_bundle

COLOURS = [np.full((32, 32, 3), value, np.uint8) for value in range(0, 250, 2)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny_bundle(), threads=2)


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


def test_each_gets_its_own_answer(engine):
    async def crowd(batcher: Batcher) -> list[Scored]:
        return await asyncio.gather(*(batcher.score(pixels) for pixels in COLOURS))

    sizes: list[int] = []
    batcher = Batcher(engine, on_batch=lambda size, seconds: sizes.append(size))
    found = asyncio.run(crowd(batcher))
    batcher.close()
    for scored, pixels in zip(found, COLOURS, strict=True):
        assert list(scored.probabilities.values()) == pytest.approx(
            list(engine.score(pixels[None])[0].probabilities.values()), abs=1e-6)
    assert sum(sizes) == len(COLOURS)
    assert max(sizes) <= engine.batch
    assert batcher.waiting == 0


def test_a_lone_image_goes_at_once_with_the_whole_machine_and_a_crowd_shares_it():
    async def play() -> None:
        first = asyncio.create_task(batcher.score(COLOURS[0]))
        await until(engine.began)
        others = [asyncio.create_task(batcher.score(pixels)) for pixels in COLOURS[1:8]]
        await until(engine.began)
        engine.let.release(10)
        await asyncio.gather(first, *others)

    engine = Held()
    batcher = Batcher(engine)
    asyncio.run(play())
    batcher.close()
    assert engine.passes[0] == (1, True)
    assert sum(size for size, _ in engine.passes) == 8
    assert not engine.passes[1][1]


def test_several_images_of_one_request_come_back_in_order(engine):
    batcher = Batcher(engine)
    found = asyncio.run(batcher.score_many(COLOURS[:10]))
    batcher.close()
    expected = engine.score(np.stack(COLOURS[:10]))
    assert [list(scored.probabilities) for scored in found] == [list(scored.probabilities) for scored in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert list(mine.probabilities.values()) == pytest.approx(list(theirs.probabilities.values()), abs=1e-6)
    assert asyncio.run(Batcher(engine).score_many([])) == []


def test_too_many_are_told_to_come_again_and_those_who_wait_are_answered():
    async def play() -> None:
        first = asyncio.create_task(batcher.score(COLOURS[0]))
        await until(engine.began)
        second = asyncio.create_task(batcher.score_many(COLOURS[:3]))
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        with pytest.raises(Overloaded, match="4 images wait"):
            await batcher.score(COLOURS[1])
        engine.let.release(10)
        await asyncio.gather(first, second)
        assert (await batcher.score(COLOURS[1])).probabilities

    engine = Held(1)
    batcher = Batcher(engine, max_waiting=4)
    asyncio.run(play())
    batcher.close()


def test_the_end_answers_what_waits_and_takes_nothing_more():
    async def play() -> list[Scored]:
        tasks = [asyncio.create_task(batcher.score(pixels)) for pixels in COLOURS[:9]]
        await until(engine.began)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        engine.let.release(20)
        found = await asyncio.gather(*tasks)
        await closing
        with pytest.raises(Overloaded, match="replaced"):
            await batcher.score(COLOURS[0])
        return found

    engine = Held()
    batcher = Batcher(engine)
    assert len(asyncio.run(play())) == 9
    assert not [thread for thread in batcher._lanes if thread.is_alive()]
    batcher.close()


def test_a_pass_that_fails_fails_those_in_it_and_no_other(engine):
    async def play() -> list[Scored | BaseException]:
        odd = np.zeros((7, 7, 3), np.uint8)
        first = await asyncio.gather(batcher.score(odd), return_exceptions=True)
        return [*first, await batcher.score(COLOURS[0])]

    batcher = Batcher(engine)
    broken, sound = asyncio.run(play())
    batcher.close()
    assert isinstance(broken, Exception)
    assert isinstance(sound, Scored)


def test_who_hangs_up_disturbs_nobody():
    async def play() -> Scored:
        gone = asyncio.create_task(batcher.score(COLOURS[0]))
        await until(engine.began)
        gone.cancel()
        engine.let.release(10)
        return await batcher.score(COLOURS[1])

    engine = Held(1)
    batcher = Batcher(engine)
    assert isinstance(asyncio.run(play()), Scored)
    batcher.close()
    assert batcher.waiting == 0


def test_two_event_loops_may_ask_at_once(engine):
    batcher, found = Batcher(engine), []

    async def several() -> None:
        found.extend(await asyncio.gather(*(batcher.score(pixels) for pixels in COLOURS[:20])))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert len(found) == 60
