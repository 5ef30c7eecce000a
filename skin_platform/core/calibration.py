"""Calibration: what a classifier's confidence is worth, learnt on images that it was not trained on.

Here: the temperature of the logits and the conformal thresholds, fitted on one split. Not here: how well they do on another
(``core.report``), the prediction sets made with them (``core.conformal``, ``core.answers``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.conformal import conformal_thresholds


@dataclass(frozen=True)
class Calibration:
    """Temperature of the logits and the prediction sets' thresholds with their coverage, from ``images`` calibration images.

    ``thresholds`` and ``images_by_label`` are in the order of the labels; ``by_label`` says whether each threshold comes from
    the images of its label alone, so that the coverage holds for each label.
    """

    temperature: float
    thresholds: tuple[float, ...]
    coverage: float
    by_label: bool
    images: int
    images_by_label: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("thresholds", "images_by_label"):  # JSON gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))


def calibrate(
    logits: NDArray[np.float32], targets: NDArray[np.int64], coverage: float, *, by_label: bool = False
) -> Calibration:
    """Fit temperature and thresholds to ``logits`` (N, C) and the indices (N,) of the true labels."""
    temperature = fit_temperature(logits, targets)
    thresholds = conformal_thresholds(softmax(logits, temperature), targets, coverage, by_label=by_label)
    counts = np.bincount(targets, minlength=logits.shape[1])
    return Calibration(temperature, thresholds, coverage, by_label, len(targets), tuple(counts.tolist()))


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The temperature in 0.05..20 that makes ``targets`` most likely (Guo et al. 2017)."""
    if len(targets) < 2:
        return 1.0
    grid = np.geomspace(0.05, 20, 241)
    rows = np.arange(len(targets))
    losses = [-np.log(np.clip(softmax(logits, t)[rows, targets], 1e-12, 1)).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def cross_scaled(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of each half under the temperature of the other half: an honest look where there is no other split."""
    even = np.arange(len(targets)) % 2 == 0
    scaled = np.empty(logits.shape, dtype=np.float64)
    for half in (even, ~even):
        if half.any():
            scaled[half] = softmax(logits[half], fit_temperature(logits[~half], targets[~half]))
    return scaled
