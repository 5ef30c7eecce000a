"""Intervals: how far a score on few images may be from the score on many.

Here: percentile intervals of scores of a confusion matrix, by resampling groups. Not here: the scores of one sample as they
are shown (``ml.evaluation``).

The images of one patient are alike, so that they tell less than as many images of different patients: whole groups are drawn
(the cluster bootstrap, Field & Welsh 2007), not images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000  # the ends of a 95 % interval then rest on some 50 replicates each
Z95 = 1.959964  # of the standard normal distribution


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high`` at confidence ``level``, on the score's own scale."""

    low: float
    high: float
    level: float = 0.95


def with_interval(value: float, interval: Interval | None) -> str:
    """``0.613 (0.55 to 0.67)``, as people read it."""
    return f"{value:.3f}" + (f" ({interval.low:.2f} to {interval.high:.2f})" if interval else "")


def accuracy_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy (...,) of confusion counts (..., C, C), rows of truth; NaN for an empty one."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def recalls_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Recall (..., C) of each label; NaN for a label without images."""
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1))


def balanced_accuracy_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean recall (...,) of the labels that have images."""
    return _mean(recalls_of(confusion))


def macro_f1_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean F1 (...,) of the labels that have images."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    truth = confusion.sum(-1)
    f1 = _ratio(2 * hits, truth + confusion.sum(-2))
    return _mean(np.where(truth > 0, f1, np.nan))


def resampled(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: Sequence[str], classes: int, seed: int = 0
) -> NDArray[np.float64]:
    """Confusion counts (``REPLICATES``, C, C) of samples drawn with replacement, a group at a time.

    ``truth`` and ``predicted`` are label indices (N,), ``groups`` the group id of each image.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    cells = np.zeros((len(names), classes * classes))
    np.add.at(cells, (member, truth * classes + predicted), 1)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), REPLICATES)
    counts: NDArray[np.float64] = (drawn.astype(np.float64) @ cells).reshape(REPLICATES, classes, classes)
    return counts


def interval(values: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """The percentile interval (Efron & Tibshirani 1993) of a score's replicates (B,); None where it has no value in most.

    Replicates without a value (no image of the label was drawn) do not count.
    """
    known = values[~np.isnan(values)]
    if len(known) * 2 < len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def share_interval(hits: int, n: int, values: NDArray[np.float64], groups: int) -> Interval | None:
    """The score interval of a share at 95 % (Wilson 1927), which holds near 0 and 1, where replicates have no spread.

    ``hits`` of ``n`` images, ``values`` the share's replicates (B,), ``groups`` the number of groups. The effective
    number of images is that at which independent ones would spread as the replicates do (Korn & Graubard 1998), and the
    number of groups where all hit or none. None for ``n`` 0.
    """
    if not n:
        return None
    share, variance = hits / n, float(np.nanvar(values))
    effective = min(float(n), share * (1 - share) / variance) if 0 < hits < n and variance > 0 else float(groups)
    spread = Z95 * Z95 / effective
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * float(np.sqrt(share * (1 - share) / effective + spread / (4 * effective)))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))
