"""Decoding: an accepted image read to its last byte, and what is kept of it until its facts are worked out.

Here: digests, the small versions by which a picture is found again and measured. Not here: what is refused (``core.images``),
fingerprints (``core.fingerprints``), measures (``core.quality``).
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.core.fingerprints import square
from skin_platform.core.flattening import by_bands, eight_bits, is_see_through, on_white
from skin_platform.core.orientation import TURNS, orientation_in
from skin_platform.core.quality import grey_plane

SMALL_PX = 112  # shorter side down to which a JPEG may be decoded scaled; hash and quality need no more


@dataclass(frozen=True)
class Decoded:
    """A readable image whose facts are known but for those that are worked out of its small versions, ``square`` and ``plane``.

    Holds 110 kB at most, however large the image is.
    """

    sha256: str
    delivered_sha256: str
    md5: str
    size_bytes: int
    width_px: int
    height_px: int
    format: str
    square: NDArray[np.uint8]
    plane: NDArray[np.uint8]


def decoded(image: Image.Image, clean: bytes, delivered_sha256: str, *, is_changed: bool) -> Decoded:
    """What is known of ``clean``, the bytes that will be stored, opened as ``image`` and not decoded yet.

    Raises ``core.redrawing.READ_ERRORS`` on bad bytes.
    """
    width, height = image.size
    small = _small(image)
    return Decoded(
        sha256=hashlib.sha256(clean).hexdigest() if is_changed else delivered_sha256, delivered_sha256=delivered_sha256,
        md5=hashlib.md5(clean, usedforsecurity=False).hexdigest(), size_bytes=len(clean), width_px=width, height_px=height,
        format=str(image.format), square=square(small), plane=grey_plane(small.convert("L")))


def upright(image: Image.Image) -> Image.Image:
    """``image`` decoded and turned as its EXIF orientation says. Raises what Pillow raises on bad bytes."""
    image.load()
    turn = TURNS.get(orientation_in(image.info.get("exif") or b""))
    return image if turn is None else image.transpose(turn)


def _small(image: Image.Image) -> Image.Image:
    """``image`` decoded, L or RGB, its shorter side brought near ``SMALL_PX`` where it is longer; what is transparent is white.

    A JPEG is decoded at a half, a quarter or an eighth of its size, which still reads all of its data.
    """
    image.draft(None, (SMALL_PX, SMALL_PX))
    image.load()
    factor = max(1, min(image.size) // SMALL_PX)
    if image.mode in {"L", "RGB"} and not is_see_through(image):
        return _reduced(image, factor)
    return by_bands(image, lambda band: _reduced(band, factor), factor)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    image = eight_bits(image)
    see_through = is_see_through(image)
    if see_through or image.mode not in {"L", "RGB"}:
        image = image.convert("RGBA" if see_through else "RGB")
    image = image.reduce(factor) if factor > 1 else image
    return on_white(image) if see_through else image
