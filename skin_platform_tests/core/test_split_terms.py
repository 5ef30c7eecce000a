"""Promises of split terms: what changes between versions is said, and what was learnt from never judges."""

import pytest

from skin_platform.core.split_terms import SplitTerms, changed_terms, swapped_roles

USUAL = {"train": 0.7, "val": 0.15, "test": 0.15}
WAS = SplitTerms(USUAL, 0, "test")
ALIASES = {"train": "train", "val": "val", "test": "test", "tune": "tune", "final": "final"}


def terms(*names, locked="test", seed=0):
    return SplitTerms({name: USUAL.get(name, 0.0) for name in names}, seed, locked)


def test_the_same_terms_leave_nothing_to_say():
    assert changed_terms(WAS, SplitTerms(dict(USUAL), 0, "test"), ALIASES) == []
    assert swapped_roles(WAS, WAS, ALIASES) == ""


@pytest.mark.parametrize("names", [("val", "train", "test"), ("train", "test", "val"), ("tune", "train", "val", "test"),
                                   ("test", "val", "train")])
def test_an_order_in_which_images_that_were_learnt_from_or_chosen_by_would_judge_is_refused(names):
    fault = swapped_roles(WAS, terms(*names), ALIASES)
    assert "the splits were train, val, test" in fault
    assert f"are {', '.join(names)} now" in fault
    assert "`line`" in fault


@pytest.mark.parametrize("names", [("train", "val", "test", "final"), ("train", "tune", "val", "test"), ("train", "val")])
def test_a_split_may_come_behind_the_first_or_go(names):
    assert swapped_roles(WAS, terms(*names), ALIASES) == ""


def test_a_split_that_is_renamed_keeps_its_role():
    renamed = SplitTerms({"learn": 0.7, "val": 0.15, "final": 0.15}, 0, "final")
    aliases = {"train": "learn", "learn": "learn", "val": "val", "test": "final", "final": "final"}
    assert swapped_roles(WAS, renamed, aliases) == ""
    assert not any("lock" in note for note in changed_terms(WAS, renamed, aliases))


def test_a_first_split_that_is_not_named_any_more_is_left_to_be_refused_by_name():
    assert swapped_roles(WAS, terms("val", "test"), {}) == ""


def test_the_lock_that_is_taken_away_or_moved_is_said():
    [gone] = changed_terms(WAS, terms(*USUAL, locked=None), ALIASES)
    assert gone.startswith("'test' was locked and no split is now: scores are those on 'val', which chose and calibrated")
    [come] = changed_terms(terms(*USUAL, locked=None), WAS, ALIASES)
    assert come == "'test' is locked now: no split was locked before, so that its images may have been looked at"
    other = changed_terms(WAS, SplitTerms(USUAL | {"final": 0.0}, 0, "final"), ALIASES)
    assert other[-1] == "'final' is locked now: 'test' was locked before"


def test_shares_seed_and_who_chooses_are_said():
    told = changed_terms(WAS, terms("train", "tune", "val", "test", seed=4), ALIASES)
    assert [note.split(" ")[:3] for note in told] == [["the", "shares", "were"], ["the", "seed", "was"],
                                                     ["'val'", "chose", "and"]]
