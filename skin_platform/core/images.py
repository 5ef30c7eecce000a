"""Images at the door: what a delivered file is, or why it is refused.

Here: judging the bytes of one file by what will be stored of it. Not here: what is stored of it (``core.cleaning``), which
label a file has (``core.layout``), how it becomes model input (``core.preprocessing``).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from skin_platform.core.cleaning import Stripped, settled, stripped
from skin_platform.core.decoding import Decoded, decoded
from skin_platform.core.fingerprints import fingerprints_of
from skin_platform.core.formats import format_of, other_format_of
from skin_platform.core.orientation import SWAPPING
from skin_platform.core.quality import Quality, measured
from skin_platform.core.redrawing import READ_ERRORS, opened

EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
Seen = TypeVar("Seen")
RefusalKind = Literal["empty", "too_large", "not_an_image", "wrong_format", "too_small", "corrupt"]


@dataclass(frozen=True)
class Limits:
    """What a file may measure at most: bytes on disk, pixels once decoded, and the shortest side in pixels."""

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000  # a 100-megapixel bomb decodes to 300 MB; dermatoscopes deliver up to 24
    min_side_px: int = 16


@dataclass(frozen=True)
class ImageFacts:
    """A readable image, as it will be stored: cleaned and upright.

    Digests (hex) and size of the cleaned bytes, ``delivered_sha256`` of those delivered, width and height in pixels as
    displayed, format (``JPEG`` or ``PNG``), the fingerprint by which near-duplicates are found, and the quality measures.
    """

    sha256: str
    delivered_sha256: str
    md5: str
    size_bytes: int
    width_px: int
    height_px: int
    format: str
    perceptual_hash: str
    quality: Quality


@dataclass(frozen=True)
class Refusal:
    """A file that is not taken: the reason that a person reads, what a program goes by, digest and size as delivered."""

    reason: str
    kind: RefusalKind
    sha256: str
    size_bytes: int


def judge_image(data: bytes, extension: str, limits: Limits) -> ImageFacts | Refusal:
    """Describe what is stored of ``data``, all of it decoded once, or say why it is refused. Never raises on bad bytes.

    Of a file with several pictures (MPO, animated PNG) the first counts and is stored.
    """
    found = decode_image(data, extension, limits)
    return found if isinstance(found, Refusal) else described([found])[0]


def decode_image(data: bytes, extension: str, limits: Limits) -> Decoded | Refusal:
    """The first half of ``judge_image``; ``described`` is the other, for many images at once."""
    return admitted(data, extension, limits, lambda image, clean, delivered_sha256: decoded(
        image, clean, delivered_sha256, is_changed=clean is not data))


def described(images: Sequence[Decoded]) -> list[ImageFacts]:
    """The facts of images, in order."""
    if not images:
        return []
    prints = fingerprints_of(np.stack([image.square for image in images]))
    return [ImageFacts(image.sha256, image.delivered_sha256, image.md5, image.size_bytes, image.width_px, image.height_px,
                       image.format, text, measured(image.plane, image.width_px * image.height_px))
            for image, text in zip(images, prints, strict=True)]


def admitted(
    data: bytes, extension: str, limits: Limits, see: Callable[[Image.Image, bytes, str], Seen]
) -> Seen | Refusal:
    """What ``see`` makes of an image that the rules admit, or why it is refused. Never raises on bad bytes.

    ``see`` is given the opened image, of which no pixel was decoded yet, the cleaned bytes that it was opened from, and the
    SHA-256 (hex) of those delivered. It must decode all of the image; ``core.redrawing.READ_ERRORS`` that it raises refuse it.
    """
    delivered_sha256 = hashlib.sha256(data).hexdigest()

    def refuse(reason: str, kind: RefusalKind) -> Refusal:
        return Refusal(reason, kind, delivered_sha256, len(data))

    if not data:
        return refuse("the file is empty", "empty")
    if len(data) > limits.max_bytes:
        return refuse(f"{len(data)} bytes is over the limit of {limits.max_bytes}", "too_large")
    try:
        found = stripped(data)
        if found is None:
            return refuse(*_not_taken(data, extension))
        image, clean = opened(found.data, found.format), found.data
        fault = _refuse_by_header(image.size, found, extension, limits)
        if fault:
            return refuse(*fault)
        if not found.is_clean:
            clean = settled(found)
            image = opened(clean, found.format)
        return see(image, clean, delivered_sha256)
    except READ_ERRORS as error:
        return refuse(f"truncated or corrupt {format_of(data)}: {_without_internals(error)}", "corrupt")


def _refuse_by_header(
    size: tuple[int, int], found: Stripped, extension: str, limits: Limits
) -> tuple[str, RefusalKind] | None:
    """The reason that the header alone gives, before any pixel is decoded."""
    expected = EXTENSIONS.get(extension.lower())
    width, height = size if found.orientation not in SWAPPING else size[::-1]
    if expected and found.format != expected:
        return f"the content is {found.format} but the name ends in {extension}", "wrong_format"
    if width * height > limits.max_pixels:
        return f"too many pixels: {width}x{height} is over the limit of {limits.max_pixels}", "too_large"
    if min(width, height) < limits.min_side_px:
        return f"{width}x{height} pixels is too small to judge (shortest side under {limits.min_side_px})", "too_small"
    return None


def _not_taken(data: bytes, extension: str) -> tuple[str, RefusalKind]:
    """Why bytes that begin neither as a JPEG nor as a PNG are refused."""
    other = other_format_of(data)
    if other:
        return f"{other} is not taken (only JPEG and PNG are)", "wrong_format"
    return "the content is not an image" + (f", whatever {extension} says" if extension else ""), "not_an_image"


def _without_internals(error: BaseException) -> str:
    """Pillow's message without object addresses, so that the same file always gives the same reason."""
    return str(error).split(" <")[0] or type(error).__name__
