"""Figures: scores that rest on probabilities, not on the most probable label alone.

Here: area under the ROC curve, Brier score, expected calibration error, their replicates, and the points of the two pictures.
Not here: scores of a confusion matrix and intervals (``core.intervals``), the report (``core.report``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.intervals import Interval, drawn, ratio, resampled_sums, share_interval

BINS = 15  # of the expected calibration error, as in Guo et al. 2017
CHANCE_DRAWS = 500  # the mean's error is then some 2 % of the spread of one draw
CURVE_POINTS = 1000  # of a ROC curve at most: more than a picture has pixels for


@dataclass(frozen=True)
class ReliabilityBin:
    """The ``n`` images with a confidence from ``low`` to ``high``: their mean confidence, and how many were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    interval: Interval | None


def auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """The chance that a positive image has the higher of two scores (ties half); None where one kind is missing."""
    above, below = _ranks(positive, scores)
    return float((above + below).sum() / 2 / len(above) / (~positive).sum()) if len(above) and not positive.all() else None


def auc_replicates(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], groups: Sequence[str], *, seed: int = 0
) -> NDArray[np.float64]:
    """The area of each label against the rest (``REPLICATES``, C), whole groups drawn; NaN where one kind is missing."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    plans = []
    for label in range(probabilities.shape[1]):
        positive, scores = truth == label, probabilities[:, label]
        order = np.argsort(scores[~positive], kind="stable")
        plans.append((member[positive], member[~positive][order], *_ranks(positive, scores)))
    return np.concatenate([np.stack([_weighted_auc(weights, *plan) for plan in plans], axis=1)
                           for weights in drawn(len(names), seed=seed, width=len(truth))])


def brier(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum over labels of (probability - truth)², of each image (N,), whose mean is the score of Brier 1950: 0 to 2."""
    missed: NDArray[np.float64] = ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1)
    return missed


def calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The expected calibration error: mean distance of confidence and accuracy over equal bins (Guo et al. 2017)."""
    return float(abs(_misses(probabilities, truth).sum(axis=0)).sum() / len(truth))


def calibration_error_interval(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], groups: Sequence[str], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """The interval of the true calibration error, whole groups drawn; chance only adds to a measured one.

    Measured and true error differ by no more than their bins' distances add up to, and so much is taken off below: a perfectly
    calibrated model has 0 in its interval as often as ``level`` says. The upper end is the percentile.
    """
    misses = _misses(probabilities, truth)
    sums = resampled_sums(np.concatenate([misses, np.ones((len(truth), 1))], axis=1), groups, seed=seed)
    actual, drawn_misses = misses.sum(axis=0) / len(truth), sums[:, :BINS] / sums[:, BINS:]
    error, end = abs(actual).sum(), (1 + level) / 2
    below = np.quantile(abs(drawn_misses - actual).sum(axis=1), end)
    above = np.quantile(abs(drawn_misses).sum(axis=1), end)
    return Interval(max(0.0, float(error - below)), max(float(error), float(above)), level)


def chance_calibration_error(probabilities: NDArray[np.float64], *, seed: int = 0) -> float:
    """The mean error that a perfectly calibrated model would show with these probabilities at this n.

    Answers are drawn from the probabilities (consistency resampling, Bröcker & Smith 2007).
    """
    confidence = probabilities.max(axis=1)
    rng, bins = np.random.default_rng(seed), _bins(confidence)
    order = np.argsort(bins, kind="stable")
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    sure = confidence[order]
    errors = [abs(np.add.reduceat(sure - (rng.random(len(sure)) < sure), starts)).sum() for _ in range(CHANCE_DRAWS)]
    return float(np.mean(errors) / len(sure))


def reliability(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], groups: Sequence[str]
) -> tuple[ReliabilityBin, ...]:
    """The bins of the expected calibration error that have images, by confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bins, names, found = _bins(confidence), np.asarray(groups), []
    for place in np.unique(bins).tolist():
        of = bins == place
        sums = resampled_sums(np.stack([right[of], np.ones(int(of.sum()), dtype=bool)], axis=1), names[of])
        interval = share_interval(int(right[of].sum()), int(of.sum()), ratio(sums[:, 0], sums[:, 1]), len(set(names[of])))
        found.append(ReliabilityBin(place / BINS, (place + 1) / BINS, int(of.sum()), float(confidence[of].mean()),
                                    float(right[of].mean()), interval))
    return tuple(found)


def roc_points(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """The ROC curve from (0, 0) to (1, 1): false positive rate and recall at each threshold, thinned for a picture.

    Empty where positive or negative images are missing.
    """
    if positive.all() or not positive.any():
        return ()
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # equal scores are one step
    recall = np.cumsum(positive[order])[last] / positive.sum()
    false = np.cumsum(~positive[order])[last] / (~positive).sum()
    keep = np.unique(np.linspace(0, len(last) - 1, min(len(last), CURVE_POINTS)).round().astype(int))
    return ((0.0, 0.0), *zip(false[keep].tolist(), recall[keep].tolist(), strict=True))


def _ranks(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each positive image, how many negative ones have a lower score, and how many a lower or equal one."""
    negative = np.sort(scores[~positive])
    below, up_to = (np.searchsorted(negative, scores[positive], side=side) for side in ("left", "right"))
    return below.astype(np.int64), up_to.astype(np.int64)


def _weighted_auc(
    weights: NDArray[np.float64], positive: NDArray[np.int64], negative: NDArray[np.int64], below: NDArray[np.int64],
    up_to: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The area (b,) with group ``weights`` (b, G); group of each positive and of each negative image, the latter by score."""
    passed = np.zeros((len(weights), len(negative) + 1))
    np.cumsum(weights[:, negative], axis=1, out=passed[:, 1:])
    ours = weights[:, positive]
    won = np.einsum("bi,bi->b", ours, passed[:, below] + passed[:, up_to]) / 2
    return ratio(won, ours.sum(axis=1) * passed[:, -1])


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _misses(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Confidence minus rightness of each image, in the column of its bin (N, BINS)."""
    confidence = probabilities.max(axis=1)
    columns = np.zeros((len(truth), BINS))
    columns[np.arange(len(truth)), _bins(confidence)] = confidence - (probabilities.argmax(axis=1) == truth)
    return columns
