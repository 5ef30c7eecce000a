"""Promises of splits: nothing leaks, nothing moves, deliveries are respected."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.splits import Candidate, assign_splits, straddling_groups

FRACTIONS = {"train": 0.8, "val": 0.2, "test": 0.0}
HALVES = {"train": 0.5, "val": 0.3, "test": 0.2}
SPLIT = st.sampled_from([None, None, None, "train", "val", "test", "holdout"])


@st.composite
def worlds(draw, least=1, most=40):
    images = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), SPLIT), min_size=least, max_size=most))
    return [Candidate(f"{number:064x}", label, f"g{group}", delivered)
            for number, (label, group, delivered) in enumerate(images)]


def _rows(label, count, first=0, **given_):
    return [Candidate(f"{label}-{number:04d}", label, f"{label}-g{number}", **given_) for number in range(first, first + count)]


@given(worlds(), st.sampled_from([FRACTIONS, HALVES]), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_every_image_gets_a_split_and_no_group_stands_in_two(rows, fractions, seed):
    assigned = assign_splits(rows, fractions, seed)
    assert assigned.split_of.keys() == {row.sha256 for row in rows}
    assert set(assigned.split_of.values()) <= fractions.keys()
    assert straddling_groups((row.group_id, assigned.split_of[row.sha256]) for row in rows) == []


@given(worlds(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_changes_nothing(rows, random):
    again = assign_splits(random.sample(rows, len(rows)), HALVES, 1)
    assert again == assign_splits(rows, HALVES, 1)


@given(worlds(), worlds())
@settings(max_examples=100, deadline=None)
def test_nothing_moves_when_rows_are_added(rows, more):
    before = assign_splits(rows, HALVES, 0).split_of
    known = [replace(row, previous=before[row.sha256]) for row in rows]
    added = [replace(row, sha256="f" + row.sha256[1:]) for row in more]
    after = assign_splits(known + added, HALVES, 0).split_of
    assert {sha256: after[sha256] for sha256 in before} == before


@given(worlds(), st.data())
@settings(max_examples=60, deadline=None)
def test_an_image_never_enters_training_from_a_held_out_split_when_groups_are_joined(rows, data):
    before = assign_splits(rows, HALVES, 0).split_of
    joined = data.draw(st.sampled_from(sorted({row.group_id for row in rows})))
    known = [replace(row, previous=before[row.sha256], group_id=joined if row.group_id < "g3" else row.group_id)
             for row in rows]
    after = assign_splits(known, HALVES, 0).split_of
    rank = list(HALVES).index
    assert all(rank(after[sha256]) >= rank(split) for sha256, split in before.items())


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_a_split_of_no_share_holds_only_what_is_delivered_into_it(rows):
    assigned = assign_splits(rows, FRACTIONS, 0).split_of
    delivered = {row.group_id for row in rows if row.delivered == "test"}
    assert {row.group_id for row in rows if assigned[row.sha256] == "test"} <= delivered


def test_labels_are_stratified():
    rows = [*_rows("a", 100), *_rows("b", 20), *_rows("c", 10)]
    split_of = assign_splits(rows, HALVES, 3).split_of
    shares = Counter((row.label, split_of[row.sha256]) for row in rows)
    assert shares == {("a", "train"): 50, ("a", "val"): 30, ("a", "test"): 20, ("b", "train"): 10, ("b", "val"): 6,
                      ("b", "test"): 4, ("c", "train"): 5, ("c", "val"): 3, ("c", "test"): 2}


def test_the_seed_decides_and_the_same_seed_decides_the_same():
    rows = _rows("a", 60)
    assert assign_splits(rows, FRACTIONS, 1) == assign_splits(rows, FRACTIONS, 1)
    assert assign_splits(rows, FRACTIONS, 1).split_of != assign_splits(rows, FRACTIONS, 2).split_of


def test_a_delivered_split_is_respected_and_the_rest_fills_up_what_is_missing():
    rows = [*_rows("a", 10, delivered="val"), *_rows("a", 10, first=10, delivered="test"), *_rows("a", 80, first=20)]
    split_of = assign_splits(rows, FRACTIONS, 0).split_of
    assert all(split_of[row.sha256] == row.delivered for row in rows if row.delivered)
    assert Counter(split_of.values()) == {"train": 72, "val": 18, "test": 10}


def test_what_was_assigned_before_counts_more_than_what_is_delivered_now():
    row = Candidate("1", "a", "g", delivered="train", previous="val")
    assert assign_splits([row, *_rows("b", 10)], FRACTIONS, 0).split_of["1"] == "val"


def test_a_group_delivered_into_two_splits_goes_to_the_more_held_out_one_with_a_note():
    rows = [Candidate("1", "a", "g", "train"), Candidate("2", "a", "g", "test"), Candidate("3", "a", "g"), *_rows("a", 20)]
    assigned = assign_splits(rows, FRACTIONS, 0)
    assert [assigned.split_of[sha256] for sha256 in "123"] == ["test", "test", "test"]
    assert "1 group(s) stood in two delivered splits; the more held-out split took each whole" in assigned.notes


def test_of_a_delivery_that_is_all_train_a_part_is_held_back_with_a_note():
    rows = [*_rows("a", 50, delivered="train"), *_rows("b", 10, delivered="train")]
    assigned = assign_splits(rows, FRACTIONS, 0)
    assert Counter((row.label, assigned.split_of[row.sha256]) for row in rows) == {
        ("a", "train"): 40, ("a", "val"): 10, ("b", "train"): 8, ("b", "val"): 2}
    assert "nothing was delivered for val: its share was held back from the rest" in assigned.notes


def test_what_was_held_back_of_an_all_train_delivery_stays_held_back_when_more_train_arrives():
    rows = _rows("a", 50, delivered="train")
    before = assign_splits(rows, FRACTIONS, 0).split_of
    known = [replace(row, previous=before[row.sha256]) for row in rows]
    after = assign_splits([*known, *_rows("a", 50, first=50, delivered="train")], FRACTIONS, 0).split_of
    assert {sha256: after[sha256] for sha256 in before} == before


def test_a_delivered_test_set_stays_out_when_val_is_carved_from_train():
    rows = [*_rows("a", 40, delivered="train"), *_rows("a", 10, first=40, delivered="test")]
    split_of = assign_splits(rows, FRACTIONS, 0).split_of
    assert all(split_of[row.sha256] == "test" for row in rows[40:])
    assert Counter(split_of.values()) == {"train": 32, "val": 8, "test": 10}


@pytest.mark.parametrize("delivered", ["train", None])
def test_a_large_delivered_test_set_takes_nothing_from_the_share_of_val(delivered):
    rows = [*_rows("a", 50, delivered=delivered), *_rows("a", 50, first=50, delivered="test")]
    assert Counter(assign_splits(rows, FRACTIONS, 0).split_of.values()) == {"train": 40, "val": 10, "test": 50}


def test_a_label_with_one_image_is_learnt_from_with_a_note():
    assigned = assign_splits([*_rows("a", 10), *_rows("rare", 1)], FRACTIONS, 0)
    assert assigned.split_of["rare-0000"] == "train"
    assert assigned.notes == ("no image of 'rare' in val: too few groups of it to be both learnt from and held back",)


def test_an_unknown_delivered_split_counts_as_none():
    assert set(assign_splits(_rows("a", 10, delivered="holdout"), FRACTIONS, 0).split_of.values()) == {"train", "val"}


def test_no_rows_give_no_splits():
    assert assign_splits([], FRACTIONS, 0).split_of == {}


@pytest.mark.parametrize("fractions", [{"train": 0.8, "val": 0.1}, {"train": 0.9, "val": 0.2}, {}])
def test_shares_that_do_not_add_up_to_one_are_refused(fractions):
    with pytest.raises(ValueError, match="add up to"):
        assign_splits(_rows("a", 2), fractions, 0)


def test_a_group_in_two_splits_is_found():
    assert straddling_groups([("g1", "train"), ("g2", "val"), ("g1", "val"), ("g2", "val")]) == ["g1"]
