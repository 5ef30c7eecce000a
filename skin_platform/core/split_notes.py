"""Split notes: what is said where the policy, the delivery and the splits that came of it differ.

Here: sentences with counts. Not here: the rule itself (``core.splits``), which images moved (kept with each dataset version).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
NOTICEABLE = 0.05  # of all images, that a split may hold over or under its share without a word
FEW = 20  # images, below which shares cannot be kept anyway


@dataclass(frozen=True)
class Joined:
    """By group: whether its images stood in two splits before, or were delivered into two."""

    before: NDArray[np.bool_]
    delivered: NDArray[np.bool_]


def joins(joined: Joined, moved_from: Codes, moved_to: Codes, names: Sequence[str]) -> list[str]:
    """What joined groups came to; ``moved_from`` and ``moved_to`` are the splits of each image that moved."""
    notes = []
    if joined.before.any():
        ways = Counter(zip(moved_from.tolist(), moved_to.tolist(), strict=True))
        told = ", ".join(f"{count} from {names[old]} to {names[new]}" for (old, new), count in sorted(ways.items()))
        notes.append(f"{int(joined.before.sum())} group(s) that stood in two splits were joined by later links: the more "
                     f"held-out split took each whole; {len(moved_from)} image(s) moved: {told}")
    if joined.delivered.any():
        notes.append(f"{int(joined.delivered.sum())} group(s) were delivered into two splits: the more held-out one took each "
                     "whole")
    return notes


def late_deliveries(delivered: Codes, split: Codes, is_new: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """New images of known groups that were delivered for another split than their group's."""
    odd = is_new & (delivered >= 0) & (delivered != split)
    ways = Counter(zip(delivered[odd].tolist(), split[odd].tolist(), strict=True))
    return [f"{count} new image(s) delivered for {names[asked]} are in {names[got]}, where their group has been since an "
            "earlier version" for (asked, got), count in sorted(ways.items())]


def gaps(label: Codes, split: Codes, labels: Sequence[str], fractions: Mapping[str, float], locked: str | None) -> list[str]:
    """A note for every wanted split that is empty, and every label that a wanted split cannot show."""
    shown = set(np.unique(split * len(labels) + label).tolist()) if len(label) else set()
    present = sorted({pair % len(labels) for pair in shown}, key=lambda at: labels[at])
    notes = []
    for position, (name, share) in enumerate(fractions.items()):
        missing = [labels[at] for at in present if position * len(labels) + at not in shown]
        if share == 0 or not missing:
            continue
        if len(missing) == len(present):
            remedy = " (no score on images that were never chosen by): validation comes first" if name == locked else ""
            notes.append(f"{name} is empty, too few groups are free for it{remedy}; deliver more, or images for {name}")
        else:
            notes += [f"no image of '{label}' in {name}: too few groups of it to be in every split" for label in missing]
    return notes


def uneven_shares(group: Codes, split: Codes, fractions: Mapping[str, float]) -> list[str]:
    """A note where a split's share of all images is not what was asked for."""
    total = len(split)
    if total < FEW:
        return []
    counts = np.bincount(split, minlength=len(fractions)) / total
    odd = [f"{name} holds {counts[at]:.0%} of the images, not {share:.0%}" for at, (name, share) in enumerate(fractions.items())
           if abs(counts[at] - share) > NOTICEABLE]
    largest = int(np.bincount(group).max())
    return [f"{', '.join(odd)}: groups go whole (the largest has {largest} of {total} images), and what was delivered or "
            "assigned before comes before the shares"] if odd else []
