"""Promises of batching: nobody waits for a batch to fill, nobody gets another's answer, nothing is lost at the end."""

import asyncio
import hashlib
import threading

import pytest

from skin_platform.core.images import Limits, Refusal
from skin_platform.serving import batching
from skin_platform.serving.batching import Batcher, Overloaded
from skin_platform.serving.engine import Engine, Scored
from skin_platform.serving.intake import take
from skin_platform.serving.waiting import Answered
from skin_platform_tests.serving.held import Held, until
from skin_platform_tests.serving.tiny_bundles import picture, tiny_bundle

PICTURES = [picture(seed) for seed in range(60)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny_bundle(), threads=2)


async def one(batcher: Batcher, data: bytes) -> Answered:
    return (await batcher.answer([data], Limits()))[0]


def probabilities(answered: Answered) -> list[float]:
    assert not isinstance(answered.outcome, Refusal)
    return list(answered.outcome[1].probabilities.values())


def test_each_gets_its_own_answer(engine):
    async def crowd(batcher: Batcher) -> list[Answered]:
        return await asyncio.gather(*(one(batcher, data) for data in PICTURES))

    sizes: list[int] = []
    batcher = Batcher(engine, on_batch=lambda size, seconds: sizes.append(size))
    found = asyncio.run(crowd(batcher))
    batcher.close()
    for answered, expected in zip(found, engine.probabilities(PICTURES), strict=True):
        assert probabilities(answered) == pytest.approx(list(expected), abs=1e-6)
    assert sum(sizes) == len(PICTURES)
    assert max(sizes) <= engine.batch
    assert batcher.waiting == 0


def test_a_lone_image_has_the_whole_machine_and_a_crowd_shares_it():
    async def play() -> None:
        first = asyncio.create_task(one(batcher, PICTURES[0]))
        await until(engine.began)
        others = [asyncio.create_task(one(batcher, data)) for data in PICTURES[1:8]]
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


def test_several_images_of_one_request_come_back_in_order_with_what_is_refused(engine):
    batcher = Batcher(engine)
    found = asyncio.run(batcher.answer([*PICTURES[:5], b"no picture", *PICTURES[5:10]], Limits()))
    assert asyncio.run(batcher.answer([b""], Limits()))[0].outcome.kind == "empty"
    assert asyncio.run(batcher.answer([], Limits())) == []
    batcher.close()
    refused = found.pop(5)
    assert refused.outcome.kind == "not_an_image"
    for answered, data, expected in zip(found, PICTURES, engine.probabilities(PICTURES[:10]), strict=False):
        assert probabilities(answered) == pytest.approx(list(expected), abs=1e-6)
        assert answered.outcome[0].delivered_sha256 == hashlib.sha256(data).hexdigest()


def test_too_many_are_told_to_come_again_and_those_who_wait_are_answered():
    async def play() -> None:
        first = asyncio.create_task(one(batcher, PICTURES[0]))
        await until(engine.began)
        second = asyncio.create_task(batcher.answer(PICTURES[:3], Limits()))
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        with pytest.raises(Overloaded, match="4 images wait"):
            await one(batcher, PICTURES[1])
        engine.let.release(10)
        await asyncio.gather(first, second)
        assert probabilities(await one(batcher, PICTURES[1]))

    engine = Held(1)
    batcher = Batcher(engine, max_waiting=4)
    asyncio.run(play())
    batcher.close()


def test_the_end_answers_what_waits_and_takes_nothing_more():
    async def play() -> list[Answered]:
        tasks = [asyncio.create_task(one(batcher, data)) for data in PICTURES[:9]]
        await until(engine.began)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        engine.let.release(20)
        found = await asyncio.gather(*tasks)
        await closing
        with pytest.raises(Overloaded, match="replaced"):
            await one(batcher, PICTURES[0])
        return found

    engine = Held()
    batcher = Batcher(engine)
    assert len(asyncio.run(play())) == 9
    assert not [thread for thread in batcher._lanes if thread.is_alive()]
    batcher.close()


