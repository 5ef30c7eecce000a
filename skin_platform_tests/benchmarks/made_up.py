"""Made-up fingerprints: as many as are wanted, with the statistics of those of pictures, since as many pictures take hours.

They are drawn independently of each other from a Gaussian copula: each byte is distributed as in the fingerprints of generated
pictures, and each two bytes go together as much as there, in any of the eight turns. What more than two bytes have in common
is lost: edges, and pictures that are alike by more than chance would have it. One in a hundred is a copy: another one turned,
each point off by a grey level or two as after encoding anew.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import norm, rankdata

from skin_platform.core.thumbnails import SIDE, turned
from skin_platform_tests.benchmarks.planted import generated, rows_of

BASE = 2000  # generated pictures
COPIES = 0.01
NOISE = 1.0  # of 127 grey levels, what encoding anew changes
POINTS = slice(1, 1 + SIDE * SIDE)
STEPS = np.linspace(0, 1, 1001)  # shares at which the distribution of a byte is kept


@cache
def base() -> "Population":
    """That of BASE generated pictures."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return Population.of(rows_of(generated(BASE, 0, pool)))


@dataclass(frozen=True)
class Population:
    """What fingerprints are distributed as: the quantiles of each byte, and how the bytes go together (a Cholesky factor)."""

    quantiles: np.ndarray
    together: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Population":
        """That of fingerprints (n x BYTES), each taken in its eight turns."""
        values = np.concatenate([_turned(_values(rows), np.full(len(rows), turn)) for turn in range(8)])
        scores = norm.ppf((rankdata(values, axis=0) - 0.5) / len(values))
        covariance = np.cov(scores, rowvar=False) + 1e-6 * np.eye(values.shape[1])
        return cls(np.quantile(values, STEPS, axis=0), np.linalg.cholesky(covariance))

    def drawn(self, count: int, seed: int) -> np.ndarray:
        """``count`` fingerprints (n x BYTES) of pictures that are not there; the last hundredth copies of the first."""
        rng = np.random.default_rng(seed)
        shares = norm.cdf(rng.standard_normal((count, len(self.together))) @ self.together.T)
        values = np.stack([np.interp(share, STEPS, own) for share, own in zip(shares.T, self.quantiles.T, strict=True)], axis=1)
        values[:, POINTS] *= 127 / np.abs(values[:, POINTS]).max(axis=1, keepdims=True)
        if copies := int(COPIES * count):
            values[-copies:] = _turned(values[:copies], rng.integers(8, size=copies))
            values[-copies:, POINTS] += rng.normal(0, NOISE, (copies, SIDE * SIDE))
        return np.round(values).clip(-127, 127).astype(np.int8).view(np.uint8)


def _values(rows: np.ndarray) -> np.ndarray:
    """Fingerprints (n x BYTES) as numbers; the colours stand last, after the points."""
    values = rows.view(np.int8).astype(np.float64)
    values[:, 0] = rows[:, 0].clip(0, 127)
    return values


def _turned(values: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Each row (n x BYTES) in its turn."""
    found = values.copy()
    for turn in range(8):
        planes = values[turns == turn, POINTS].reshape(-1, SIDE, SIDE)
        found[turns == turn, POINTS] = turned(planes, turn).reshape(-1, SIDE * SIDE)
    return found
