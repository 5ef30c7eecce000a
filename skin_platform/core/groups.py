"""Groups: images that must never stand in two splits, because they show the same patient, lesion or file.

Here: joining links into groups (disjoint sets; Tarjan 1975).
"""

from collections.abc import Hashable, Iterable, Sequence


def group_ids(images: Sequence[str], links: Iterable[Sequence[Hashable | None]]) -> list[str]:
    """A group id for each image: the first 16 digits of the smallest SHA-256 in its group.

    ``images`` are SHA-256s, ``links`` one sequence of link values an image (patient, lesion, …); None links nothing.
    The value's position is part of the link, so a patient ``7`` and a lesion ``7`` do not meet.
    """
    parent: dict[str, str] = {}

    def root(item: str) -> str:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[tuple[int, Hashable], str] = {}
    for image, values in zip(images, links, strict=True):
        mine = root(image)
        for position, value in enumerate(values):
            if value is None:
                continue
            other = root(first_with.setdefault((position, value), image))
            # the smaller digest stays the root, whatever the order of arrival
            low, high = sorted((mine, other))
            parent[high] = low
            mine = low
    return [root(image)[:16] for image in images]
