"""Made-up fingerprints: as many as are wanted, with the statistics of those of pictures, since as many pictures take hours.

Each is a blend of three fingerprints of generated pictures (half, three and two tenths of their luminance), each turned at
random; its colours are the same blend, spread as widely as those of the pictures, its structure is the first one's.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import numpy as np

from skin_platform.core.fingerprints import RINGS
from skin_platform.core.thumbnails import SIDE
from skin_platform_tests.benchmarks.planted import generated, rows_of

BASE = 2000  # generated pictures
SHARES = np.array([0.5, 0.3, 0.2])
POINTS = slice(1, 1 + SIDE * SIDE)


@cache
def base() -> np.ndarray:
    """Fingerprints of BASE generated pictures: n x BYTES."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return rows_of(generated(BASE, 0, pool))


def made_up(of: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``count`` fingerprints (n x BYTES) of pictures that are not there, blends of ``of`` (n x BYTES)."""
    rng = np.random.default_rng(seed)
    chosen = of[rng.integers(len(of), size=(len(SHARES), count))].view(np.int8).astype(np.float32)
    planes = np.stack([_turned(each[:, POINTS].reshape(-1, SIDE, SIDE), rng) for each in chosen])
    blend = np.einsum("s,snij->nij", SHARES, planes).reshape(count, -1)
    blend *= 127 / np.abs(blend).max(axis=1, keepdims=True)
    middle = of[:, -2 * RINGS :].view(np.int8).mean(axis=0)
    colour = np.einsum("s,snc->nc", SHARES, chosen[:, :, -2 * RINGS :] - middle) / np.linalg.norm(SHARES) + middle
    return np.round(np.concatenate([chosen[0][:, :1], blend, colour.clip(-127, 127)], axis=1)).astype(np.int8).view(np.uint8)


def _turned(planes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each of the planes (n x SIDE x SIDE) in one of the eight turns."""
    across, down, swapped = rng.integers(2, size=(3, len(planes), 1, 1))
    planes = np.where(across, planes[:, :, ::-1], planes)
    planes = np.where(down, planes[:, ::-1], planes)
    return np.where(swapped, planes.swapaxes(1, 2), planes)
