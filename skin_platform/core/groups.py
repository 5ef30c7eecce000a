"""Groups: images that must never stand in two splits, because they show the same patient, lesion or picture.

Here: joining links into groups (connected components by hooking and shortcutting; Shiloach and Vishkin 1982), and taking
apart what likeness has joined too much of.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
NONE: Numbers = np.zeros(0, np.uint64)
MOST_HOUSEHOLDS = 200  # patients or lesions that likeness may join: more are pictures that look alike by chance


def joined(
    images: Numbers, links: tuple[Numbers, Numbers] = (NONE, NONE), pairs: tuple[Numbers, Numbers] = (NONE, NONE)
) -> Numbers:
    """The group of each image (n, as ``images``): the smallest number in it, whatever the order of arrival.

    ``links`` are links and images, where equal links mean one group (a patient, a lesion); ``pairs`` are images that belong
    together. Raises ``KeyError`` where links or pairs name an image that is not among ``images``.
    """
    numbers, own = np.unique(images, return_inverse=True)
    link, linked = links
    order = np.argsort(link, kind="stable")
    is_same = link[order][1:] == link[order][:-1]
    ones = _places(numbers, np.concatenate([linked[order][:-1][is_same], pairs[0]]))
    others = _places(numbers, np.concatenate([linked[order][1:][is_same], pairs[1]]))
    _places(numbers, linked)
    group = np.arange(len(numbers))
    while True:
        first, second = group[ones], group[others]
        apart = first != second
        if not apart.any():
            return numbers[group][own]
        ones, others = ones[apart], others[apart]
        np.minimum.at(group, np.maximum(first, second)[apart], np.minimum(first, second)[apart])
        _shortcut(group)


def clusters_and_groups(
    images: Numbers, links: tuple[Numbers, Numbers], pairs: tuple[Numbers, Numbers], is_sure: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    """The cluster of each image, which all links and pairs join, and its group, by the same rules as ``joined``.

    A cluster is a group, unless its pairs join more than ``MOST_HOUSEHOLDS`` of what links alone join: then only pairs that
    are sure join within it. Among very many pictures some look alike by chance, and chains of them would end in one group
    that leaves nothing to split; whatever came first, the same clusters are taken apart.
    """
    clusters = joined(images, links, pairs)
    heads = joined(images, links) == images  # one of each household
    numbers, households = np.unique(clusters[heads], return_counts=True)
    large = numbers[households > MOST_HOUSEHOLDS]
    if not len(large):
        return clusters, clusters
    kept = is_sure | ~np.isin(pairs[0], images[np.isin(clusters, large)])
    return clusters, joined(images, links, (pairs[0][kept], pairs[1][kept]))


def _places(numbers: Numbers, images: Numbers) -> NDArray[np.int64]:
    """Where images stand in ``numbers`` (ascending)."""
    at = np.searchsorted(numbers, images)
    missing = at == len(numbers) if not len(numbers) else numbers[np.minimum(at, len(numbers) - 1)] != images
    if missing.any():
        raise KeyError(f"{int(images[missing][0])} is linked, but is no image")
    return at


def _shortcut(group: NDArray[np.int64]) -> None:
    """Let each point at the end of its chain."""
    while True:
        further = group[group]
        if (further == group).all():
            return
        group[:] = further
