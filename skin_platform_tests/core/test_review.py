"""Promises of the review queue's order and reasons."""

import pytest

from skin_platform.core.review import bad_pictures, doubted_label, ranked


def row(sha256, sharpness=100.0, exposure=0.5, blank_share=0.1):
    return {"sha256": sha256, "label": "rot", "sharpness": sharpness, "exposure": exposure, "blank_share": blank_share}


@pytest.mark.parametrize(("fault", "word"), [
    ({"sharpness": 1.0}, "blurred"), ({"exposure": 0.01}, "dark"), ({"exposure": 0.99}, "glaring"),
    ({"blank_share": 1.0}, "blank"), ({"blank_share": 1.0, "exposure": 0.0, "sharpness": 0.0}, "blank"),
])
def test_a_picture_that_shows_too_little_is_queued_with_its_reason(fault, word):
    usual = [row(f"{number:x}") for number in range(9)]
    [item] = bad_pictures([*usual, row("bad", **fault)])
    assert (item.sha256, item.kind, item.suggested_label) == ("bad", "quality", "")
    assert item.reason.startswith(word)
    assert 0 <= item.score <= 0.5


def test_pictures_masked_around_the_lesion_or_never_measured_are_left_alone():
    masked = [row("a", exposure=0.02, blank_share=0.9), row("b"), row("c", None, None, None)]
    assert bad_pictures(masked) == []


def test_the_worst_come_first_and_what_was_decided_does_not_come_again():
    items = [doubted_label(sha256, "rot", "zart", score, 0.9, 0.05) for sha256, score in (("a", 0.3), ("b", 0.1), ("c", 0.2))]
    queue = ranked(items, ["c"])
    assert [(item.rank, item.sha256) for item in queue] == [(1, "b"), (2, "a")]
    bad = bad_pictures([*(row(f"{number:x}0") for number in range(9)), row("b", blank_share=1.0)])
    assert [(item.sha256, item.kind) for item in ranked([*items, *bad], [])] == [
        ("b", "quality"), ("c", "label"), ("a", "label")]
    assert queue[0].reason == "looks like zart (90%) rather than rot (5%)"
