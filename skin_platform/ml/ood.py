"""Out of distribution: fitting the detector on the features of images that were learnt from, and on those that were not.

Here: the fit. Not here: the distance and its p-value (``core.ood``), where features come from (``defs.checkpoints``).

The covariance is shrunk as Ledoit & Wolf 2004 do (A well-conditioned estimator for large-dimensional covariance matrices), in
the directions of the largest variance alone: the matrix of all features would have as many entries as a small network.

What is kept are means over several patients, directions, and one number for each calibration image; no patient's features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from skin_platform.core.ood import FEWEST, OutOfDistribution, magnitudes, squashed

DIRECTIONS = 64  # 16 to 128 did about as well; each is one row of D numbers in the bundle
FEWEST_GROUPS = 5  # patients behind the mean of a label; with fewer it would show one of them
ROUNDING = 1e-2  # float32 leaves a millionth of a sum of squares
FLAT = 1e-3  # of the usual spread of a feature: the least that it is divided by


def fit_detector(
    learnt: NDArray[np.float32], targets: NDArray[np.int64], groups: Sequence[str], calibration: NDArray[np.float32],
    level: float,
) -> OutOfDistribution | None:
    """The detector of features (n, D) with label indices (n,) and group ids (n,), calibrated on those (m, D) of other images.

    None where ``core.ood.FEWEST`` calibration images are not there, or hardly any to learn from.
    """
    if len(calibration) < FEWEST or len(learnt) < 2 * FEWEST_GROUPS:
        return None
    logarithms = magnitudes(learnt)
    centre, spread = logarithms.mean(axis=0), logarithms.std(axis=0)
    scale = np.maximum(spread, FLAT * float(np.sqrt(np.mean(spread**2))) + 1e-12).astype(np.float32)
    standard = squashed(learnt, centre, scale)
    directions = min(DIRECTIONS, len(learnt) // 4, standard.shape[1])
    with np.errstate(invalid="ignore"):  # of features that never change there is no share of variance to tell
        fitted = PCA(directions, random_state=0).fit(standard)
    basis, middle = fitted.components_.T.astype(np.float32), standard.mean(axis=0)
    along = ((standard - middle) @ basis).astype(np.float64)
    means, member = _label_means(along, targets, groups)
    whitening = _whitening(along - means[member])
    left_out = np.square(standard - middle).sum(axis=1) - np.square(along).sum(axis=1)
    freedom = min(standard.shape[1], len(learnt) - 1) - directions
    noise = _noise(left_out, freedom, float(np.sqrt(np.mean(np.square(standard)))))
    detector = OutOfDistribution(centre, scale, middle, basis, whitening.astype(np.float32),
                                 (means @ whitening).astype(np.float32), noise, np.empty(0), level)
    return OutOfDistribution(**vars(detector) | {"calibration_scores": np.sort(detector.scores(calibration))})


def _label_means(
    along: NDArray[np.float64], targets: NDArray[np.int64], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Means (C, K) of the labels of enough groups, and which of them (n,) each image belongs to.

    Labels of fewer groups share one mean, that of all images.
    """
    names = np.asarray(groups)
    shown = [label for label in np.unique(targets) if len(set(names[targets == label])) >= FEWEST_GROUPS]
    means = [along[targets == label].mean(axis=0) for label in shown]
    member = np.full(len(targets), len(shown), dtype=np.int64)
    for place, label in enumerate(shown):
        member[targets == label] = place
    if (member == len(shown)).any():
        means.append(along.mean(axis=0))
    return np.stack(means), member


def _noise(left_out: NDArray[np.float32], freedom: int, usual: float) -> float:
    """The spread (in each of ``freedom`` numbers) of what is ``left_out`` (n,) of the directions, squared sums.

    Infinite where nothing can be outside of them, and never so small, against the ``usual`` size of a number, that rounding
    would count.
    """
    if freedom < 1:
        return float("inf")
    return max(float(np.sqrt(max(0.0, float(left_out.mean())) / freedom)), ROUNDING * usual, 1e-6)


def _whitening(apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (K, K) under which what is ``apart`` (n, K) from its mean has the covariance one."""
    covariance = LedoitWolf(assume_centered=True, store_precision=False).fit(apart).covariance_
    values, vectors = np.linalg.eigh(covariance)
    found: NDArray[np.float64] = vectors / np.sqrt(np.maximum(values, 1e-12))
    return found
