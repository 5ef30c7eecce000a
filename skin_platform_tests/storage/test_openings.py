"""Promises of openings: every look at the locked images is kept, counted and never overwritten."""

import pytest

from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.openings import Opening, Openings


@pytest.fixture
def openings(tmp_path):
    store = ObjectStore(tmp_path)
    store.create_bucket("data")
    return Openings(store, "data")


def _opening(dataset="d1", locked="l1", checkpoint="c1", at="2026-05-01T10:00:00+00:00"):
    return Opening(dataset, "test", locked, checkpoint, "run", "evaluation", at)


def test_the_same_checkpoint_twice_at_the_same_moment_counts_twice(openings):
    assert (openings.record(_opening()), openings.record(_opening())) == (1, 2)
    assert openings.all() == [_opening(), _opening()]


def test_a_locked_split_that_grew_was_opened_before(openings):
    first, grown = _opening(), _opening(dataset="d2", locked="l2", at="2026-05-02T10:00:00+00:00")
    elsewhere = _opening(dataset="d3", locked="l1", at="2026-05-03T10:00:00+00:00")
    assert [openings.record(item) for item in (elsewhere, grown, first)] == [1, 2, 3]
    assert openings.all() == [first, grown, elsewhere]
    assert openings.of_images("l1") == [first, elsewhere]
    assert (openings.of_images("l2"), openings.of_images(""), openings.of_images("none")) == ([grown], [], [])


def test_an_opening_says_what_is_opened(openings):
    with pytest.raises(ValueError, match="digest of the locked images"):
        openings.record(_opening(locked=""))
    assert openings.all() == []
