"""Promises of groups: what is linked, over however many steps and in whatever order, is one group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.groups import MOST_HOUSEHOLDS, clusters_and_groups, joined

LINKS = st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 6))
WORLDS = st.lists(LINKS, min_size=1, max_size=25)


def group_ids(images, links):
    """The group of each image, from the values that it shares with others."""
    linked = [(2 * value + at, image) for image, values in zip(images, links, strict=True)
              for at, value in enumerate(values) if value is not None]
    return joined(numbers(images), columns(linked)).tolist()


def numbers(values):
    return np.array(values, np.uint64)


def columns(pairs):
    return tuple(numbers([pair[at] for pair in pairs]) for at in (0, 1))


def _images(count: int) -> list[int]:
    return [(number * 7919 + 13) % 104729 for number in range(count)]


def _linked(links):
    """Which images share a value, over any number of steps, the slow way."""
    reach = [{at} for at in range(len(links))]
    changed = True
    while changed:
        changed = False
        for one in range(len(links)):
            for other in range(len(links)):
                shares = any(a is not None and a == b for a, b in zip(links[one], links[other], strict=True))
                if shares and not reach[other] <= reach[one]:
                    reach[one] |= reach[other]
                    changed = True
    return reach


@given(WORLDS)
@settings(max_examples=80, deadline=None)
def test_two_images_are_in_one_group_exactly_when_links_join_them(links):
    groups = group_ids(_images(len(links)), links)
    for at, reached in enumerate(_linked(links)):
        assert {other for other in range(len(links)) if groups[other] == groups[at]} == reached


@given(WORLDS, st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_order_of_images_changes_no_group(links, random):
    images = _images(len(links))
    order = random.sample(range(len(links)), len(links))
    groups = dict(zip(images, group_ids(images, links), strict=True))
    again = dict(zip([images[at] for at in order], group_ids([images[at] for at in order], [links[at] for at in order]),
                     strict=True))
    assert again == groups


@given(WORLDS)
@settings(max_examples=40, deadline=None)
def test_a_group_is_named_after_its_smallest_digest(links):
    images = _images(len(links))
    groups = group_ids(images, links)
    for group in set(groups):
        assert group == min(image for image, own in zip(images, groups, strict=True) if own == group)


def test_a_patient_and_a_lesion_of_the_same_number_do_not_meet():
    assert len(set(group_ids(_images(2), [(7, None), (None, 7)]))) == 2


def test_pictures_that_look_alike_are_one_group_over_any_number_of_steps():
    assert joined(numbers([5, 3, 9, 7]), pairs=columns([(9, 5), (5, 3)])).tolist() == [3, 3, 3, 7]


def test_links_and_pairs_join_into_one_group():
    assert joined(numbers([1, 2, 3, 4]), columns([(9, 4), (9, 2)]), columns([(3, 4)])).tolist() == [1, 2, 2, 2]


def test_a_long_chain_is_one_group_in_whatever_order_its_links_come():
    chain = np.random.default_rng(1).permutation(20_000).astype(np.uint64)
    assert not joined(np.sort(chain), pairs=(chain[:-1], chain[1:])).any()


@pytest.mark.parametrize("households", [MOST_HOUSEHOLDS, MOST_HOUSEHOLDS + 1])
def test_a_chain_of_many_patients_that_only_look_alike_is_taken_apart_but_for_what_is_sure(households):
    images = np.arange(2 * households, dtype=np.uint64)  # two of each patient
    links, second = (images // 2, images), images[1::2]
    sure = np.arange(households - 1) == 3
    clusters, groups = clusters_and_groups(images, links, (second[:-1], second[1:]), sure)
    assert not clusters.any()
    apart = np.where(images // 2 == 4, 6, images // 2 * 2)  # patients 3 and 4 have the same picture
    assert groups.tolist() == (apart.tolist() if households > MOST_HOUSEHOLDS else clusters.tolist())


def test_a_patient_of_many_images_is_one_household_and_keeps_its_copies():
    images = np.arange(5 * MOST_HOUSEHOLDS, dtype=np.uint64)
    links, pairs = (np.minimum(images, 1), images), (numbers([0]), numbers([1]))
    clusters, groups = clusters_and_groups(images, links, pairs, np.zeros(1, np.bool_))
    assert not clusters.any()
    assert not groups.any()


def test_a_link_to_what_is_no_image_is_an_error_that_names_it():
    for links, pairs in ((columns([(1, 8)]), columns([])), (columns([]), columns([(1, 8)]))):
        with pytest.raises(KeyError, match="8 is linked"):
            joined(numbers([1, 2]), links, pairs)
