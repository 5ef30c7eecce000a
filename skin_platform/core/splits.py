"""Splits: which images are learnt from and which are held back, so that nothing leaks and nothing moves.

Here: the assignment of groups to splits. Not here: what joins images into groups (``core.groups``).

A group (patient, lesion, equal bytes) goes to one split as a whole. In this order:

1. what an earlier version assigned stays; where new links join two of its splits, the more held-out one takes the group
   (an image may leave training, it never enters it from validation);
2. a delivered split is respected, the more held-out one where a group was delivered into two;
3. the rest is stratified by label: each group, in seeded order, goes where its labels are missing most.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An image that may be in a dataset: ``delivered`` and ``previous`` are split names or None."""

    sha256: str
    label: str
    group_id: str
    delivered: str | None = None
    previous: str | None = None


@dataclass(frozen=True)
class Assignment:
    """``split_of`` maps each SHA-256 to its split; ``notes`` say where delivery and result differ, and why."""

    split_of: Mapping[str, str]
    notes: tuple[str, ...]


def assign_splits(rows: Sequence[Candidate], fractions: Mapping[str, float], seed: int) -> Assignment:
    """One split for every group of ``rows``.

    ``fractions`` names the splits from least to most held out (``train`` first) with their share of each label; a
    split with share 0 holds only what is delivered into it. Raises ``ValueError`` when the shares do not add up to 1.
    """
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"the fractions of the splits add up to {sum(fractions.values()):g}, not 1: {dict(fractions)}")
    members: dict[str, list[Candidate]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.sha256):
        members[row.group_id].append(row)
    rank = {split: position for position, split in enumerate(fractions)}
    notes: list[str] = []
    fixed: dict[str, str] = {}
    for kind in ("previous", "delivered"):
        joined = 0
        for group, images in members.items():
            splits = {value for image in images if (value := getattr(image, kind)) in rank}
            if splits and group not in fixed:
                fixed[group] = max(splits, key=rank.__getitem__)
                joined += len(splits) > 1
        if joined:
            notes.append(f"{joined} group(s) stood in two {kind} splits; the more held-out split took each whole")
    released = _release(members, fixed, fractions)
    if released:
        notes.append(released)
    _fill(members, fixed, fractions, seed)
    split_of = {image.sha256: fixed[group] for group, images in members.items() for image in images}
    return Assignment(split_of, tuple(notes + _gaps(rows, split_of, fractions)))


def straddling_groups(rows: Iterable[tuple[str, str]]) -> list[str]:
    """The group ids that stand in more than one split, of ``(group_id, split)`` pairs; empty when nothing leaks."""
    splits: dict[str, set[str]] = defaultdict(set)
    for group, split in rows:
        splits[group].add(split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _release(members: Mapping[str, list[Candidate]], fixed: dict[str, str], fractions: Mapping[str, float]) -> str:
    """Free delivered groups where respecting the delivery would leave a wanted split empty; says what was freed."""
    empty = [split for split, share in fractions.items() if share > 0 and split not in fixed.values()]
    has_free = len(fixed) < len(members)
    if not empty or has_free:
        return ""
    known = {group for group, images in members.items() if any(image.previous in fractions for image in images)}
    first = next(iter(fractions))
    freed = [group for group, split in fixed.items() if group not in known and (split == first or first in empty)]
    for group in freed:
        del fixed[group]
    return f"nothing was delivered for {', '.join(empty)}: its share was held back from the rest" if freed else ""


def _fill(
    members: Mapping[str, list[Candidate]], fixed: dict[str, str], fractions: Mapping[str, float], seed: int
) -> None:
    """Give every group without a split the one in which its labels are missing most (cf. Sechidis et al. 2011)."""
    # a delivered test set has no share: the shares are of the rest, or a large one would leave nothing for val
    total = Counter(image.label for group, images in members.items()
                    if group not in fixed or fractions[fixed[group]] > 0 for image in images)
    held: Counter[tuple[str, str]] = Counter()
    for group, split in fixed.items():
        held.update((split, image.label) for image in members[group])

    def order(group: str) -> tuple[int, str]:
        rarest = min(total[image.label] for image in members[group])
        return rarest, hashlib.sha256(f"{seed}:{members[group][0].sha256}".encode()).hexdigest()

    def missing(split: str, group: str) -> float:
        counts = Counter(image.label for image in members[group])
        return sum(n * (fractions[split] * total[label] - held[split, label]) / total[label]
                   for label, n in counts.items())

    for group in sorted(members.keys() - fixed.keys(), key=order):
        split = max(fractions, key=lambda split: missing(split, group))
        fixed[group] = split
        held.update((split, image.label) for image in members[group])


def _gaps(rows: Sequence[Candidate], split_of: Mapping[str, str], fractions: Mapping[str, float]) -> list[str]:
    """A note for every label that a wanted split cannot show."""
    shown = {(split_of[row.sha256], row.label) for row in rows}
    return [
        f"no image of '{label}' in {split}: too few groups of it to be both learnt from and held back"
        for label in sorted({row.label for row in rows})
        for split, share in fractions.items()
        if share > 0 and (split, label) not in shown
    ]
