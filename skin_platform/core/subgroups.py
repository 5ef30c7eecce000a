"""Subgroups: how a model does on the images of one sex, age band, skin type, site or source.

Here: the bands, and a table with n, intervals and "too few to judge". Not here: what is too bad (``core.gates``).

A subgroup may be harder because other lesions occur in it. So its accuracy is held against what its own mix of labels would
give with the recalls of all other images (indirect standardisation, as for rates of hospitals with other patients). The
interval of the difference joins the score intervals of both (Newcombe 1998; Zou & Donner 2008).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import Interval, ratio, resampled_sums, share_interval, wilson_by_spread

NOT_GIVEN = "(not given)"
Standing = Literal["judged", "too few to judge", "not given", "nothing to compare with"]


@dataclass(frozen=True)
class Subgroup:
    """The images whose ``attribute`` has the ``value``, in lower case as compared.

    ``expected`` is the accuracy that its mix of labels would have with the recalls of the other images, ``gap`` the accuracy
    minus that; None where no other image has its labels. Intervals are two-sided at the table's level.
    """

    attribute: str
    value: str
    n: int
    groups: int
    standing: Standing
    accuracy: float
    accuracy_interval: Interval | None
    expected: float | None
    gap: float | None
    gap_interval: Interval | None
    coverage: float
    coverage_interval: Interval | None

    @property
    def name(self) -> str:
        """``sex f``, as people read it."""
        return f"{self.attribute} {self.value}"


def age_band(text: str, bands: Sequence[int]) -> str:
    """``under 30``, ``30 to 49`` or ``70 and over`` of an age in years, by the ascending ``bands``; "" where it is no age."""
    try:
        age = float(text)
    except ValueError:
        return ""
    if not bands or not math.isfinite(age) or age < 0:
        return ""
    above = [i for i, start in enumerate(bands) if age >= start]
    if not above:
        return f"under {bands[0]}"
    last = above[-1]
    return f"{bands[last]} and over" if last == len(bands) - 1 else f"{bands[last]} to {bands[last + 1] - 1}"


def values_of(evidence: Evidence, attribute: str) -> NDArray[np.str_]:
    """The attribute's values (N,) as they are compared: without spaces around them, in lower case; "" where none is given.

    Raises ``ValueError`` for an attribute that the evidence lacks.
    """
    if attribute not in evidence.attributes:
        known = ", ".join(evidence.attributes) or "none"
        raise ValueError(f"the evidence has no attribute '{attribute}' (there are: {known}): see gates.subgroups.by")
    return np.array([value.strip().lower() for value in evidence.attributes[attribute]])


def standings(evidence: Evidence, attribute: str, fewest: int) -> dict[str, Standing]:
    """Whether each value of the attribute can be judged, which needs ``fewest`` images of it and of another value."""
    values = values_of(evidence, attribute).tolist()
    counts = {value: values.count(value) for value in sorted(set(values), key=_order)}
    enough = sum(count >= fewest for value, count in counts.items() if value)
    return {value: "not given" if not value else "too few to judge" if count < fewest
            else "judged" if enough > 1 else "nothing to compare with" for value, count in counts.items()}


def subgroup_table(evidence: Evidence, by: Sequence[str], fewest: int, level: float = 0.95) -> tuple[Subgroup, ...]:
    """Every value of the attributes ``by``; one with under ``fewest`` images, or with fewer beside it, is not judged.

    Raises ``ValueError`` for an attribute that the evidence lacks.
    """
    return tuple(item for attribute in by for item in _of_attribute(evidence, attribute, fewest, level))


def _order(value: str) -> tuple[bool, bool, str]:
    """Bands by age, other values by name, those not given last."""
    return (not value, not value.startswith("under "), value)


def _of_attribute(evidence: Evidence, attribute: str, fewest: int, level: float) -> list[Subgroup]:
    """The values of one attribute, with intervals from the same draws of groups."""
    classes, values = len(evidence.labels), values_of(evidence, attribute)
    found = standings(evidence, attribute, fewest)
    masks = [values == value for value in found]
    images = evidence.truth[:, None] == np.arange(classes)
    counted = np.concatenate([images & evidence.right[:, None], images, evidence.covered[:, None]], axis=1)
    columns = np.concatenate([counted, *(counted & mask[:, None] for mask in masks)], axis=1)
    width = counted.shape[1]
    both = (columns.sum(axis=0, dtype=np.float64)[None], resampled_sums(columns, evidence.groups))
    rows = []
    for place, (value, standing) in enumerate(found.items()):
        actual, drawn = (_Counts.of(sums[:, :width], sums[:, (place + 1) * width:(place + 2) * width]) for sums in both)
        rows.append(_row(evidence, masks[place], (attribute, value or NOT_GIVEN, standing), actual, drawn, level))
    return rows


@dataclass(frozen=True)
class _Counts:
    """Right answers, images (B, C) by label and covered images (B,) of a subgroup; right answers and images of all others."""

    right: NDArray[np.float64]
    images: NDArray[np.float64]
    covered: NDArray[np.float64]
    other_right: NDArray[np.float64]
    other_images: NDArray[np.float64]

    @classmethod
    def of(cls, everyone: NDArray[np.float64], inside: NDArray[np.float64]) -> "_Counts":
        classes = everyone.shape[1] // 2
        (right, images), (all_right, all_images) = (
            (sums[:, :classes], sums[:, classes:2 * classes]) for sums in (inside, everyone))
        return cls(right, images, inside[:, -1], all_right - right, all_images - images)

    @property
    def accuracy(self) -> NDArray[np.float64]:
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
        return self.other_images > 0


def _row(
    evidence: Evidence, inside: NDArray[np.bool_], named: tuple[str, str, Standing], actual: _Counts, drawn: _Counts,
    level: float,
) -> Subgroup:
    n, groups = int(inside.sum()), _groups(evidence, inside)
    hits, covered = int(actual.right.sum()), int(actual.covered[0])
    expected, gap, gap_interval = _gap(evidence, inside, actual, drawn, level)
    return Subgroup(
        *named[:2], n, groups, named[2], hits / n, share_interval(hits, n, drawn.accuracy, groups, level), expected, gap,
        gap_interval, covered / n,
        share_interval(covered, n, ratio(drawn.covered, drawn.images.sum(1)), groups, level))


def _gap(
    evidence: Evidence, inside: NDArray[np.bool_], actual: _Counts, drawn: _Counts, level: float
) -> tuple[float | None, float | None, Interval | None]:
    """Expected accuracy, accuracy minus that, and its interval, over the labels that other images have, too."""
    expected, accuracy = float(actual.expected[0]), float(actual.comparable_accuracy[0])
    if math.isnan(expected):
        return None, None, None
    here = wilson_by_spread(accuracy, drawn.comparable_accuracy, _groups(evidence, inside), level, most=int(inside.sum()))
    there = wilson_by_spread(expected, drawn.expected, _groups(evidence, ~inside), level)
    gap = accuracy - expected
    return expected, gap, Interval(gap - math.hypot(accuracy - here.low, there.high - expected),
                                   gap + math.hypot(here.high - accuracy, expected - there.low), level)


def _groups(evidence: Evidence, mask: NDArray[np.bool_]) -> int:
    return len({evidence.groups[i] for i in np.flatnonzero(mask).tolist()})
