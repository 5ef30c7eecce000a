"""Label mix: what accuracy the labels of a subgroup let one expect.

Here: the expected accuracy, and by how much the actual one misses it. Not here: which subgroups there are (``core.subgroups``).

A subgroup may be harder because other lesions occur in it. So its accuracy is held against what its own mix of labels would
give with the recalls of all other images (indirect standardisation, as for rates of hospitals with other patients). Images
with a label that no other image has are left out of that, and counted. The interval of the difference joins the score
intervals of both (Newcombe 1998; Zou & Donner 2008).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.intervals import Interval, ratio, wilson_by_spread


@dataclass(frozen=True)
class MixCounts:
    """Right answers, images (B, C) by label and covered images (B,) of a subgroup; right answers and images of all others."""

    right: NDArray[np.float64]
    images: NDArray[np.float64]
    covered: NDArray[np.float64]
    other_right: NDArray[np.float64]
    other_images: NDArray[np.float64]

    @classmethod
    def of(cls, everyone: NDArray[np.float64], inside: NDArray[np.float64]) -> "MixCounts":
        """From right answers and images by label and covered images (B, 2*C + 1), of all images and of the subgroup."""
        classes = everyone.shape[1] // 2
        (right, images), (all_right, all_images) = (
            (sums[:, :classes], sums[:, classes:2 * classes]) for sums in (inside, everyone))
        return cls(right, images, inside[:, -1], all_right - right, all_images - images)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The subgroup's accuracy (B,)."""
        return ratio(self.right.sum(1), self.images.sum(1))

    @property
    def expected(self) -> NDArray[np.float64]:
        """The accuracy (B,) of the subgroup's mix of labels with the others' recalls, of labels that they have."""
        return ratio((np.where(self.comparable, ratio(self.other_right, self.other_images), 0.0) * self.images).sum(1),
                     (self.images * self.comparable).sum(1))

    @property
    def comparable_accuracy(self) -> NDArray[np.float64]:
        """The accuracy (B,) on those labels."""
        return ratio((self.right * self.comparable).sum(1), (self.images * self.comparable).sum(1))

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Which labels (B, C) other images have, too."""
        found: NDArray[np.bool_] = self.other_images > 0
        return found


@dataclass(frozen=True)
class Comparison:
    """The ``accuracy`` on the images that can be compared, all but ``left_out``; the ``gap`` is that minus the ``expected``.

    All are None where no image is left.
    """

    left_out: int
    accuracy: float | None = None
    expected: float | None = None
    gap: float | None = None
    gap_interval: Interval | None = None


def left_out_note(n: int, left_out: int, accuracy: float | None) -> str:
    """``; accuracy 0.750 with 1 of 13 left out``, to stand after a gap; "" where none of the ``n`` images was left out."""
    if not left_out:
        return ""
    return "; all left out" if accuracy is None else f"; accuracy {accuracy:.3f} with {left_out} of {n} left out"


def comparison_of(actual: MixCounts, drawn: MixCounts, groups: tuple[int, int], level: float) -> Comparison:
    """A subgroup held against what its mix of labels lets expect.

    ``drawn`` are replicates of ``actual`` (B = 1), ``groups`` the numbers of groups of the subgroup and of the others.
    """
    n = float((actual.images * actual.comparable).sum())
    left_out = int(actual.images.sum() - n)
    if not n:
        return Comparison(left_out)
    expected, accuracy = float(actual.expected[0]), float(actual.comparable_accuracy[0])
    here = wilson_by_spread(accuracy, drawn.comparable_accuracy, groups[0], level, most=n)
    there = wilson_by_spread(expected, drawn.expected, groups[1], level)
    gap = accuracy - expected
    return Comparison(left_out, accuracy, expected, gap, Interval(
        gap - math.hypot(accuracy - here.low, there.high - expected),
        gap + math.hypot(here.high - accuracy, expected - there.low), level))
