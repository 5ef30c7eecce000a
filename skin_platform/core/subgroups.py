"""Subgroups: how a model does on the images of one sex, age band, skin type, site or source.

Here: the bands, the skin types, and a table with n, intervals and "too few to judge". Not here: what accuracy the lesions
of a subgroup let one expect (``core.label_mix``), what is too bad (``core.gates``).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import Interval, ratio, resampled_sums, share_interval
from skin_platform.core.label_mix import MixCounts, comparison_of

NOT_GIVEN = "(not given)"
SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")  # Fitzpatrick (1988)
SKIN_TYPE = re.compile(r"(?:(?:fitzpatrick|fst|photo|skin|type)[\s_:-]*)*(?:([1-6])(?:\.0+)?|(iii|ii|iv|i|vi|v))")
Standing = Literal["judged", "too few to judge", "not given", "nothing to compare with"]


@dataclass(frozen=True)
class Subgroup:
    """The images whose ``attribute`` has the ``value``, written as it is compared (``values_of``).

    ``expected`` is the accuracy that its mix of labels would have with the recalls of the other images, ``gap`` the
    ``comparable_accuracy`` minus that: without the ``left_out`` images, whose label no other image has. None where all are
    left out. Intervals are two-sided at the table's level.
    """

    attribute: str
    value: str
    n: int
    groups: int
    standing: Standing
    accuracy: float
    accuracy_interval: Interval | None
    left_out: int
    comparable_accuracy: float | None
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


def skin_type(text: str) -> str:
    """``I`` to ``VI`` of a Fitzpatrick type, however it is written: ``2``, ``2.0``, ``ii``, ``type II``, ``FST 2``.

    Anything else, as two types in one, stays as it is.
    """
    found = SKIN_TYPE.fullmatch(text.strip().lower())
    if not found:
        return text
    return SKIN_TYPES[int(found[1]) - 1] if found[1] else found[2].upper()


def values_of(evidence: Evidence, attribute: str) -> NDArray[np.str_]:
    """The attribute's values (N,) as they are compared: without spaces around them, in lower case; "" where none is given.

    A skin type is in capitals, as people write it: ``I`` to ``VI``.

    Raises ``ValueError`` for an attribute that the evidence lacks.
    """
    if attribute not in evidence.attributes:
        known = ", ".join(evidence.attributes) or "none"
        raise ValueError(f"the evidence has no attribute '{attribute}' (there are: {known}): see gates.subgroups.by")
    alike = skin_type if attribute == "skin_type" else str
    return np.array([alike(value.strip().lower()) for value in evidence.attributes[attribute]])


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
        actual, drawn = (MixCounts.of(sums[:, :width], sums[:, (place + 1) * width:(place + 2) * width]) for sums in both)
        rows.append(_row(evidence, masks[place], (attribute, value or NOT_GIVEN, standing), actual, drawn, level))
    return rows


def _row(
    evidence: Evidence, inside: NDArray[np.bool_], named: tuple[str, str, Standing], actual: MixCounts, drawn: MixCounts,
    level: float,
) -> Subgroup:
    n, groups = int(inside.sum()), _groups(evidence, inside)
    hits, covered = int(actual.right.sum()), int(actual.covered[0])
    compared = comparison_of(actual, drawn, (groups, _groups(evidence, ~inside)), level)
    return Subgroup(
        *named[:2], n, groups, named[2], hits / n, share_interval(hits, n, drawn.accuracy, groups, level),
        compared.left_out, compared.accuracy, compared.expected, compared.gap, compared.gap_interval, covered / n,
        share_interval(covered, n, ratio(drawn.covered, drawn.images.sum(1)), groups, level))


def _groups(evidence: Evidence, mask: NDArray[np.bool_]) -> int:
    return len({evidence.groups[i] for i in np.flatnonzero(mask).tolist()})
