"""Promises of groups: what is linked, over however many steps and in whatever order, is one group."""

from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.groups import joined

LINKS = st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 6))
WORLDS = st.lists(LINKS, min_size=1, max_size=25)


def group_ids(images, links):
    """The group of each image, from the values that it shares with others."""
    found = joined(images, [((at, value), image) for image, values in zip(images, links, strict=True)
                            for at, value in enumerate(values) if value is not None])
    return [found[image] for image in images]


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
    assert len(set(group_ids(_images(2), [("7", None), (None, "7")]))) == 2


def test_pictures_that_look_alike_are_one_group_over_any_number_of_steps():
    assert joined([5, 3, 9, 7], [], [(9, 5), (5, 3)]) == {5: 3, 3: 3, 9: 3, 7: 7}


def test_links_and_pairs_join_into_one_group():
    assert joined([1, 2, 3, 4], [("P", 4), ("P", 2)], [(3, 4)]) == {1: 1, 2: 2, 3: 2, 4: 2}
