"""Thumbnails: small squares of luminance, compared however they are turned.

Here: reducing, structure, and the distance of two once laid over each other.
Not here: what is stored of a picture and what counts as alike (``core.fingerprints``), finding what to compare
(``core.near_duplicates``).

Points of a thumbnail lie between -1 and 1 on both axes.
"""

from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

SIDE = 11
LIKELY = 0.75  # correlation from which two are laid over each other: 99 in 100 copies cropped by 3 % a side reach 0.84
STEPS = 3  # of laying over; crops of 5 % a side need the third
HOPELESS = 0.25  # difference after a step from which no further one helps
STIFFNESS = 0.2  # how much a move has to explain

Floats = NDArray[np.float64]


def _points() -> Floats:
    return (np.arange(SIDE) + 0.5) / SIDE * 2 - 1


def cosines(at: Floats) -> Floats:
    """The waves of the DCT-II (orthonormal over the points) at any positions: ... x SIDE."""
    waves = np.empty((SIDE, *at.shape))
    first = np.cos(np.pi * (at + 1) / 2) * 2
    waves[0], waves[1] = 1, first / 2
    for wave in range(2, SIDE):  # Chebyshev's recurrence: five times as fast as a cosine each
        waves[wave] = first * waves[wave - 1] - waves[wave - 2]
    waves *= np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return np.moveaxis(waves, 0, -1)


def _slope() -> Floats:
    """The linear map from values at the points to the slope there of the waves through them."""
    frequency = np.pi / 2 * np.arange(SIDE)
    falling = -np.sin((POINTS[:, None] + 1) * frequency) * frequency * np.sqrt(2 / SIDE)
    return np.asarray(falling @ WAVES, dtype=np.float64)


def _flat() -> Floats:
    """The three evenly rising planes (3 x points), orthonormal."""
    planes = np.stack([np.ones((SIDE, SIDE)), np.tile(POINTS, (SIDE, 1)), np.tile(POINTS[:, None], (1, SIDE))]).reshape(3, -1)
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    return planes


@cache
def _triangles(size: int) -> Floats:
    """How much each of ``size`` pixels counts in each point: SIDE x size."""
    at = (np.arange(size) + 0.5) / size * SIDE
    weights = np.clip(1 - np.abs(at - np.arange(SIDE)[:, None] - 0.5), 0, None)
    return cast(Floats, weights / weights.sum(axis=1, keepdims=True))


POINTS = _points()
FLAT = _flat()
WAVES = cosines(POINTS).T
SLOPE = _slope()
FREQUENCIES = np.hypot(np.arange(SIDE)[:, None], np.arange(SIDE))


def reduced(grey: Floats) -> Floats:
    """Square pictures (... x a whole multiple of SIDE a side) as thumbnails, weighted by triangles that overlap."""
    weights = _triangles(grey.shape[-1])
    thumbnail: Floats = weights @ grey @ weights.T
    return thumbnail


def structure(planes: Floats) -> Floats:
    """Root mean square of what no evenly rising plane explains, of each thumbnail (n x SIDE x SIDE), in its own unit."""
    rows = planes.reshape(len(planes), -1)
    return cast(Floats, np.sqrt(((rows - rows @ FLAT.T @ FLAT) ** 2).mean(axis=1)))


def turned(planes: Floats, turn: int) -> Floats:
    """Thumbnails (n x SIDE x SIDE) in one of the eight turns and mirrorings, numbered 0 to 7."""
    across, down, swap = 1 - 2 * (turn & 1), 1 - (turn & 2), turn & 4
    view = planes[:, ::down, ::across]
    return np.swapaxes(view, 1, 2) if swap else view


def distances(first: Floats, second: Floats) -> Floats:
    """How much of each pair of thumbnails (n x SIDE x SIDE) differs: 0 for the same picture, 2 for unlikely pairs.

    Of the eight turns the two that correlate best are laid over ``first`` (Lucas and Kanade 1981). The outermost points,
    which a crop takes away, do not count.
    """
    a, b = _whitened(first), _whitened(second)
    within = _within(a)
    correlation = np.stack([np.einsum("np,np->n", within, _within(turned(b, turn))) for turn in range(8)], axis=1)
    correlation /= (np.linalg.norm(within, axis=1) * np.linalg.norm(_within(b), axis=1) + 1e-9)[:, None]
    close = (correlation > LIKELY) & (correlation >= np.sort(correlation, axis=1)[:, -2:-1])
    at = np.nonzero(close.T)[1]  # turn by turn, as the views
    views = np.concatenate([turned(b[close[:, turn]], turn) for turn in range(8)])
    best = np.full(len(first), 2.0)
    np.minimum.at(best, at, _laid_over(a[at], views))
    return best


def _whitened(planes: Floats) -> Floats:
    """Thumbnails with each wave raised by its frequency, as photographs are the weaker the finer."""
    return WAVES.T @ (WAVES @ planes @ WAVES.T * FREQUENCIES) @ WAVES


def _within(planes: Floats) -> Floats:
    return planes[:, 1:-1, 1:-1].reshape(len(planes), (SIDE - 2) ** 2)


def _laid_over(first: Floats, second: Floats) -> Floats:
    """What remains of the difference once both are moved and stretched towards each other, half the way each."""
    move = np.zeros((len(first), 4))  # right, down, wider, higher
    rest = np.full(len(first), 2.0)
    hopeful = np.arange(len(first))
    for _ in range(STEPS):
        step, rest[hopeful] = _step(first[hopeful], second[hopeful], move[hopeful])
        move[hopeful] += step
        hopeful = hopeful[rest[hopeful] < HOPELESS]
    return rest


def _step(first: Floats, second: Floats, move: Floats) -> tuple[Floats, Floats]:
    """The next move (n x 4) of pairs of whitened thumbnails, and what it leaves of their difference."""
    a, b = (moved / (np.linalg.norm(_within(moved), axis=1)[:, None, None] + 1e-9)
            for moved in (_moved(first, -move / 2), _moved(second, move / 2)))
    middle, difference = (a + b) / 2, _within(b - a)
    right, down = middle @ SLOPE.T, SLOPE @ middle
    slopes = np.stack([_within(each) for each in (right, down, right * POINTS, down * POINTS[:, None])], axis=1)
    matrix = slopes @ slopes.transpose(0, 2, 1) + STIFFNESS * np.eye(4)
    wanted = -(slopes @ difference[:, :, None])[:, :, 0] - STIFFNESS * move
    step = cast(Floats, np.linalg.solve(matrix, wanted[:, :, None])[:, :, 0])
    rest = difference + (step[:, None] @ slopes)[:, 0]
    return step, np.einsum("np,np->n", rest, rest)


def _moved(planes: Floats, move: Floats) -> Floats:
    if not move.any():  # as at first
        return planes
    across = POINTS * (1 + move[:, 2:3]) + move[:, 0:1]
    along = POINTS * (1 + move[:, 3:4]) + move[:, 1:2]
    return cosines(along) @ (WAVES @ planes @ WAVES.T) @ cosines(across).transpose(0, 2, 1)
