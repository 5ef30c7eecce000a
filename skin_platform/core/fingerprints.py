"""Fingerprints: what a picture shows in 128 bytes, by which copies of it are found again.

Here: the fingerprint of a picture, its bands (what copies probably share), and whether two fingerprints show the same picture.
Not here: how thumbnails are laid over each other (``core.thumbnails``), how bands come about (``core.near_duplicates``),
where they are kept and looked up (``storage.grouping``).

A copy may be encoded anew, of another size, turned by quarter turns, mirrored, cropped by some per cent, brighter or darker.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.core.near_duplicates import keys
from skin_platform.core.thumbnails import SIDE, distances, reduced, structure

RINGS = 3  # of colour, ever wider around the middle
BYTES = 1 + SIDE * SIDE + 2 * RINGS  # structure, luminance, colour
FINE = 4 * SIDE  # pixels a side that a picture is brought to at first
LEAST_STRUCTURE = 1.5  # grey levels (root mean square): under it noise decides what a picture looks like
STRUCTURE_STEPS = 16  # a doubling
COLOUR_STEPS = 100  # of a share of the luminance
MAX_DIFFERENCE = 0.1  # real lesions painted black all around come as near as 0.107 to each other, others to 0.15
STEPS_OF_DIFFERENCE = 40  # of structure or colour that count as much as thumbnails with nothing in common
AT_ONCE = 1000  # pairs: what fits into a processor's cache
LUMA = np.array([0.299, 0.587, 0.114])

Rows = NDArray[np.uint8]


def fingerprint(image: Image.Image) -> str:
    """The fingerprint of an upright picture of any mode and size, as 256 lower-case hex digits.

    Whatever its proportions, the picture is taken as a square. First a byte for how much structure it has, then its luminance
    in 11x11 points relative to the strongest, then its colour around the middle.
    """
    pixels = _square(image)
    grey = pixels @ LUMA
    plane = reduced(grey)
    plane -= plane.mean()
    strongest = max(float(np.abs(plane).max()), 1e-6)
    level = np.round(STRUCTURE_STEPS * np.log2(1 + structure(plane[None])))
    luminance = np.round(plane * (127 / strongest)) if level else np.zeros_like(plane)
    row = np.concatenate([level, luminance.ravel(), np.round(COLOUR_STEPS * _colour(pixels, grey)).clip(-127, 127)])
    return row.astype(np.int16).astype(np.uint8).tobytes().hex()


def bands(fingerprint: str) -> tuple[int, ...]:
    """Sixteen signed 64-bit numbers, of which copies of a picture probably share one and other pictures seldom do.

    The same for all eight turns and mirrorings. None for a picture with hardly any structure: nothing could be found by it.
    """
    return bands_of(np.frombuffer(bytes.fromhex(fingerprint), dtype=np.uint8)[None])[0]


def bands_of(fingerprints: Rows) -> list[tuple[int, ...]]:
    """``bands`` of many fingerprints (n x 128 bytes) at once, which is ten times as fast."""
    found: list[tuple[int, ...]] = [()] * len(fingerprints)
    has_bands = np.flatnonzero(_structured(fingerprints))
    for start in range(0, len(has_bands), AT_ONCE):
        some = has_bands[start : start + AT_ONCE]
        for at, row in zip(some, keys(_planes(fingerprints[some])).tolist(), strict=True):
            found[at] = tuple(row)
    return found


def alike(a: str, b: str) -> bool:
    """Whether two fingerprints are of the same picture, however it was turned."""
    first, second = (np.frombuffer(bytes.fromhex(text), dtype=np.uint8)[None] for text in (a, b))
    return bool(alike_pairs(first, second)[0])


def alike_pairs(first: Rows, second: Rows) -> NDArray[np.bool_]:
    """``alike`` of each row of ``first`` with the same row of ``second`` (both n x 128 bytes), in bounded memory.

    The difference of two pictures is the share of one that is left when the other is laid over it in the best of the eight
    turns, moved and stretched a little (``core.thumbnails``), and the squares of how their structure and colour differ.
    Alike are pictures that differ by at most ``MAX_DIFFERENCE``.
    """
    found = np.zeros(len(first), dtype=np.bool_)
    for start in range(0, len(first), AT_ONCE):
        a, b = first[start : start + AT_ONCE], second[start : start + AT_ONCE]
        left = MAX_DIFFERENCE - _outward_difference(a, b)
        at = np.flatnonzero(_structured(a) & _structured(b) & (left >= 0))
        found[start + at] = distances(_planes(a[at]), _planes(b[at])) <= left[at]
    return found


def _outward_difference(a: Rows, b: Rows) -> NDArray[np.float64]:
    """What structure and colour add to the difference of pictures: the larger the less do copies explain it."""
    structure_steps = a[:, 0].astype(np.float64) - b[:, 0]
    colour_steps = np.abs(_signed(a)[:, -2 * RINGS :].astype(np.float64) - _signed(b)[:, -2 * RINGS :]).max(axis=1)
    return cast(NDArray[np.float64], (structure_steps**2 + colour_steps**2) / STEPS_OF_DIFFERENCE**2)


def _square(image: Image.Image) -> NDArray[np.float64]:
    """The picture as a small square (FINE x FINE x 3), 0 to 255."""
    size = (FINE, FINE)
    if image.mode.startswith(("I", "F")):  # 16-bit grey, which Pillow would clip to white
        deep = np.asarray(image.convert("I").convert("F").resize(size, Image.Resampling.BOX), dtype=np.float64) / 256
        return np.repeat(deep[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), dtype=np.float64)


def _colour(pixels: NDArray[np.float64], grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blue and red beyond grey around the middle, as shares of the luminance: what turns and exposure leave."""
    off = (np.arange(FINE) + 0.5) / FINE * 2 - 1
    spread = np.exp(-(off[:, None] ** 2 + off**2)[None] / np.array([0.1, 0.4, 1.6])[:, None, None])
    light = (spread * (grey + 4)).sum(axis=(1, 2))
    beyond = [(spread * (pixels[:, :, channel] - grey)).sum(axis=(1, 2)) / light for channel in (2, 0)]
    return cast(NDArray[np.float64], np.concatenate(beyond))


def _signed(fingerprints: Rows) -> NDArray[np.int8]:
    return np.ascontiguousarray(fingerprints).view(np.int8)


def _planes(fingerprints: Rows) -> NDArray[np.float64]:
    """The luminances (n x SIDE x SIDE) of fingerprints."""
    return _signed(fingerprints)[:, 1 : 1 + SIDE * SIDE].astype(np.float64).reshape(-1, SIDE, SIDE)


def _structured(fingerprints: Rows) -> NDArray[np.bool_]:
    return cast(NDArray[np.bool_], fingerprints[:, 0] >= STRUCTURE_STEPS * np.log2(1 + LEAST_STRUCTURE))
