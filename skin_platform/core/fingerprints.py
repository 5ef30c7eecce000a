"""Fingerprints: what a picture shows in 128 bytes, by which copies of it are found again.

Here: the fingerprint of a picture, its bands (what copies probably share), and whether two fingerprints show the same picture.
Not here: how thumbnails are laid over each other (``core.thumbnails``), how bands come about (``core.near_duplicates``),
where they are kept and looked up (``storage.grouping``).

A copy may be encoded anew, of another size, turned by quarter turns, mirrored, cropped by some per cent, brighter or darker.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.core.near_duplicates import WAVE_BITS, keys
from skin_platform.core.thumbnails import SIDE, distances, reduced, structure

RINGS = 3  # of colour, ever wider around the middle
BANDS_VERSION = 2  # other bands do not compare with these: stored ones are worked out anew
BYTES = 1 + SIDE * SIDE + 2 * RINGS  # structure, luminance, colour
FINE = 4 * SIDE  # pixels a side that a picture is brought to at first
COARSE = 128  # pixels a side in which black margins are looked for
SPECKS = 3  # brighter points that a row or a column may have and be black
BLACK = 24  # grey levels that JPEG leaves in what was black
LEAST_STRUCTURE = 1.5  # grey levels (root mean square): under it noise decides what a picture looks like
STRUCTURE_STEPS = 16  # a doubling
COLOUR_STEPS = 100  # of a share of the luminance
MAX_DIFFERENCE = 0.12  # 97 in 100 copies cropped by 3 % a side come as near, and 3 in 100,000 pairs of real lesions
SURE_DIFFERENCE = 0.03  # 97 in 100 copies turned, encoded anew, resized or lit otherwise come as near; of crops, a part
COLOUR_DOUBLES, STRUCTURE_DOUBLES = 8, 16  # steps that double a difference
MAX_FACTOR = 5.0  # by which a difference may grow: beyond it pictures are not compared point by point
GAUGE_BITS, GAUGE_STEPS = 4, 4  # bits of a sketch for each byte of colour, and steps of colour a bit
AT_ONCE = 1000  # pairs: what fits into a processor's cache
LUMA = np.array([0.299, 0.587, 0.114])

OFF = (np.arange(FINE) + 0.5) / FINE * 2 - 1
SPREAD = np.exp(-(OFF[:, None] ** 2 + OFF**2).ravel() / np.array([[0.1], [0.4], [1.6]]))  # how far colour is looked at

Rows = NDArray[np.uint8]


def fingerprint(image: Image.Image) -> str:
    """The fingerprint of an upright picture of any mode and size, as 256 lower-case hex digits."""
    return fingerprints_of(square(image)[None])[0]


def fingerprints_of(squares: NDArray[np.uint8]) -> list[str]:
    """The fingerprints of pictures as ``square`` gives them (n x FINE x FINE x 3), worked out together.

    The picture inside black margins is taken as a square, whatever its proportions: a byte for how much structure it has,
    its luminance in 11x11 points relative to the strongest, its colour around the middle.
    """
    pixels = squares.astype(np.float64)
    grey = pixels @ LUMA
    planes = reduced(grey)
    planes -= planes.mean(axis=(1, 2), keepdims=True)
    strongest = np.maximum(np.abs(planes).max(axis=(1, 2), keepdims=True), 1e-6)
    levels = np.round(STRUCTURE_STEPS * np.log2(1 + structure(planes)))
    luminance = np.round(planes * (127 / strongest)) * (levels > 0)[:, None, None]
    colour = np.round(COLOUR_STEPS * _colour(pixels, grey)).clip(-127, 127)
    rows = np.concatenate([levels[:, None], luminance.reshape(len(squares), -1), colour], axis=1)
    return [row.tobytes().hex() for row in rows.astype(np.int16).astype(np.uint8)]


class Bands(NamedTuple):
    """Rows of bands: which fingerprint each is of, the band (26 bits) and the sketch (64 bits)."""

    of: NDArray[np.int64]
    band: NDArray[np.uint32]
    sketch: NDArray[np.uint64]


def bands_of(fingerprints: Rows) -> Bands:
    """At most 24 bands of each fingerprint (n x 128 bytes): what copies of a picture probably share one of.

    Other pictures seldom do, and those that do mostly have another sketch:
    signs of its waves, and a gauge of its colours. Both are the same for all eight turns and mirrorings. None for a picture
    with hardly any structure: nothing could be found by it.
    """
    has_bands = np.flatnonzero(_structured(fingerprints))
    parts = [_bands(fingerprints, has_bands[start : start + AT_ONCE]) for start in range(0, len(has_bands), AT_ONCE)]
    empty = (np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint64))
    return Bands(*(np.concatenate([none, *some]) for none, *some in zip(empty, *parts, strict=True)))


def _bands(fingerprints: Rows, at: NDArray[np.int64]) -> Bands:
    some = fingerprints[at]
    band, sketch = keys(_planes(some))
    is_first = np.concatenate([np.ones((len(at), 1), np.bool_), band[:, 1:] != band[:, :-1]], axis=1)
    colour = np.bitwise_or.reduce(GAUGE[some[:, -2 * RINGS :]] << np.arange(WAVE_BITS, 64, GAUGE_BITS, dtype=np.uint64), axis=1)
    return Bands(np.repeat(at, is_first.sum(axis=1)), band[is_first].astype(np.uint32), (sketch | colour[:, None])[is_first])


def _gauge() -> NDArray[np.uint64]:
    """GAUGE_BITS of each byte of colour, of which the more differ the more the colours do (a Johnson counter)."""
    step = np.arange(256, dtype=np.uint8).view(np.int8)[:, None] // GAUGE_STEPS % (2 * GAUGE_BITS)
    bit = np.arange(GAUGE_BITS)
    return cast(NDArray[np.uint64], (((step > bit) & (step <= bit + GAUGE_BITS)) @ (1 << bit)).astype(np.uint64))


def differences(first: Rows, second: Rows) -> NDArray[np.float64]:
    """By how much each row of ``first`` differs from that row of ``second`` (both n x 128 bytes), however turned.

    The difference of two pictures is the share of one that is left when the other is laid over it in the best of the eight
    turns, moved and stretched a little (``core.thumbnails``), times a factor for how their structure and colour differ.
    Infinite where that factor alone is too large, or where one has hardly any structure.
    """
    found = np.full(len(first), np.inf)
    for start in range(0, len(first), AT_ONCE):
        a, b = first[start : start + AT_ONCE], second[start : start + AT_ONCE]
        factor = _factor(a, b)
        at = np.flatnonzero(_structured(a) & _structured(b) & (factor <= MAX_FACTOR))
        found[start + at] = distances(_planes(a[at]), _planes(b[at])) * factor[at]
    return found


def _factor(a: Rows, b: Rows) -> NDArray[np.float64]:
    """1 where structure and colour are the same, and the larger the less copies explain how they differ."""
    structure_steps = a[:, 0].astype(np.float64) - b[:, 0]
    colour_steps = np.abs(_signed(a)[:, -2 * RINGS :].astype(np.float64) - _signed(b)[:, -2 * RINGS :]).max(axis=1)
    factor = 1 + (structure_steps / STRUCTURE_DOUBLES) ** 2 + (colour_steps / COLOUR_DOUBLES) ** 2
    return cast(NDArray[np.float64], factor)


def square(image: Image.Image) -> NDArray[np.uint8]:
    """What the picture shows inside black margins as a small square (FINE x FINE x 3)."""
    if image.mode.startswith(("I", "F")):  # 16-bit grey, which Pillow would clip to white
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    picture = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(picture.resize((FINE, FINE), Image.Resampling.BOX, box=_inside_margins(picture)))


def _inside_margins(picture: Image.Image) -> tuple[float, float, float, float]:
    """The box without rows and columns that are black from end to end: lesions are often cut out and put on black."""
    pixels = np.asarray(picture)
    if all(_is_lit(end) for end in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])):
        return (0, 0, *picture.size)  # no margins, as with most pictures
    red, green, blue = np.moveaxis(np.asarray(picture.resize((COARSE, COARSE), Image.Resampling.BOX)), 2, 0)
    brightest = np.maximum(np.maximum(red, green), blue)
    left, right = _lit(np.sort(brightest, axis=0)[-SPECKS - 1].astype(np.float64))
    upper, lower = _lit(np.sort(brightest, axis=1)[:, -SPECKS - 1].astype(np.float64))
    width, height = picture.size
    return left * width, upper * height, right * width, lower * height


def _is_lit(end: NDArray[np.uint8]) -> bool:
    """Whether more points of a row or column (n x 3) than specks are not black; green alone says so most of the time."""
    enough = max(SPECKS, len(end) // 8)
    return bool(np.count_nonzero(end[:, 1] > BLACK) > enough or np.count_nonzero(end.max(axis=1) > BLACK) > enough)


def _lit(brightest: NDArray[np.float64]) -> tuple[float, float]:
    """Where brightness rises over BLACK for the first time and falls for the last, as shares of the length: between points."""
    lit = np.flatnonzero(brightest > BLACK)
    if not len(lit) or lit[-1] + 1 - lit[0] < COARSE // 8:
        return 0.0, 1.0
    return _rise(brightest, int(lit[0])), 1 - _rise(brightest[::-1], COARSE - 1 - int(lit[-1]))


def _rise(brightest: NDArray[np.float64], lit: int) -> float:
    if lit == 0:
        return 0.0
    before, there = brightest[lit - 1], brightest[lit]
    return float(lit + 0.5 - (there - BLACK) / (there - before)) / COARSE


def _colour(pixels: NDArray[np.float64], grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blue and red beyond grey around the middle, as shares of the luminance: what turns and exposure leave; a row each."""
    light = (grey.reshape(len(grey), -1) + 4) @ SPREAD.T
    beyond = ((pixels[..., channel] - grey).reshape(len(grey), -1) for channel in (2, 0))
    return np.concatenate([channel @ SPREAD.T / light for channel in beyond], axis=1)


def _signed(fingerprints: Rows) -> NDArray[np.int8]:
    return np.ascontiguousarray(fingerprints).view(np.int8)


def _planes(fingerprints: Rows) -> NDArray[np.float64]:
    """The luminances (n x SIDE x SIDE) of fingerprints."""
    return _signed(fingerprints)[:, 1 : 1 + SIDE * SIDE].astype(np.float64).reshape(-1, SIDE, SIDE)


def _structured(fingerprints: Rows) -> NDArray[np.bool_]:
    return cast(NDArray[np.bool_], fingerprints[:, 0] >= STRUCTURE_STEPS * np.log2(1 + LEAST_STRUCTURE))


GAUGE = _gauge()
