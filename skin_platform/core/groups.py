"""Groups: images that must never stand in two splits, because they show the same patient, lesion or picture.

Here: joining links into groups (disjoint sets; Tarjan 1975).
"""

from collections.abc import Hashable, Iterable


def joined(
    images: Iterable[int], links: Iterable[tuple[Hashable, int]], pairs: Iterable[tuple[int, int]] = ()
) -> dict[int, int]:
    """The group of each image: the smallest number in it, whatever the order of arrival.

    ``images`` are numbers; ``links`` are (link, image), where equal links mean one group (a patient, a lesion); ``pairs`` are
    images that belong together. Links and pairs of images that are not among ``images`` are an error (``KeyError``).
    """
    parent = {image: image for image in images}

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    first_with: dict[Hashable, int] = {}
    for link, image in links:
        join(first_with.setdefault(link, image), image)
    for one, other in pairs:
        join(one, other)
    return {image: root(image) for image in parent}
