"""Splits: which images are learnt from and which are held back, so that nothing leaks and nothing moves.

Here: the rule, over columns. Not here: what joins images into groups (``core.groups``), sharing out the groups that are free
(``core.sharing_out``), what is said of it (``core.split_notes``).

A group (patient, lesion, equal bytes, near-duplicates) goes to one split as a whole. In this order:

1. what an earlier version assigned stays; where new links join two of its splits, the more held-out one takes the group
   (an image may leave training, it never enters it from a split that is held back);
2. a delivered split is respected, the more held-out one where a group was delivered into two;
3. the rest is stratified by label, in seeded order; what can be both learnt from and judged is, before anything is locked away.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.sharing_out import FreeGroups, share_out
from skin_platform.core.split_notes import Joined, gaps, joins, late_deliveries, uneven_shares

Codes = NDArray[np.int64]
NONE = -1  # no split was delivered, or assigned before


@dataclass(frozen=True)
class SplitPolicy:
    """The splits from least to most held out with their share of each label, the seed, and the one that is locked.

    The first is learnt from, the second chosen by. A split with share 0 holds what was assigned before or is delivered into it.
    """

    fractions: Mapping[str, float]
    seed: int = 0
    locked: str | None = None

    def __post_init__(self) -> None:
        if abs(sum(self.fractions.values()) - 1) > 1e-6:
            total = sum(self.fractions.values())
            raise ValueError(f"the fractions of the splits add up to {total:g}, not 1: {dict(self.fractions)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the splits, from least to most held out; codes are positions in it."""
        return tuple(self.fractions)


@dataclass(frozen=True)
class Candidates:
    """Images as columns of n values each, in any order.

    ``sha256``: hex digits as bytes (S64); ``label``: positions in ``labels``; ``group``: numbers from 0 without gaps;
    ``delivered``, ``previous``: positions of splits in the policy, -1 for none. Where ``is_usable`` is False the image is kept
    out now (in doubt, erased, of a label that is gone) and only holds its group where it was.
    """

    labels: tuple[str, ...]
    sha256: NDArray[np.bytes_]
    label: Codes
    group: Codes
    delivered: Codes
    previous: Codes
    is_usable: NDArray[np.bool_]


@dataclass(frozen=True)
class Assignment:
    """``split``: the split of each candidate, by position; ``moved``: the candidates whose split is not their previous one;
    ``notes`` say where policy, delivery and result differ, and why."""

    split: Codes
    moved: Codes
    notes: tuple[str, ...]


def assign_splits(images: Candidates, policy: SplitPolicy) -> Assignment:
    """One split for every group of ``images``; the order of images changes nothing."""
    size = int(images.group.max()) + 1 if len(images.group) else 0
    usable, names = images.is_usable, policy.names
    before = _by_group(images.group, images.previous, size)
    delivered = _by_group(images.group[usable], images.delivered[usable], size)
    fixed = np.where(before.most != NONE, before.most, delivered.most)
    is_there = np.bincount(images.group[usable], minlength=size) > 0
    released = _release(fixed, before.most, is_there, policy)
    free = FreeGroups.of(images.group[usable], images.label[usable], draws(images.sha256[usable], policy.seed),
                         (fixed == NONE) & is_there, len(images.labels))
    held = _held(images, fixed, len(names))
    split_of_group = share_out(free, held, tuple(policy.fractions.values()), fixed)
    split = split_of_group[images.group]
    moved = np.flatnonzero((images.previous != NONE) & (split != images.previous))
    known = before.most[images.group[usable]] != NONE
    notes = [
        *joins(Joined(before.in_two, delivered.in_two & (before.most == NONE)), images.previous[moved], split[moved], names),
        *late_deliveries(images.delivered[usable], split[usable], known & (images.previous[usable] == NONE), names),
        *([released] if released else []),
        *gaps(images.label[usable], split[usable], images.labels, policy.fractions, policy.locked),
        *uneven_shares(images.group[usable], split[usable], policy.fractions),
    ]
    return Assignment(split, moved, tuple(notes))


def draws(sha256: NDArray[np.bytes_], seed: int) -> NDArray[np.uint64]:
    """A number of 64 bits for each image, drawn by the seed (rounds of splitmix64; Steele et al. 2014)."""
    words = np.ascontiguousarray(sha256.astype("S64")).view("<u8").reshape(len(sha256), 8)
    mixed = np.full(len(sha256), seed % (1 << 64), dtype=np.uint64)
    for word in words.T:
        mixed = (mixed ^ word) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def straddling_groups(rows: Iterable[tuple[str, str]]) -> list[str]:
    """The group ids that stand in more than one split, of ``(group_id, split)`` pairs; empty when nothing leaks."""
    splits: dict[str, set[str]] = defaultdict(set)
    for group, split in rows:
        splits[group].add(split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


@dataclass(frozen=True)
class _Known:
    """By group: the most held-out split that any of its images had (-1: none), and whether they had two."""

    most: Codes
    in_two: NDArray[np.bool_]


def _by_group(group: Codes, split: Codes, size: int) -> _Known:
    most, least = np.full(size, NONE), np.full(size, np.iinfo(np.int64).max)
    known = split != NONE
    np.maximum.at(most, group[known], split[known])
    np.minimum.at(least, group[known], split[known])
    return _Known(most, least < most)


def _held(images: Candidates, fixed: Codes, splits: int) -> Codes:
    """How many usable images of each label each split has already: (splits, labels)."""
    split, labels = fixed[images.group], len(images.labels)
    chosen = images.is_usable & (split != NONE)
    counts = np.bincount(split[chosen] * labels + images.label[chosen], minlength=splits * labels)
    return counts.astype(np.int64).reshape(splits, labels)


def _release(fixed: Codes, before: Codes, is_there: NDArray[np.bool_], policy: SplitPolicy) -> str:
    """Free delivered groups where respecting the delivery would leave nothing to learn from or to choose by; says so.

    A locked split is not worth it (it stays empty, with a note), and what was delivered into it is not taken out of it.
    """
    names = policy.names
    empty = [split for split, name in enumerate(names)
             if policy.fractions[name] > 0 and not (is_there & (fixed == split)).any()]
    if not set(empty) & {0, 1} or (is_there & (fixed == NONE)).any():
        return ""
    givers = [split for split, name in enumerate(names) if name != policy.locked] if 0 in empty else [0]
    freed = is_there & (before == NONE) & np.isin(fixed, givers)
    if not freed.any():
        return ""
    fixed[freed] = NONE
    told = ", ".join(names[split] for split in empty)
    return f"nothing was delivered for {told}: held back from the rest by share ({int(freed.sum())} group(s) shared out)"
