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

from skin_platform.core.conformal import coverage_interval
from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import Interval, ratio, resampled_sums, share_interval, wilson

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


def subgroup_table(evidence: Evidence, by: Sequence[str], fewest: int, level: float = 0.95) -> tuple[Subgroup, ...]:
    """Every value of the attributes ``by``; one with under ``fewest`` images, or with fewer beside it, is not judged."""
    found = []
    for attribute in by:
        values = values_of(evidence, attribute)
        counts = {value: int((values == value).sum()) for value in sorted(set(values.tolist()), key=_order)}
        enough = sum(count >= fewest for value, count in counts.items() if value)
        for value, count in counts.items():
            standing: Standing = (
                "not given" if not value else "too few to judge" if count < fewest
                else "judged" if enough > 1 else "nothing to compare with")
            found.append(_subgroup(evidence, values == value, attribute, value or NOT_GIVEN, standing, level))
    return tuple(found)


def _order(value: str) -> tuple[bool, bool, str]:
    """Bands by age, other values by name, those not given last."""
    return (not value, not value.startswith("under "), value)


def _subgroup(
    evidence: Evidence, inside: NDArray[np.bool_], attribute: str, value: str, standing: Standing, level: float
) -> Subgroup:
    names, right, covered = np.asarray(evidence.groups), evidence.right[inside], evidence.covered[inside]
    within = names[inside]
    sums = resampled_sums(np.stack([right, np.ones(len(right), dtype=bool)], axis=1), within)
    groups = len(set(within.tolist()))
    expected, gap, gap_interval = _gap(evidence, inside, level)
    return Subgroup(
        attribute, value, len(right), groups, standing, float(right.mean()),
        share_interval(int(right.sum()), len(right), ratio(sums[:, 0], sums[:, 1]), groups, level), expected, gap, gap_interval,
        float(covered.mean()), coverage_interval(evidence, inside, level))


def _gap(
    evidence: Evidence, inside: NDArray[np.bool_], level: float
) -> tuple[float | None, float | None, Interval | None]:
    """Expected accuracy, accuracy minus that, and its interval, over the labels that other images have, too."""
    classes = len(evidence.labels)
    comparable = np.bincount(evidence.truth[~inside], minlength=classes) > 0
    if not comparable[evidence.truth[inside]].any():
        return None, None, None
    label = (evidence.truth[:, None] == np.arange(classes)) & comparable
    right = label & evidence.right[:, None]
    columns = np.concatenate([part & side[:, None] for side in (inside, ~inside) for part in (right, label)], axis=1)
    (expected,), (accuracy,) = _standardised(columns.sum(0, dtype=np.float64)[None], classes)
    expecteds, accuracies = _standardised(resampled_sums(columns, evidence.groups), classes)
    counted = inside & comparable[evidence.truth]
    of_groups = len({evidence.groups[i] for i in np.flatnonzero(counted).tolist()})
    here = share_interval(int(evidence.right[counted].sum()), int(counted.sum()), accuracies, of_groups, level)
    variance = float(np.nanvar(expecteds))
    others = len({evidence.groups[i] for i in np.flatnonzero(~inside).tolist()})
    there = wilson(expected, expected * (1 - expected) / variance if variance > 0 else others, level)
    assert here is not None  # an image is counted
    return float(expected), float(accuracy - expected), Interval(
        float(accuracy - expected - math.hypot(accuracy - here.low, there.high - expected)),
        float(accuracy - expected + math.hypot(here.high - accuracy, expected - there.low)), level)


def _standardised(sums: NDArray[np.float64], classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected and actual accuracy (B,) from right answers and images by label, inside and outside (B, 4*C)."""
    right_in, n_in, right_out, n_out = (sums[:, part * classes:(part + 1) * classes] for part in range(4))
    shared = n_out > 0  # in a replicate without such an image outside, those inside do not count
    recalls = np.where(shared, ratio(right_out, n_out), 0.0)
    n = (n_in * shared).sum(1)
    return ratio((n_in * recalls).sum(1), n), ratio((right_in * shared).sum(1), n)
