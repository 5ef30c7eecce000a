"""Calibration: what a classifier's confidence is worth, learnt on images that it was not trained on.

Here: the temperature of the logits and the conformal threshold, fitted on one split. Not here: how well they do on another
(``ml.evaluation``), the prediction sets made with them (``core.answers``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import conformal_threshold, softmax


@dataclass(frozen=True)
class Calibration:
    """Temperature of the logits, and the prediction set's threshold with its coverage, from ``images`` calibration images."""

    temperature: float
    conformal_threshold: float
    conformal_coverage: float
    images: int


def calibrate(logits: NDArray[np.float32], targets: NDArray[np.int64], coverage: float) -> Calibration:
    """Fit temperature and threshold to ``logits`` (N, C) and the indices (N,) of the true labels."""
    temperature = fit_temperature(logits, targets)
    of_truth = softmax(logits, temperature)[np.arange(len(targets)), targets]
    return Calibration(temperature, conformal_threshold(of_truth.tolist(), coverage), coverage, len(targets))


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
