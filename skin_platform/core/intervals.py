"""Intervals: how far a score on few images may be from the score on many.

Here: percentile intervals of scores of a confusion matrix, by resampling groups. Not here: the scores of one sample as they
are shown (``core.report``).

The images of one patient are alike, so that they tell less than as many images of different patients: whole groups are drawn
(the cluster bootstrap, Field & Welsh 2007), not images.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000  # the ends of a 95 % interval then rest on some 50 replicates each
CELLS = 60_000  # of the draws held at once: they fit a processor's cache, which is three to eight times as fast as 4,000,000


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
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def recalls_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Recall (..., C) of each label; NaN for a label without images."""
    return ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1))


def precisions_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision (..., C) of each label; NaN for a label that is never predicted."""
    return ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-2))


def balanced_accuracy_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean recall (...,) of the labels that have images."""
    return _mean(recalls_of(confusion))


def macro_f1_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean F1 (...,) of the labels that have images."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    truth = confusion.sum(-1)
    f1 = ratio(2 * hits, truth + confusion.sum(-2))
    return _mean(np.where(truth > 0, f1, np.nan))


def resampled(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: Sequence[str], classes: int, seed: int = 0
) -> NDArray[np.float64]:
    """Confusion counts (``REPLICATES``, C, C) of samples drawn with replacement, a group at a time.

    ``truth`` and ``predicted`` are label indices (N,), ``groups`` the group id of each image.
    """
    cells = truth[:, None] * classes + predicted[:, None] == np.arange(classes * classes)
    return resampled_sums(cells, groups, seed=seed).reshape(-1, classes, classes)


def resampled_sums(
    columns: NDArray[np.float64] | NDArray[np.bool_], groups: Sequence[str] | NDArray[np.str_], *,
    replicates: int = REPLICATES, seed: int = 0,
) -> NDArray[np.float64]:
    """The sums (``replicates``, K) of ``columns`` (N, K) over samples drawn with replacement, a group at a time."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(len(names)))
    by_group = np.add.reduceat(columns[order], starts, axis=0, dtype=np.float64)
    return np.concatenate([weights @ by_group for weights in drawn(len(names), replicates=replicates, seed=seed)])


def drawn(groups: int, *, replicates: int = REPLICATES, seed: int = 0, width: int = 0) -> Iterator[NDArray[np.float64]]:
    """How often each of ``groups`` is drawn (b, groups) when as many are drawn with replacement; ``replicates`` rows in all.

    They come in portions, so that neither they nor what the caller makes of them (``width`` values a row) fills the memory.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, CELLS // max(groups, width))
    for start in range(0, replicates, rows):
        portion = min(rows, replicates - start)
        chosen = rng.integers(0, groups, (portion, groups)) + np.arange(portion)[:, None] * groups
        counts = np.bincount(chosen.ravel(), minlength=portion * groups)
        yield counts.reshape(portion, groups).astype(np.float64)


def interval(values: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """The percentile interval (Efron & Tibshirani 1993) of a score's replicates (B,); None where it has no value in most.

    Replicates without a value (no image of the label was drawn) do not count.
    """
    known = values[~np.isnan(values)]
    if len(known) * 2 < len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def share_interval(
    hits: int, n: int, values: NDArray[np.float64], groups: int, level: float = 0.95
) -> Interval | None:
    """The score interval of a share (Wilson 1927), which holds near 0 and 1, where replicates have no spread.

    ``hits`` of ``n`` images, ``values`` the share's replicates (B,), ``groups`` the number of groups. The effective
    number of images is that at which independent ones would spread as the replicates do (Korn & Graubard 1998), and the
    number of groups where all hit or none. None for ``n`` 0.
    """
    return wilson_by_spread(hits / n, values, groups, level, most=n) if n else None


def wilson_by_spread(
    share: float, values: NDArray[np.float64], groups: int, level: float = 0.95, *, most: float = math.inf
) -> Interval:
    """The same for a ``share`` that is no count, as an area under a curve (Kottas, Kuss & Zapf 2014); ``most`` images count."""
    variance = float(np.nanvar(values))
    effective = min(most, share * (1 - share) / variance) if 0 < share < 1 and variance > 0 else float(groups)
    return wilson(share, effective, level)


def wilson(share: float, effective: float, level: float = 0.95) -> Interval:
    """The score interval (Wilson 1927) of a ``share`` of ``effective`` independent images."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    spread = z * z / effective
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / effective + spread / (4 * effective))
    return Interval(max(0.0, centre - half), min(1.0, centre + half), level)


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients, NaN where ``below`` is 0."""
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))
