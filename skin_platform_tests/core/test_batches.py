"""Promises of batches: ids, order, digests, and when a file is settled."""

import random
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.batches import (
    Delivery,
    SeenFile,
    check_batch_id,
    first_batch_id,
    in_order,
    is_settled,
    next_batch_id,
    slug,
)

DAY = date(2026, 5, 1)
NOW, SETTLE = 1_000_000, 100
FILES = tuple(SeenFile(f"/in/{name}", 3, 5, 7) for name in ("b.jpg", "a.jpg", "ü.jpg"))
DELIVERY = Delivery("2026-05-01-x", "/in", "2026-05-01T00:00:00+00:00", FILES, ("/in/manifest.csv",))


@pytest.mark.parametrize(("text", "expected"), [
    ("Clinic Süd (2024)", "clinic-sud-2024"), ("  --a__b--  ", "a-b"), ("皮膚", "delivery"), ("", "delivery"),
    ("ÉCOLE", "ecole"),
])
def test_a_slug_is_lower_case_ascii_with_single_hyphens(text, expected):
    assert slug(text) == expected


@given(st.text(max_size=30), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_every_source_gives_a_batch_id_that_fits_and_is_free(source, earlier):
    taken: set[str] = set()
    for _ in range(earlier):
        taken.add(next_batch_id(first_batch_id(DAY, source), taken))
    name = next_batch_id(first_batch_id(DAY, source), taken)
    assert len(taken) == earlier
    assert name not in taken
    assert check_batch_id(name) == name


@pytest.mark.parametrize(("taken", "expected"), [
    ([], "2026-05-01-x"), (["2026-05-01-x"], "2026-05-01-x-2"), (["2026-05-01-x", "2026-05-01-x-9"], "2026-05-01-x-10"),
    (["2026-05-01-x", "2026-05-01-x-3", "2026-05-01-y"], "2026-05-01-x-4"), (["2026-05-01-x-north"], "2026-05-01-x"),
])
def test_a_later_batch_of_a_day_has_the_number_after_the_highest(taken, expected):
    assert next_batch_id(first_batch_id(DAY, "x"), taken) == expected


@pytest.mark.parametrize("bad", ["", "x", "2026-05-01", "2026-05-01-", "2026-05-01-X", "2026-05-01-a--b", "2026-05-01-a/../b",
                                 "2026-05-01-a\n", "2026-5-1-a"])
def test_an_id_that_does_not_fit_is_refused_with_the_pattern(bad):
    with pytest.raises(ValueError, match="YYYY-MM-DD-<source>"):
        check_batch_id(bad)


@pytest.mark.parametrize(("modified", "changed", "settled"), [
    (NOW - 100, NOW - 100, True),
    (NOW - 99, NOW - 500, False),
    (NOW - 10**9, NOW - 99, False),  # cp -p: an old file written just now
    (NOW - 10**9, NOW - 100, True),
    (NOW + 10**9, NOW - 100, True),  # a clock that is ahead; nothing touched it since
    (NOW + 10**9, NOW - 99, False),
], ids=["untouched", "just written", "copied with its old time", "copied a while ago", "future time", "future, just written"])
def test_a_file_is_settled_when_nothing_touched_it_for_a_while(modified, changed, settled):
    assert is_settled(SeenFile("/a", 1, modified, changed), NOW, SETTLE) is settled


def test_without_a_time_to_settle_everything_is_settled():
    assert is_settled(SeenFile("/a", 1, NOW + 5, NOW), NOW, 0)


def test_the_order_of_files_does_not_depend_on_the_order_of_looking():
    shuffled = random.Random(1).sample(FILES, len(FILES))
    assert in_order(shuffled) == in_order(FILES)
    assert [file.path for file in in_order(FILES)] == ["/in/a.jpg", "/in/b.jpg", "/in/ü.jpg"]


@pytest.mark.parametrize("other", [
    replace(DELIVERY, root="/out"), replace(DELIVERY, files=FILES[:2]), replace(DELIVERY, tables=()),
    replace(DELIVERY, files=(FILES[0]._replace(size_bytes=4), *FILES[1:])),
    replace(DELIVERY, files=(FILES[0]._replace(modified_ns=6), *FILES[1:])),
    replace(DELIVERY, files=(FILES[0]._replace(path="/in/c.jpg"), *FILES[1:])),
])
def test_another_delivery_has_another_digest(other):
    assert other.digest != DELIVERY.digest


def test_an_object_of_other_content_makes_another_delivery_whatever_its_time():
    one, other = (replace(DELIVERY, files=(FILES[0]._replace(etag=tag),)) for tag in ("a", "b"))
    assert one.digest != other.digest
    assert not other.files[0].has_content_of(one.files[0])
    assert one.files[0]._replace(modified_ns=99).has_content_of(one.files[0])


@pytest.mark.parametrize(("first_seen", "settled"), [(None, False), (NOW, False), (NOW - 99, False), (NOW - 100, True)])
def test_a_file_from_the_future_is_settled_when_it_was_seen_like_this_for_a_while(first_seen, settled):
    assert is_settled(SeenFile("/a", 1, NOW + 5, NOW + 5), NOW, SETTLE, first_seen) is settled


def test_the_same_files_claimed_again_have_the_same_digest():
    assert replace(DELIVERY, batch_id="2026-05-02-y", claimed_at="later").digest == DELIVERY.digest


def test_a_name_that_is_not_utf8_has_a_digest():
    assert len(replace(DELIVERY, files=(SeenFile("/in/\udcff.jpg", 1, 1, 1),)).digest) == 64
