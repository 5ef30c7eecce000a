"""Out of distribution: whether an image is of another kind than those that a model learnt from, told by its features.

Here: the distance of features from what was learnt, and its conformal p-value. Not here: fitting (``ml.ood``), the features
(``ml.classifier``, and the second output of the exported network), what a person is told (``serving``).

The distance is that of Mahalanobis to the nearest label (Lee et al. 2018, A Simple Unified Framework for Detecting
Out-of-Distribution Samples) within the directions in which the learnt images differ, and what is left outside of those
directions (Wang et al. 2022, ViM). The p-value is its conformal rank among images that were not learnt from (Bates et al. 2023,
Testing for Outliers with Conformal p-values): of images of the same kind, at most a share ``level`` is flagged.

Features are squashed first, so that one odd number of a thousand does not outweigh a thousand that are somewhat odd. Without
that one odd calibration image blinds a detector that has few of them: of noise 0.27 was flagged, and 1.00 with it; of another
camera's photographs 0.24 and 0.95 (420 images learnt from, 90 calibrating, at the level 1/91).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

ASSUMPTION = (
    "Of images that are exchangeable with the calibration images (as if drawn from the same clinics, cameras and patients, in "
    "any order) no larger share is flagged on average; how many of another kind are, depends on the kind. Distance: Lee et al. "
    "2018; p-value: Bates et al. 2023.")
FEWEST = 19  # calibration images: with fewer, more than one of twenty images of the same kind would have to be flagged
FARTHEST = float(np.finfo(np.float64).max)  # the score of features that are no numbers


def why_there_is_none(found: Mapping[str, Any] | None) -> str:
    """Why a version has no detector; ``found``: what its evaluation tells of that (``ood``), None where it tells nothing."""
    if not found:
        return "its evaluation tells of no detector"
    if found["calibration_images"] < found["fewest"]:
        return f"{found['calibration_images']} images can calibrate that, {found['fewest']} are needed"
    return "there are too few images that it learnt from"


def squashed(
    features: NDArray[np.float32], centre: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Features (N, D) by order of magnitude, standardised by ``centre`` and ``scale`` (D,), and those far off drawn in."""
    found: NDArray[np.float32] = np.arcsinh((magnitudes(features) - centre) / scale)
    return found


def magnitudes(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (N, D) on a logarithmic scale that keeps sign and zero: most are means and spreads of activations, with long
    tails."""
    found: NDArray[np.float32] = np.copysign(np.log1p(np.abs(features)), features)
    return found


@dataclass(frozen=True)
class OodAnswer:
    """How far an image is from what was learnt (0 and above), how rare that is among images of the same kind, and whether it is
    too rare."""

    score: float
    p_value: float
    flagged: bool


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """A fitted detector over features of D numbers, C label means and K directions; float32 but for ``calibration_scores``.

    ``centre`` and ``scale`` (D,) standardise, ``middle`` (D,) is the mean of what was squashed; ``basis`` (D, K) holds the
    directions, ``whitening`` (K, K) makes them alike; ``means`` (C, K) are those of the labels, whitened; ``noise`` is the
    usual spread outside of the directions; ``calibration_scores`` (n,) are those of images that were not learnt from,
    ascending; ``level`` is the configured share.
    """

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    middle: NDArray[np.float32]
    basis: NDArray[np.float32]
    whitening: NDArray[np.float32]
    means: NDArray[np.float32]
    noise: float
    calibration_scores: NDArray[np.float64]
    level: float

    @property
    def level_in_force(self) -> float:
        """The share of images of the same kind that may be flagged: the configured one, or the least that so many calibration
        images can tell."""
        return max(self.level, 1 / (len(self.calibration_scores) + 1))

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The distances (N,) of features (N, D); ``FARTHEST`` where one of them is no number."""
        is_number = np.asarray(np.isfinite(features).all(axis=1))
        standard = squashed(np.where(is_number[:, None], features, 0), self.centre, self.scale) - self.middle
        along = standard @ self.basis
        outside = np.square(standard, dtype=np.float64).sum(axis=1) - np.square(along, dtype=np.float64).sum(axis=1)
        apart = (along @ self.whitening).astype(np.float64)[:, None, :] - self.means
        nearest = np.square(apart).sum(axis=2).min(axis=1)
        found: NDArray[np.float64] = np.where(is_number, np.sqrt(nearest + np.maximum(outside, 0) / self.noise**2), FARTHEST)
        return found

    def judge(self, features: NDArray[np.float32]) -> list[OodAnswer]:
        """One answer an image for features (N, D)."""
        scores = self.scores(features)
        n = len(self.calibration_scores)
        farther = n - np.searchsorted(self.calibration_scores, scores, side="left")
        return [OodAnswer(float(score), float(p), bool(p <= self.level_in_force))
                for score, p in zip(scores, (1 + farther) / (n + 1), strict=True)]

    def as_npz(self) -> bytes:
        """The detector as a NumPy archive, the same bytes for the same detector."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **vars(self))
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, data: bytes) -> "OutOfDistribution":
        """The inverse of ``as_npz``; raises ``ValueError`` for other bytes. Nothing in them is executed."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in cls.__dataclass_fields__}
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f"this is no detector: {error}") from error
        return cls(**arrays | {name: float(arrays[name]) for name in ("noise", "level")})
