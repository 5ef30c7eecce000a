"""Conformal prediction: sets of labels that hold the true one as often as stated.

Here: thresholds from calibration rows, the sets made with them, and how often they held the truth elsewhere. Not here: what a
person is told of a set (``core.answers``), whether the coverage is good enough (``core.gates``).

Split conformal prediction (Vovk, Gammerman & Shafer 2005) with the score 1 - probability of the true label (Sadinle, Lei &
Wasserman 2019); by label it is Mondrian conformal prediction (Vovk 2012), which holds for each label and not only on average.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import Interval, resampled_sums, share_interval

ASSUMPTION = (
    "The coverage holds on average for images that are exchangeable with the calibration images (as if drawn from the same "
    "clinics, cameras and patients, in any order); for others nothing is promised. Split conformal prediction: Vovk, Gammerman "
    "& Shafer 2005; score and sets: Sadinle, Lei & Wasserman 2019; by label: Vovk 2012.")


def conformal_threshold(true_probabilities: Sequence[float], coverage: float) -> float:
    """The score (1 - probability of the true label) that a set with ``coverage`` must reach.

    The ceil((n+1)*coverage)-th smallest score; 1.0 (every label) where n is too small for the coverage.
    """
    scores = sorted(1.0 - p for p in true_probabilities)
    rank = math.ceil((len(scores) + 1) * coverage)
    return scores[rank - 1] if 1 <= rank <= len(scores) else 1.0


def conformal_thresholds(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], coverage: float, *, by_label: bool
) -> tuple[float, ...]:
    """A threshold for each label from calibration ``probabilities`` (N, C) and true indices (N,).

    The same one for all labels, or with ``by_label`` each from the rows of that label alone: 1.0 where there are too few.
    """
    of_truth = probabilities[np.arange(len(truth)), truth]
    labels = range(probabilities.shape[1])
    if by_label:
        return tuple(conformal_threshold(of_truth[truth == label].tolist(), coverage) for label in labels)
    threshold = conformal_threshold(of_truth.tolist(), coverage)
    return tuple(threshold for _ in labels)


def sets_of(probabilities: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Which labels the set of each image holds (N, C): those whose score is within their threshold."""
    held: NDArray[np.bool_] = 1.0 - probabilities <= np.asarray(thresholds)
    return held


def coverage_interval(evidence: Evidence, mask: NDArray[np.bool_] | None = None, level: float = 0.95) -> Interval | None:
    """The interval of the share of images (those of ``mask``) whose set holds the truth.

    Binomial, as the score interval of Wilson 1927, at the effective number of images where a group has several
    (``core.intervals.share_interval``). None where no image is meant.
    """
    of = np.ones(evidence.n, dtype=bool) if mask is None else mask
    if not of.any():
        return None
    covered, names = evidence.covered[of], np.asarray(evidence.groups)[of]
    sums = resampled_sums(np.stack([covered, np.ones(len(covered))], axis=1), names)
    return share_interval(int(covered.sum()), len(covered), sums[:, 0] / sums[:, 1], len(set(names)), level)
