"""Groups: images that must never stand in two splits, because they show the same patient, lesion or picture.

Here: joining links into groups (connected components by hooking and shortcutting; Shiloach and Vishkin 1982).
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
NONE: Numbers = np.zeros(0, np.uint64)


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
