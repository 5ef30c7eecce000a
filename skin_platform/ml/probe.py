"""The probe: a cheap classifier on stored features, asked only about images that it did not learn from.

Here: folds, out-of-fold probabilities. Not here: what is concluded from them (``ml.split_comparison``, ``ml.label_errors``).

A multinomial logistic regression on principal components of standardised features: seconds for hundreds of images, and always
the same answer. Standardising and projecting see all images but no label, so that nothing leaks through them.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Targets = NDArray[np.int64]
Probabilities = NDArray[np.float64]

FOLDS = 5
COMPONENTS = 128
STRENGTH = 0.01  # of sklearn's C; features count in the hundreds, each with variance 1


def projected(features: Features) -> NDArray[np.float64]:
    """Features (n, D) as their first principal components (n, at most ``COMPONENTS``); columns that never vary are left out."""
    from sklearn.decomposition import PCA

    values = features.astype(np.float64)
    spread = values.std(axis=0)
    values = (values[:, spread > 0] - values[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    if values.shape[1] == 0:
        return np.zeros((len(values), 1))
    fewer = PCA(min(COMPONENTS, *values.shape), svd_solver="covariance_eigh" if values.shape[1] <= 2 * len(values) else "full")
    found: NDArray[np.float64] = fewer.fit_transform(values)
    return found


def grouped_folds(targets: Targets, groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The fold (0 to 4) of each image: a group is in one fold, labels are shared out as evenly as that allows."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return _numbers(folds.split(targets, targets, list(groups)), len(targets))


def out_of_fold(components: NDArray[np.float64], targets: Targets, classes: int, folds: NDArray[np.int64]) -> Probabilities:
    """Probabilities (n, C) of each image by a probe that learnt from the other folds; 0 for labels that it did not see there.

    Raises ``ValueError`` where the other folds hold fewer than two labels.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probabilities = np.zeros((len(targets), classes))
    for fold in np.unique(folds):
        held = folds == fold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 steps are near enough for a probe
            probe = LogisticRegression(C=STRENGTH, max_iter=200).fit(components[~held], targets[~held])
        probabilities[np.ix_(held, probe.classes_)] = probe.predict_proba(components[held])
    return probabilities


def _numbers(parts: Iterable[tuple[Any, NDArray[np.int64]]], size: int) -> NDArray[np.int64]:
    folds = np.zeros(size, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label of fewer images than folds is missing in some: as it must be
        for number, (_, held) in enumerate(parts):
            folds[held] = number
    return folds
