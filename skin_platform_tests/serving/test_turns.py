"""Promises of the queue: keys take turns, and none of them holds every place."""

import asyncio

import pytest

from skin_platform.core.images import Limits
from skin_platform.serving.turns import Turns
from skin_platform.serving.waiting import Waiting


@pytest.fixture
def images():
    loop = asyncio.new_event_loop()
    yield lambda owner, count: [Waiting(b"", Limits(), loop, owner) for _ in range(count)]
    loop.close()


def test_each_key_has_its_turn_however_many_images_another_brought_before(images):
    turns = Turns(256)
    turns.put("crowd", images("crowd", 5))
    turns.put("a", images("a", 1))
    turns.put("b", images("b", 3))
    order = [turns.next().owner for _ in range(3)]
    turns.put("a", images("a", 1))
    order += [turns.next().owner for _ in range(turns.waiting)]
    assert order == ["crowd", "a", "b", "crowd", "b", "a", "crowd", "b", "crowd", "crowd"]
    assert turns.taken == 10


def test_what_one_key_asks_stays_in_order(images):
    turns, brought = Turns(256), images("a", 9)
    for image in brought:
        turns.put("a", [image])
    assert [turns.next() for _ in brought] == brought


def test_a_key_alone_leaves_an_eighth_and_without_keys_there_is_no_share():
    for owner, most in (("a", 224), (None, 256)):
        turns = Turns(256)
        assert turns.refusal(owner, most) is None
        assert turns.refusal(owner, most + 1) is not None


@pytest.mark.parametrize(("keys", "share"), [(2, 7 / 15), (3, 7 / 22), (10, 7 / 71)])
def test_keys_that_all_want_more_come_to_the_same_share(images, keys, share):
    turns, names = Turns(256), [f"key {number}" for number in range(keys)]
    turns.put(names[0], images(names[0], 224))
    counts = dict.fromkeys(names, 0) | {names[0]: 224}
    for _ in range(2000):  # each asks for as much as it gets, one image is answered at a time
        for name in names:
            while turns.refusal(name, 1) is None:
                turns.put(name, images(name, 1))
                counts[name] += 1
        image = turns.next()
        turns.leave([image])
        counts[image.owner] -= 1
    assert sum(counts.values()) == turns.taken < 256
    assert all(abs(count - 256 * share) <= 8 for count in counts.values()), counts


def test_a_batch_comes_in_whole_or_not_at_all_and_places_come_back(images):
    turns = Turns(16)
    turns.put("a", images("a", 14))
    assert turns.refusal("b", 1) is None
    assert "0 images of the key 'b'" in turns.refusal("b", 2)
    assert turns.refusal("b", 3) == "14 images wait already, and 16 may"
    turns.leave([turns.next() for _ in range(14)])
    assert turns.refusal("b", 14) is None
    assert (turns.taken, turns.waiting) == (0, 0)
