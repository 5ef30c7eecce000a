"""Near-duplicates: keys that turned, re-encoded and slightly cropped copies share, so that not all pairs are compared.

Here: keys of thumbnails (locality-sensitive hashing, Indyk and Motwani 1998; sign bits as in Charikar 2002).
Not here: whether two pictures that share a key are alike (``core.thumbnails``), what is stored of them (``core.fingerprints``).

A key is the signs of waves around a centre (the angular part of Zernike moments; Teague 1980), which a crop about that
centre hardly changes. Four centres, because none finds every crop: the middle of the picture, of what is dark, of what
stands out, of what is uneven. The four combinations of the two weakest signs give four keys each, as in multi-probe hashing
(Lv et al. 2007), here stored instead of probed for. Turns and mirrorings permute the signs: a key is the least of eight.
"""

from itertools import product
from typing import cast

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.thumbnails import POINTS, WAVES, cosines

WEAK_SIGNS = 2
SHIFTS = 6  # of a centre towards its own neighbourhood's (mean shift; Comaniciu and Meer 2002)
FARTHEST = 0.4  # that a centre may lie from the middle, where half the picture is 1
RADII = (np.arange(10) + 0.5) / 10
ANGLES = np.arange(32) * 2 * np.pi / 32
RINGS = ((0.65, 0.25, range(1, 8)), (0.35, 0.15, range(2, 6)))  # middle, width, waves a turn
WAVES_A_TURN = np.concatenate([np.arange(waves.start, waves.stop) for *_, waves in RINGS])
NOISE = np.array([0.32, 0.21, 0.14, 0.11, 0.09, 0.07, 0.06, 0.20, 0.14, 0.11, 0.09])  # seen on crops of 3 to 5 % a side

Floats = NDArray[np.float64]


def keys(planes: Floats) -> NDArray[np.int64]:
    """Sixteen keys (n x 16) of each thumbnail (n x SIDE x SIDE)."""
    n = len(planes)
    over = _over_the_mean(planes)
    masses = ((np.maximum(-over, 0), 0.35), (over**2, 0.35), (_uneven(planes), 0.5))
    centres = (np.zeros((n, 2)), *(_centres(mass, reach) for mass, reach in masses))
    codes = [_codes(_waves(planes, centre)) for centre in centres]
    return _mixed(np.concatenate([len(codes) * code + number for number, code in enumerate(codes)], axis=1))


def _over_the_mean(planes: Floats) -> Floats:
    """How far each point lies over the picture's mean, which counts the middle most."""
    weight = np.sin(np.pi * (POINTS + 1) / 2)
    mean = np.einsum("nij,i,j->n", planes, weight, weight) / weight.sum() ** 2
    return cast(Floats, planes - mean[:, None, None])


def _uneven(planes: Floats) -> Floats:
    down, right = np.gradient(planes, axis=(1, 2))
    return cast(Floats, np.hypot(down, right))


def _centres(mass: Floats, reach: float) -> Floats:
    """Where the mass (n x SIDE x SIDE) around a place has its middle at that place: n x 2, across and down."""
    centre = np.zeros((len(mass), 2))
    for _ in range(SHIFTS):
        near = np.exp(-((POINTS - centre[:, :, None]) ** 2) / (2 * reach**2))
        across = np.einsum("nij,ni->nj", mass, near[:, 1]) * near[:, 0]
        down = np.einsum("nij,nj->ni", mass, near[:, 0]) * near[:, 1]
        total = across.sum(axis=1) + 1e-9
        centre = np.stack([across @ POINTS / total, down @ POINTS / total], axis=1)
    return centre.clip(-FARTHEST, FARTHEST)


def _waves(planes: Floats, centre: Floats) -> NDArray[np.complex128]:
    """The waves that RINGS names around a centre: n x 11 complex amplitudes."""
    across = (centre[:, 0, None, None] + RADII[:, None] * np.cos(ANGLES)).clip(-1, 1)
    down = (centre[:, 1, None, None] + RADII[:, None] * np.sin(ANGLES)).clip(-1, 1)
    rows = cosines(down) @ (WAVES @ planes @ WAVES.T)[:, None]
    spectrum = np.fft.fft((rows * cosines(across)).sum(axis=-1), axis=-1)
    found = []
    for middle, width, waves in RINGS:
        weight = np.exp(-((RADII - middle) ** 2) / (2 * width**2)) * RADII
        found.append(np.einsum("r,nrw->nw", weight / weight.sum(), spectrum[:, :, waves.start : waves.stop]))
    return np.concatenate(found, axis=1)


def _codes(waves: NDArray[np.complex128]) -> NDArray[np.int64]:
    """The signs of waves as numbers of 22 bits, least of the eight turns, once for each combination of the weakest signs."""
    margin = np.abs(np.concatenate([waves.real, waves.imag], axis=1)) / np.tile(NOISE, 2)
    weakest = np.argsort(margin, axis=1, kind="stable")[:, :WEAK_SIGNS]
    signs = np.concatenate([waves.real, waves.imag], axis=1) > 0
    each = np.arange(len(waves))
    codes = []
    for flips in product((False, True), repeat=WEAK_SIGNS):
        tried = signs.copy()
        for place, flip in zip(weakest.T, flips, strict=True):
            tried[each, place] ^= flip
        codes.append(_least(tried))
    return np.stack(codes, axis=1)


def _least(signs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The least code of the eight turns: a quarter turn multiplies wave m by i ** m, a mirror conjugates it."""
    real, imaginary = np.split(np.where(signs, 1.0, -1.0), 2, axis=1)
    waves = real + 1j * imaginary
    value = 2.0 ** np.arange(2 * waves.shape[1])
    codes = []
    for quarter in range(4):
        turned = waves * np.array([1, 1j, -1, -1j])[(quarter * WAVES_A_TURN) % 4]
        for side in (turned.imag, -turned.imag):
            codes.append((np.concatenate([turned.real, side], axis=1) > 0) @ value)
    return cast(NDArray[np.int64], np.stack(codes).min(axis=0).astype(np.int64))


def _mixed(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes spread over all 64 bits (the finaliser of splitmix64; Steele et al. 2014)."""
    mixed = codes.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)
