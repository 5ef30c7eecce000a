"""Pictures for tests: small, real, and different for every seed."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image


def picture(seed: int = 0, width: int = 48, height: int = 32) -> Image.Image:
    """An RGB picture of coarse coloured tiles, which survives JPEG."""
    tiles = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(tiles).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of ``image``."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg(seed: int = 0, width: int = 48, height: int = 32, **options: Any) -> bytes:
    """A JPEG of ``picture``."""
    return encoded(picture(seed, width, height), "JPEG", **options)


def png(seed: int = 0, width: int = 48, height: int = 32, **options: Any) -> bytes:
    """A PNG of ``picture``."""
    return encoded(picture(seed, width, height), "PNG", **options)


def orientation(tag: int) -> bytes:
    """EXIF that says how the picture was held, and who made the camera."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = tag
    exif[ExifTags.Base.Make] = "Some camera"
    return exif.tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of some eighty bytes whose header promises ``width`` x ``height`` pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
