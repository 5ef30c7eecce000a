"""Promises of splits: nothing leaks, nothing moves, deliveries are respected, and what differs is said."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.splits import SplitPolicy, draws, straddling_groups
from skin_platform_tests.core.split_rows import Row, assigned, images

FRACTIONS = {"train": 0.8, "val": 0.2, "test": 0.0}
HALVES = {"train": 0.5, "val": 0.3, "test": 0.2}
USUAL = {"train": 0.7, "val": 0.15, "test": 0.15}
POLICIES = st.sampled_from([(FRACTIONS, None), (FRACTIONS, "test"), (HALVES, None), (USUAL, "test")])
SPLIT = st.sampled_from([None, None, None, "train", "val", "test", "holdout"])


@st.composite
def worlds(draw, least=1, most=40, prefix="0"):
    found = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), SPLIT, st.integers(0, 9)),
                          min_size=least, max_size=most))
    return [Row(f"{prefix}{number:063x}", label, f"g{group}", delivered, is_usable=luck > 0)
            for number, (label, group, delivered, luck) in enumerate(found)]


def carried(rows, before):
    """The rows in the next version: what was assigned is known."""
    return [replace(row, previous=before.split_of.get(row.sha256, row.previous)) for row in rows]


def straddling(rows, found):
    return straddling_groups((row.group_id, found.split_of[row.sha256]) for row in rows if row.is_usable)


@given(worlds(), POLICIES, st.integers(-5, 5))
@settings(max_examples=150, deadline=None)
def test_every_image_gets_a_split_and_no_group_stands_in_two(rows, policy, seed):
    found = assigned(rows, policy[0], seed, policy[1])
    assert found.split_of.keys() == {row.sha256 for row in rows if row.is_usable}
    assert set(found.split_of.values()) <= policy[0].keys()
    assert straddling(rows, found) == []
    assert found.moved == {}


@given(worlds(), POLICIES, st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_order_of_rows_changes_nothing(rows, policy, random):
    assert assigned(random.sample(rows, len(rows)), policy[0], 1, policy[1]) == assigned(rows, policy[0], 1, policy[1])


@given(worlds(), worlds(prefix="f"), POLICIES, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_nothing_moves_when_rows_are_added(rows, more, policy, seed):
    before = assigned(rows, policy[0], seed, policy[1])
    after = assigned(carried(rows, before) + more, policy[0], seed, policy[1])
    assert {sha256: after.split_of[sha256] for sha256 in before.split_of} == before.split_of
    assert after.moved == {}


@given(worlds(), worlds(prefix="f"), POLICIES, POLICIES)
@settings(max_examples=80, deadline=None)
def test_other_fractions_and_another_seed_hold_for_new_images_alone(rows, more, policy, later):
    before = assigned(rows, policy[0], 0, policy[1])
    after = assigned(carried(rows, before) + more, later[0], 1, later[1])
    assert {sha256: after.split_of[sha256] for sha256 in before.split_of} == before.split_of


@given(worlds(), POLICIES, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_a_late_link_moves_its_groups_to_the_more_held_out_split_and_every_move_is_on_record(rows, policy, links):
    before = assigned(rows, policy[0], 0, policy[1])
    joined = carried(rows, before)
    for one, other in links:
        joined = [replace(row, group_id=f"g{one}") if row.group_id == f"g{other}" else row for row in joined]
    after = assigned(joined, policy[0], 0, policy[1])
    rank = list(policy[0]).index
    expected = {}
    for row in joined:
        most = max((rank(other.previous) for other in joined if other.group_id == row.group_id and other.previous), default=-1)
        if row.previous and most != rank(row.previous):
            expected[row.sha256] = (row.previous, list(policy[0])[most])
    assert after.moved == expected
    assert straddling(joined, after) == []
    assert all(rank(after.split_of[sha256]) >= rank(split) for sha256, split in before.split_of.items())
    assert any("joined by later links" in note for note in after.notes) >= bool(expected)


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_a_split_of_no_share_holds_only_what_is_delivered_into_it(rows):
    found = assigned(rows, FRACTIONS).split_of
    delivered = {row.group_id for row in rows if row.delivered == "test" and row.is_usable}
    assert {row.group_id for row in rows if found.get(row.sha256) == "test"} <= delivered


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_more_rows_with_patients_old_and_new_move_nothing(seed):
    random = np.random.default_rng(seed)

    def many(prefix, count):
        return [Row(f"{prefix}{number}", "abc"[random.choice(3, p=[0.8, 0.15, 0.05])], f"p{random.integers(900)}")
                for number in range(count)]

    rows = many("old", 1000)
    before = assigned(rows, USUAL, seed, "test")
    both = [*carried(rows, before), *many("new", 1000)]
    after = assigned(both, USUAL, seed, "test")
    assert {sha256: after.split_of[sha256] for sha256 in before.split_of} == before.split_of
    assert len(after.split_of) == 2000
    label_of = {row.sha256: row.label for row in both}
    for label in "ab":
        shares = Counter(split for sha256, split in after.split_of.items() if label_of[sha256] == label)
        assert all(abs(shares[split] / shares.total() - share) < 0.03 for split, share in USUAL.items())


def test_labels_are_stratified():
    rows = [*images("a", 100), *images("b", 20), *images("c", 10)]
    split_of = assigned(rows, HALVES, 3).split_of
    shares = Counter((row.label, split_of[row.sha256]) for row in rows)
    assert shares == {("a", "train"): 50, ("a", "val"): 30, ("a", "test"): 20, ("b", "train"): 10, ("b", "val"): 6,
                      ("b", "test"): 4, ("c", "train"): 5, ("c", "val"): 3, ("c", "test"): 2}


def test_the_seed_decides_and_the_same_seed_decides_the_same():
    rows = images("a", 60)
    assert assigned(rows, FRACTIONS, 1) == assigned(rows, FRACTIONS, 1)
    assert assigned(rows, FRACTIONS, 1).split_of != assigned(rows, FRACTIONS, 2).split_of
    hashes = np.array([f"{number:064x}".encode() for number in range(1000)])
    assert len(np.unique(draws(hashes, 0))) == len(np.unique(draws(hashes, -7))) == 1000
    assert abs((draws(hashes, 0) >> np.uint64(63)).mean() - 0.5) < 0.06


def test_a_delivered_split_is_respected_and_the_rest_fills_up_what_is_missing():
    rows = [*images("a", 10, delivered="val"), *images("a", 10, first=10, delivered="test"), *images("a", 80, first=20)]
    split_of = assigned(rows, FRACTIONS).split_of
    assert all(split_of[row.sha256] == row.delivered for row in rows if row.delivered)
    assert Counter(split_of.values()) == {"train": 72, "val": 18, "test": 10}


def test_what_was_assigned_before_counts_more_than_what_is_delivered_now():
    rows = [Row("1", "a", "g", previous="val"), Row("2", "a", "g", delivered="train"), *images("b", 10)]
    found = assigned(rows, FRACTIONS)
    assert (found.split_of["1"], found.split_of["2"], found.moved) == ("val", "val", {})
    assert "1 new image(s) delivered for train are in val, where their group has been since an earlier version" in found.notes


def test_a_group_delivered_into_two_splits_goes_to_the_more_held_out_one_with_a_note():
    rows = [Row("1", "a", "g", "train"), Row("2", "a", "g", "test"), Row("3", "a", "g"), *images("a", 20)]
    found = assigned(rows, FRACTIONS)
    assert [found.split_of[sha256] for sha256 in "123"] == ["test", "test", "test"]
    assert "1 group(s) were delivered into two splits: the more held-out one took each whole" in found.notes


def test_a_late_link_is_told_with_counts_and_ways():
    rows = [Row("1", "a", "g", previous="train"), Row("2", "a", "g", previous="train"), Row("3", "a", "g", previous="test"),
            *images("a", 20, previous="train"), *images("a", 5, first=20, previous="val")]
    found = assigned(rows, USUAL, locked="test")
    assert found.moved == {"1": ("train", "test"), "2": ("train", "test")}
    assert found.notes[0] == ("1 group(s) that stood in two splits were joined by later links: the more held-out split took "
                              "each whole; 2 image(s) moved: 2 from train to test")


def test_of_a_delivery_that_is_all_train_a_part_is_held_back_with_a_note():
    rows = [*images("a", 50, delivered="train"), *images("b", 10, delivered="train")]
    found = assigned(rows, FRACTIONS)
    assert Counter((row.label, found.split_of[row.sha256]) for row in rows) == {
        ("a", "train"): 40, ("a", "val"): 10, ("b", "train"): 8, ("b", "val"): 2}
    assert "nothing was delivered for val: held back from the rest by share (60 group(s) shared out)" in found.notes


def test_a_delivered_train_and_val_stay_whole_and_the_locked_split_stays_empty_with_a_note():
    rows = [*images("a", 50, delivered="train"), *images("a", 10, first=50, delivered="val")]
    found = assigned(rows, USUAL, locked="test")
    assert all(found.split_of[row.sha256] == row.delivered for row in rows)
    assert any(note.startswith("test is empty") and "deliver more, or images for test" in note for note in found.notes)


def test_a_delivery_that_is_all_locked_is_not_learnt_from():
    found = assigned(images("a", 20, delivered="test"), USUAL, locked="test")
    assert set(found.split_of.values()) == {"test"}
    assert set(assigned(images("a", 20, delivered="val"), USUAL, locked="test").split_of.values()) == {"train", "val", "test"}


def test_what_was_held_back_of_an_all_train_delivery_stays_held_back_when_more_train_arrives():
    rows = images("a", 50, delivered="train")
    before = assigned(rows, FRACTIONS)
    after = assigned([*carried(rows, before), *images("a", 50, first=50, delivered="train")], FRACTIONS)
    assert {sha256: after.split_of[sha256] for sha256 in before.split_of} == before.split_of


@pytest.mark.parametrize("delivered", ["train", None])
@pytest.mark.parametrize("fractions", [FRACTIONS, {"train": 0.64, "val": 0.16, "test": 0.2}])
def test_a_large_delivered_test_set_takes_nothing_from_the_share_of_val(delivered, fractions):
    rows = [*images("a", 50, delivered=delivered), *images("a", 50, first=50, delivered="test")]
    found = assigned(rows, fractions, locked="test")
    assert all(found.split_of[row.sha256] == "test" for row in rows[50:])
    assert Counter(found.split_of.values()) == {"train": 40, "val": 10, "test": 50}


def test_a_small_delivered_test_set_is_filled_up_to_its_share():
    rows = [*images("a", 90), *images("a", 10, first=90, delivered="test")]
    assert Counter(assigned(rows, USUAL, locked="test").split_of.values()) == {"train": 70, "val": 15, "test": 15}


@pytest.mark.parametrize(("groups", "expected"), [
    (1, {"train": 1}), (2, {"train": 1, "val": 1}), (3, {"train": 2, "val": 1}), (4, {"train": 2, "val": 1, "test": 1}),
    (5, {"train": 3, "val": 1, "test": 1}), (10, {"train": 7, "val": 2, "test": 1}),
])
def test_a_label_with_few_groups_is_learnt_from_then_judged_then_locked(groups, expected):
    found = assigned(images("a", groups), USUAL, locked="test")
    assert Counter(found.split_of.values()) == expected
    told = {split for split in ("val", "test") if any(note.startswith(f"{split} is empty") for note in found.notes)}
    assert told == USUAL.keys() - expected.keys()


def test_validation_comes_before_a_larger_locked_share():
    found = assigned(images("a", 2), {"train": 0.6, "val": 0.1, "test": 0.3}, locked="test")
    assert Counter(found.split_of.values()) == {"train": 1, "val": 1}


def test_of_a_label_with_two_groups_the_smaller_one_judges():
    rows = [*(Row(f"large{number}", "rare", "large") for number in range(9)), Row("small", "rare", "small"), *images("a", 60)]
    for seed in range(5):
        found = assigned(rows, USUAL, seed, "test").split_of
        assert (found["large0"], found["small"]) == ("train", "val")


def test_a_label_with_one_image_is_learnt_from_with_a_note():
    found = assigned([*images("a", 10), *images("rare", 1)], FRACTIONS)
    assert found.split_of["rare-0000"] == "train"
    assert found.notes == ("no image of 'rare' in val: too few groups of it to be in every split",)


@pytest.mark.parametrize("seed", range(6))
def test_a_patient_with_half_of_the_images_is_learnt_from_and_the_rest_is_shared_out(seed):
    rows = [*(Row(f"giant{number}", "ab"[number % 2], "giant") for number in range(50)), *images("a", 25), *images("b", 25)]
    found = assigned(rows, USUAL, seed, "test")
    assert found.split_of["giant0"] == "train"
    assert Counter(found.split_of.values()) == {"train": 70, "val": 16, "test": 14}


def test_a_patient_with_nearly_all_images_leaves_a_note_of_the_shares():
    rows = [*(Row(f"giant{number}", "a", "giant") for number in range(95)), *images("a", 5)]
    found = assigned(rows, USUAL, 0, "test")
    assert found.split_of["giant0"] == "train"
    assert "train holds 95% of the images, not 70%" in found.notes[-1]
    assert "the largest has 95 of 100 images" in found.notes[-1]


def test_a_patient_with_several_labels_counts_for_each_of_them():
    rows = [Row(f"{patient}-{label}", label, f"p{patient}") for patient in range(40) for label in "ab"]
    found = assigned(rows, USUAL, 2, "test")
    counts = Counter((row.label, found.split_of[row.sha256]) for row in rows)
    assert all(counts[label, "train"] == 28 and counts[label, "val"] == 6 for label in "ab")


def test_an_image_that_is_kept_out_for_a_while_holds_its_patient_where_it_was():
    rows = [Row("doubtful", "a", "p1", previous="test", is_usable=False), Row("new", "a", "p1"), *images("a", 20)]
    for seed in range(5):
        found = assigned(rows, USUAL, seed, "test")
        assert found.split_of["new"] == "test"
        assert "doubtful" not in found.split_of


def test_a_label_that_vanishes_is_not_missed():
    rows = [*images("a", 20), *(replace(row, is_usable=False, previous="train") for row in images("gone", 5))]
    found = assigned(rows, USUAL, 0, "test")
    assert not any("gone" in note for note in found.notes)
    assert len(found.split_of) == 20


def test_an_unknown_delivered_split_counts_as_none():
    assert set(assigned(images("a", 10, delivered="holdout"), FRACTIONS).split_of.values()) == {"train", "val"}


def test_no_rows_give_no_splits():
    assert assigned([], FRACTIONS).split_of == {}


@pytest.mark.parametrize("fractions", [{"train": 0.8, "val": 0.1}, {"train": 0.9, "val": 0.2}, {}])
def test_shares_that_do_not_add_up_to_one_are_refused(fractions):
    with pytest.raises(ValueError, match="add up to"):
        SplitPolicy(fractions)


def test_a_group_in_two_splits_is_found():
    assert straddling_groups([("g1", "train"), ("g2", "val"), ("g1", "val"), ("g2", "val")]) == ["g1"]
