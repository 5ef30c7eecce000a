"""Fingerprints: placeholder until engineer N's file takes its place (overwrite this file)."""

import numpy as np
from numpy.typing import NDArray


def bands(fingerprint: str) -> tuple[int, ...]:
    """The locality-sensitive keys of a fingerprint."""
    return (int(fingerprint[:15], 16),)


def alike_pairs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rows look alike."""
    found: NDArray[np.bool_] = (first == second).all(axis=1)
    return found
