"""Images at the door: what a delivered file is, or why it is refused.

Here: opening, hashing and judging the bytes of one file.
Not here: which label a file has (``core.layout``), how it becomes model input (``core.preprocessing``).
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
RefusalKind = Literal["empty", "too_large", "not_an_image", "wrong_format", "too_small", "corrupt"]
READ_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises on bad bytes
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # what shows a picture upright, by EXIF orientation


@dataclass(frozen=True)
class Limits:
    """What a file may measure at most: bytes on disk, pixels once decoded, and the shortest side in pixels."""

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000  # a 100-megapixel bomb decodes to 300 MB; dermatoscopes deliver up to 24
    min_side_px: int = 16


@dataclass(frozen=True)
class ImageFacts:
    """A readable image: digests (hex), size in pixels as displayed, format (``JPEG`` or ``PNG``), 64-bit dHash."""

    sha256: str
    md5: str
    size_bytes: int
    width_px: int
    height_px: int
    format: str
    perceptual_hash: str


@dataclass(frozen=True)
class Refusal:
    """A file that is not taken: the reason a person reads, and what a program goes by."""

    reason: str
    kind: RefusalKind
    sha256: str
    size_bytes: int


def judge_image(data: bytes, extension: str, limits: Limits) -> ImageFacts | Refusal:
    """Decode ``data`` completely and describe it, or say why it is refused. Never raises on bad bytes."""
    sha256 = hashlib.sha256(data).hexdigest()

    def refuse(reason: str, kind: RefusalKind) -> Refusal:
        return Refusal(reason, kind, sha256, len(data))

    if not data:
        return refuse("the file is empty", "empty")
    if len(data) > limits.max_bytes:
        return refuse(f"{len(data)} bytes is over the limit of {limits.max_bytes}", "too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
    except UnidentifiedImageError:
        return refuse("the content is not an image" + (f", whatever {extension} says" if extension else ""), "not_an_image")
    except Image.DecompressionBombError as error:
        return refuse(f"too many pixels: {error}", "too_large")
    except READ_ERRORS as error:
        return refuse(f"unreadable image header: {_without_internals(error)}", "corrupt")
    with image:
        if image.format == "MPO":  # a JPEG with further pictures behind it, as telephones write it; the first one counts
            image.format = "JPEG"
        fault = _refuse_by_header(image, extension, limits)
        if fault:
            return refuse(*fault)
        try:
            shown = upright(image)
            dhash = perceptual_hash(shown)
        except READ_ERRORS as error:
            return refuse(f"truncated or corrupt {image.format}: {_without_internals(error)}", "corrupt")
        width, height = shown.size
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return ImageFacts(sha256, md5, len(data), width, height, str(image.format), dhash)


def upright(image: Image.Image) -> Image.Image:
    """``image`` decoded and turned as its EXIF orientation says.

    ``ImageOps.exif_transpose`` also writes the EXIF anew, which raises ``TypeError`` or ``struct.error`` on malformed tags.
    """
    image.load()
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """``image`` with 16-bit grey scaled to 8 bits (Pillow's own conversion clips it to white)."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))


def perceptual_hash(image: Image.Image) -> str:
    """The 64-bit difference hash of ``image`` as 16 hex digits (Krawetz 2013, "dHash").

    Neighbouring pixels of a 9x8 greyscale thumbnail are compared; survives re-encoding and resizing.
    """
    grey = np.asarray(eight_bits(image).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).flatten()
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def _refuse_by_header(image: Image.Image, extension: str, limits: Limits) -> tuple[str, RefusalKind] | None:
    """The reason that the header alone gives, before any pixel is decoded."""
    expected = EXTENSIONS.get(extension.lower())
    width, height = image.size
    if image.format not in EXTENSIONS.values():
        return f"{image.format} is not taken (only JPEG and PNG are)", "wrong_format"
    if expected and image.format != expected:
        return f"the content is {image.format} but the name ends in {extension}", "wrong_format"
    if width * height > limits.max_pixels:
        return f"{width}x{height} pixels is over the limit of {limits.max_pixels}", "too_large"
    if min(width, height) < limits.min_side_px:
        return f"{width}x{height} pixels is too small to judge (shortest side under {limits.min_side_px})", "too_small"
    return None


def _without_internals(error: BaseException) -> str:
    """Pillow's message without object addresses, so that the same file always gives the same reason."""
    return str(error).split(" <")[0] or type(error).__name__
