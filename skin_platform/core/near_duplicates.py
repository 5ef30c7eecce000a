"""Near-duplicates: keys that turned, re-encoded and slightly cropped copies share, so that not all pairs are compared.

Here: keys of thumbnails (locality-sensitive hashing, Indyk and Motwani 1998; sign bits as in Charikar 2002), and sketches that
tell most pictures of one key apart. Not here: the waves themselves (``core.waves``), whether two pictures that share a key are
alike (``core.thumbnails``), what is stored of them (``core.fingerprints``).

A key is the signs of twelve waves around a centre, which a crop about that centre hardly changes; of four centres, and of the
picture as it is and as if it were cropped. The weakest signs are turned over in further keys, as in multi-probe hashing
(Lv et al. 2007), here stored instead of probed for, so that it does not matter which of two pictures came first. Turns and
mirrorings permute the signs: a key is the least of eight. A sketch is the signs of finer waves in that same turn.
"""

from itertools import product
from typing import cast

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.waves import Ring, amplitudes, blocks, centres, spectra

KEY_RINGS = ((0.65, 0.25, range(1, 8)), (0.35, 0.15, range(2, 6)), (0.85, 0.12, range(1, 2)))  # middle, width, waves
SKETCH_RINGS = ((0.9, 0.08, range(1, 8)), (0.65, 0.08, range(1, 6)), (0.4, 0.08, range(1, 5)), (0.2, 0.08, range(1, 3)))
PROFILE = (0.9, 0.65, 0.4, 0.15)  # middle radii of rings that are brighter or darker as a whole
NOISE = np.array([1.0, 0.62, 0.47, 0.35, 0.29, 0.23, 0.19, 0.61, 0.45, 0.31, 0.24, 1.09])  # seen on crops of 3 to 5 % a side
CROPPED = (1.0, 0.93)
WEAK_SIGNS = 2  # of which one at a time is turned over
MAX_BITS = 12  # bits between sketches; 998 in 1000 copies that share a key differ by less

KEY_WAVES = np.concatenate([waves for *_, waves in KEY_RINGS])
SKETCH_WAVES = np.concatenate([waves for *_, waves in SKETCH_RINGS])
SWINGS = np.concatenate([KEY_WAVES, SKETCH_WAVES])  # a turn
KEY_BITS, SKETCH_BITS = len(KEY_WAVES), len(SKETCH_WAVES)  # of the real parts, and as many of the imaginary ones
WAVE_BITS = 2 * SKETCH_BITS + len(PROFILE)  # of a sketch; those above them gauge colours
WAVES_OF = blocks([
    *(Ring(*ring, is_real=is_real, scale=scale) for scale, is_real in product(CROPPED, (True, False)) for ring in KEY_RINGS),
    *(Ring(*ring, is_real=is_real, is_raised=True) for is_real in (True, False) for ring in SKETCH_RINGS),
    *(Ring(middle, 0.08, (0,), is_real=True, is_raised=True) for middle in PROFILE),
])

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


def keys(planes: Floats) -> tuple[Words, Words]:
    """Keys of 26 bits and their sketches of 40 (both n x 24) of thumbnails (n x SIDE x SIDE); equal keys stand side by side."""
    spectrum = spectra(planes)
    found, profiles = [], []
    for number, centre in enumerate(centres(planes)):
        waves = amplitudes(spectrum, centre, WAVES_OF)
        words = _words(waves) | np.uint64(number << 2 * (KEY_BITS + SKETCH_BITS))
        found.append(words)
        profiles.append(np.repeat(_packed(waves[:, -len(PROFILE):] > 0)[:, None], words.shape[1], axis=1))
    words, profile = np.concatenate(found, axis=1), np.concatenate(profiles, axis=1)
    order = np.argsort(words, axis=1, kind="stable")
    words, profile = np.take_along_axis(words, order, axis=1), np.take_along_axis(profile, order, axis=1)
    finer = np.uint64(2 * SKETCH_BITS)
    return words >> finer, (words & _ones(2 * SKETCH_BITS)) | (profile << finer)


def _words(waves: Floats) -> Words:
    """Key and, in the lower bits, sketch of each scale and of each sign turned over: n x 6."""
    n = len(waves)
    parts = np.split(waves[:, : -len(PROFILE)], np.cumsum([2 * KEY_BITS] * len(CROPPED)), axis=1)
    sketch = [_packed(each > 0) << np.uint64(KEY_BITS) for each in np.split(parts[-1], 2, axis=1)]
    real, imaginary = (np.empty((n, len(CROPPED), 1 + WEAK_SIGNS), dtype=np.uint64) for _ in range(2))
    for scale, part in enumerate(parts[:-1]):
        signs = [_packed(each > 0) | finer for each, finer in zip(np.split(part, 2, axis=1), sketch, strict=True)]
        weakest = np.argsort(np.abs(part) / np.tile(NOISE, 2), axis=1, kind="stable")[:, :WEAK_SIGNS]
        bit = np.uint64(1) << (weakest % KEY_BITS).astype(np.uint64)
        for target, own, is_own in zip((real, imaginary), signs, (weakest < KEY_BITS, weakest >= KEY_BITS), strict=True):
            target[:, scale] = own[:, None]
            target[:, scale, 1:] ^= np.where(is_own, bit, np.uint64(0))
    return _least(real.reshape(n, -1), imaginary.reshape(n, -1))


def _least(real: Words, imaginary: Words) -> Words:
    """The least word of the eight turns: a quarter turn multiplies wave m by i ** m, a mirror conjugates it."""
    key, all_waves = _ones(KEY_BITS), _ones(KEY_BITS + SKETCH_BITS)
    least = np.full(real.shape, np.iinfo(np.uint64).max, dtype=np.uint64)
    for quarter in range(4):
        same, ahead, opposite, behind = (_packed((quarter * SWINGS % 4 == turn)[None])[0] for turn in range(4))
        cosine = (real & same) | (~imaginary & ahead) | (~real & opposite) | (imaginary & behind)
        sine = (imaginary & same) | (real & ahead) | (~imaginary & opposite) | (~real & behind)
        for side in (sine, ~sine & all_waves):
            coarse = (cosine & key) | ((side & key) << np.uint64(KEY_BITS))
            fine = (cosine >> np.uint64(KEY_BITS)) | ((side >> np.uint64(KEY_BITS)) << np.uint64(SKETCH_BITS))
            np.minimum(least, (coarse << np.uint64(2 * SKETCH_BITS)) | fine, out=least)
    return least


def _packed(signs: NDArray[np.bool_]) -> Words:
    """Rows of up to 52 signs as numbers, the first the lowest bit."""
    return cast(Words, (signs @ 2.0 ** np.arange(signs.shape[1])).astype(np.uint64))


def _ones(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)