def test_a_pass_that_fails_fails_those_in_it_and_no_other():
    class Failing(Held):
        def score(self, pixels, *, is_alone: bool = True) -> list[Scored]:
            if not self.passes:
                self.passes.append((len(pixels), is_alone))
                raise RuntimeError("out of memory")
            return Engine.score(self, pixels, is_alone=is_alone)

    async def play() -> Answered:
        with pytest.raises(RuntimeError, match="out of memory"):
            await one(batcher, PICTURES[0])
        return await one(batcher, PICTURES[1])

    batcher = Batcher(Failing())
    assert probabilities(asyncio.run(play()))
    batcher.close()
    assert batcher.waiting == 0


def test_what_nobody_waits_for_any_more_is_not_computed():
    async def play() -> None:
        running = asyncio.create_task(one(batcher, PICTURES[0]))
        await until(engine.began)
        gone = [asyncio.create_task(one(batcher, data)) for data in PICTURES[1:4]]
        await asyncio.sleep(0)
        for task in (running, *gone):
            task.cancel()
        await asyncio.sleep(0)
        engine.let.release(10)
        assert probabilities(await one(batcher, PICTURES[4]))

    engine = Held(1)
    batcher = Batcher(engine)
    asyncio.run(play())
    batcher.close()
    assert sum(size for size, _ in engine.passes) == 2
    assert batcher.waiting == 0


def test_two_event_loops_may_ask_at_once(engine):
    batcher, found = Batcher(engine), []

    async def several() -> None:
        found.extend(await asyncio.gather(*(one(batcher, data) for data in PICTURES[:20])))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert len(found) == 60


def test_who_hangs_up_while_his_pass_decodes_costs_it_no_further_image(monkeypatch):
    decoded = []

    def take_and_leave(data, *arguments):
        """As ``take``; while the second image of all is decoded, those who asked for the others hang up."""
        decoded.append(data)
        if len(decoded) == 2:
            asyncio.run_coroutine_threadsafe(leave(), loop[0]).result(30)
        return take(data, *arguments)

    async def leave() -> None:
        for task in others[1:]:
            task.cancel()
        await asyncio.sleep(0)

    async def play() -> None:
        loop.append(asyncio.get_running_loop())
        first = asyncio.create_task(one(batcher, PICTURES[0]))
        await until(engine.began)
        others.extend(asyncio.create_task(one(batcher, data)) for data in PICTURES[1:4])
        await asyncio.sleep(0)
        engine.let.release(10)
        await first
        assert probabilities(await others[0])

    monkeypatch.setattr(batching, "take", take_and_leave)
    loop, others = [], []
    engine = Held(1)
    batcher = Batcher(engine)
    asyncio.run(play())
    batcher.close()
    assert decoded == PICTURES[:2]
    assert batcher.waiting == 0


def test_a_crowd_of_one_key_neither_shuts_another_out_nor_stands_before_it():
    async def play() -> None:
        first = asyncio.create_task(one(batcher, PICTURES[0]))
        await until(engine.began)
        crowd = [asyncio.create_task(batcher.answer([data], Limits(), "crowd")) for data in PICTURES[:60]]
        await asyncio.sleep(0)
        refused = [task for task in crowd if task.done()]
        assert len(refused) == 60 - 55
        for told in await asyncio.gather(*refused, return_exceptions=True):
            assert isinstance(told, Overloaded)
            assert "55 images of the key 'crowd' wait already" in str(told)
        alone = asyncio.create_task(batcher.answer([PICTURES[1]], Limits(), "alone"))
        await asyncio.sleep(0)
        engine.let.release(3)  # the one that runs, one of the crowd, the one alone
        assert probabilities((await asyncio.wait_for(alone, 30))[0])
        engine.let.release(100)
        await asyncio.gather(first, *(set(crowd) - set(refused)))

    engine = Held(1)
    batcher = Batcher(engine, max_batch=1, max_waiting=64)
    asyncio.run(play())
    batcher.close()
    assert batcher.waiting == 0
