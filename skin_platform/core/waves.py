"""Waves: how the luminance of a thumbnail swings once around a centre, and where such centres are.

Here: amplitudes of the angular part of Zernike moments (Teague 1980) around any centre, centres that a crop hardly moves.
Not here: which waves tell copies from others, and what is made of their signs (``core.near_duplicates``).

A thumbnail is a sum of cosines, and a shifted cosine is a sum of a cosine and a sine: so the amplitudes around any centre are
four fixed matrices times the thumbnail's spectrum, weighted by where the centre is. Beyond its edges a thumbnail is mirrored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.thumbnails import FREQUENCIES, POINTS, SIDE, WAVES

SHIFTS = 6  # of a centre towards its own neighbourhood's (mean shift; Comaniciu and Meer 2002)
FARTHEST = 0.4  # that a centre may lie from the middle, where half the picture is 1
RADII = (np.arange(20) + 0.5) / 20
ANGLES = np.arange(64) * 2 * np.pi / 64
STEPS = np.pi / 2 * np.arange(SIDE)
NORM = np.sqrt(2 / SIDE) * np.where(np.arange(SIDE) == 0, np.sqrt(0.5), 1)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ring:
    """Waves of so many swings a turn on a ring of a middle radius and a width (half the picture is 1).

    ``is_real`` takes the real parts (of the picture's own axes), else the imaginary ones. ``scale`` shrinks the ring as if the
    picture had been cropped to that share; ``is_raised`` raises what is fine, as ``thumbnails.distances`` does.
    """

    middle: float
    width: float
    waves: Sequence[int]
    is_real: bool
    scale: float = 1.0
    is_raised: bool = False


@dataclass(frozen=True)
class Block:
    """Of the waves of some rings those that a cosine or a sine, across and down, make up: SIDE * SIDE x their number."""

    columns: NDArray[np.int64]
    matrix: Floats


def blocks(rings: Sequence[Ring]) -> tuple[Block, ...]:
    """What ``amplitudes`` multiplies by to get the waves of all rings, one after another.

    Real parts of even waves are even across and down, those of odd ones odd across; imaginary parts are odd down, and
    those of even waves odd across too. So each wave stands in one of four blocks.
    """
    columns: list[list[int]] = [[], [], [], []]
    rows: list[list[Floats]] = [[], [], [], []]
    for number, (ring, wave) in enumerate((each, wave) for each in rings for wave in each.waves):
        is_odd_across, is_odd_down = (wave % 2 == 1) == ring.is_real, not ring.is_real
        at = 2 * is_odd_down + is_odd_across
        columns[at].append(number)
        rows[at].append(_projection(ring, wave, np.sin if is_odd_across else np.cos, np.sin if is_odd_down else np.cos))
    return tuple(Block(np.array(own, dtype=np.int64), np.array(each).reshape(len(own), SIDE * SIDE).T.copy())
                 for own, each in zip(columns, rows, strict=True))


def _projection(ring: Ring, wave: int, across: np.ufunc, down: np.ufunc) -> Floats:
    """How much each cosine of a thumbnail counts in a wave (SIDE * SIDE), those down before those across."""
    weight = np.exp(-((RADII - ring.middle) ** 2) / (2 * ring.width**2)) * RADII
    swing = np.cos(wave * ANGLES) if ring.is_real else -np.sin(wave * ANGLES)
    radii = STEPS[:, None, None] * ring.scale * RADII[:, None]
    found = np.einsum("r,a,qra,pra->qp", weight / weight.sum(), swing, down(radii * np.sin(ANGLES)),
                      across(radii * np.cos(ANGLES)))
    return cast(Floats, (found * FREQUENCIES if ring.is_raised else found).ravel())


def spectra(planes: Floats) -> Floats:
    """The cosines that make up thumbnails (n x SIDE x SIDE), down before across."""
    return WAVES @ planes @ WAVES.T


def amplitudes(spectrum: Floats, centre: Floats, of: Sequence[Block]) -> Floats:
    """The waves of thumbnails' spectra (n x SIDE x SIDE) around centres (n x 2, across and down): n x waves."""
    n = len(spectrum)
    turns = STEPS * (centre[:, :, None] + 1)
    cosine, sine = np.cos(turns) * NORM, -np.sin(turns) * NORM
    found = np.empty((n, sum(len(block.columns) for block in of)))
    for number, block in enumerate(of):
        weighted = spectrum * (sine if number >= 2 else cosine)[:, 1, :, None]
        weighted *= (sine if number % 2 else cosine)[:, 0, None, :]
        found[:, block.columns] = weighted.reshape(n, -1) @ block.matrix
    return found


def centres(planes: Floats) -> tuple[Floats, ...]:
    """Four centres of each thumbnail (n x 2), because none finds every crop: the middle of the picture, of what is dark, of
    what stands out, of what is uneven."""
    over = _over_the_mean(planes)
    down, right = np.gradient(planes, axis=(1, 2))
    masses = ((np.maximum(-over, 0), 0.35), (over**2, 0.35), (np.hypot(down, right), 0.5))
    return np.zeros((len(planes), 2)), *(_middles(mass, reach) for mass, reach in masses)


def _over_the_mean(planes: Floats) -> Floats:
    """How far each point lies over the picture's mean, which counts the middle most."""
    weight = np.sin(np.pi * (POINTS + 1) / 2)
    mean = np.einsum("nij,i,j->n", planes, weight, weight) / weight.sum() ** 2
    return cast(Floats, planes - mean[:, None, None])


def _middles(mass: Floats, reach: float) -> Floats:
    """Where the mass (n x SIDE x SIDE) around a place has its middle at that place: n x 2, across and down."""
    centre = np.zeros((len(mass), 2))
    for _ in range(SHIFTS):
        near = np.exp(-((POINTS - centre[:, :, None]) ** 2) / (2 * reach**2))
        across = np.einsum("nij,ni->nj", mass, near[:, 1]) * near[:, 0]
        down = np.einsum("nij,nj->ni", mass, near[:, 0]) * near[:, 1]
        total = across.sum(axis=1) + 1e-9
        centre = np.stack([across @ POINTS / total, down @ POINTS / total], axis=1)
    return centre.clip(-FARTHEST, FARTHEST)
