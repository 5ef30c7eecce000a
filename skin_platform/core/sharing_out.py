"""Sharing out: free groups among the splits, so that each label comes close to its shares.

Here: the choice for each group. Not here: which groups are free (``core.splits``).

Each group, in seeded order, rarest label first (Sechidis et al. 2011), goes where it makes the weighted squared distance to
the shares (chi-square) grow least. For single images that is Webster's method of apportionment, which needs no totals: the
shares hold at every size, so growing moves nothing. A group that is larger than a small split's share goes to a large one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class FreeGroups:
    """Groups in the order in which they choose: their numbers, and the labels with their counts in CSR form.

    The labels of the group at place i are ``labels[starts[i]:starts[i + 1]]``, ``counts`` likewise.
    """

    group: list[int]
    starts: list[int]
    labels: list[int]
    counts: list[int]

    @classmethod
    def of(cls, group: Codes, label: Codes, draw: NDArray[np.uint64], is_free: NDArray[np.bool_], labels: int) -> "FreeGroups":
        """The groups that ``is_free`` of images with these groups, labels and drawn numbers; by rarest label, then as drawn."""
        total = np.bincount(label, minlength=labels)
        chosen = is_free[group]
        first = np.full(len(is_free), np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(first, group[chosen], draw[chosen])
        rarest = np.full(len(is_free), np.iinfo(np.int64).max)
        np.minimum.at(rarest, group[chosen], total[label[chosen]])
        free = np.flatnonzero(is_free)
        ordered = free[np.lexsort((first[free], rarest[free]))]
        place = np.empty(len(is_free), dtype=np.int64)
        place[ordered] = np.arange(len(ordered))
        pairs, counts = np.unique(place[group[chosen]] * labels + label[chosen], return_counts=True)
        starts = np.searchsorted(pairs // max(1, labels), np.arange(len(ordered) + 1))
        return cls(ordered.tolist(), starts.tolist(), (pairs % max(1, labels)).tolist(), counts.tolist())

    def labels_at(self, place: int) -> list[tuple[int, int]]:
        """The labels of the group at ``place``, each with its count."""
        at = slice(self.starts[place], self.starts[place + 1])
        return list(zip(self.labels[at], self.counts[at], strict=True))


def share_out(free: FreeGroups, held: Codes, fractions: Sequence[float], split_of: Codes) -> Codes:
    """``split_of`` (by group) with a split for each free group; ``held`` (splits, labels) are the images that splits have."""
    counted = held.tolist()
    total = held.sum(axis=0)
    np.add.at(total, np.array(free.labels, dtype=np.int64), np.array(free.counts, dtype=np.int64))
    open_to = [(split, 1 / fraction) for split, fraction in enumerate(fractions) if fraction > 0]
    totals = total.tolist()
    chosen = [_choose(free, place, counted, open_to, totals) for place in range(len(free.group))]
    _mend(free, chosen, counted, [split for split, _ in open_to if split < 2])
    result = split_of.copy()
    result[np.array(free.group, dtype=np.int64)] = chosen
    return result


def _choose(
    free: FreeGroups, place: int, held: list[list[int]], open_to: Sequence[tuple[int, float]], total: Sequence[int]
) -> int:
    """The split of the group at ``place``, counted in; a tie goes to the less held-out split."""
    first, end = free.starts[place], free.starts[place + 1]
    best, least = open_to[0][0], float("inf")
    for split, weight in open_to:
        had, cost = held[split], 0.0
        for at in range(first, end):
            count, label = free.counts[at], free.labels[at]
            cost += count * (count + 2 * had[label]) / total[label]
        if cost * weight < least:
            best, least = split, cost * weight
    for at in range(first, end):
        held[best][free.labels[at]] += free.counts[at]
    return best


def _mend(free: FreeGroups, chosen: list[int], held: list[list[int]], needed: Sequence[int]) -> None:
    """Give each needed split a free group, the smallest, of every label that it lacks: first what is learnt from."""
    for split in needed:
        for label in [label for label, count in enumerate(held[split]) if not count]:
            places = [place for place in _places_of(free, label) if chosen[place] != split
                      and _can_spare(free.labels_at(place), held[chosen[place]], is_learnt_from=chosen[place] == 0)]
            if not places:
                continue
            giver = min(places, key=lambda place: (-held[chosen[place]][label], -chosen[place],
                                                   sum(count for _, count in free.labels_at(place)), place))
            for other, count in free.labels_at(giver):
                held[chosen[giver]][other] -= count
                held[split][other] += count
            chosen[giver] = split


def _places_of(free: FreeGroups, label: int) -> list[int]:
    """The places of the free groups that hold a label."""
    found = np.flatnonzero(np.array(free.labels, dtype=np.int64) == label)
    places: list[int] = (np.searchsorted(np.array(free.starts), found, side="right") - 1).tolist()
    return places


def _can_spare(labels: Sequence[tuple[int, int]], held: Sequence[int], *, is_learnt_from: bool) -> bool:
    """Whether a split stays with every label when a group leaves it; only what is learnt from must."""
    return not is_learnt_from or all(held[label] > count for label, count in labels)
