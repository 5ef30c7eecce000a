"""Formats: what a file is by its first bytes, whatever its name says.

Here: the two formats that are taken, and the name of those that people send instead. Not here: whether the rest of the file
is sound (``core.images``).
"""

from typing import Literal

Format = Literal["JPEG", "PNG"]
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
OTHERS = {  # first bytes, and at which offset they stand
    "GIF": (b"GIF8", 0), "TIFF": (b"II*\x00", 0), "big-endian TIFF": (b"MM\x00*", 0), "WEBP": (b"WEBP", 8),
    "HEIC": (b"ftyphei", 4), "AVIF": (b"ftypavif", 4), "JPEG 2000": (b"jP  \r\n", 4), "DICOM": (b"DICM", 128),
}


def format_of(data: bytes) -> Format | None:
    """The format that the first bytes name; None for all but JPEG and PNG."""
    if data.startswith(JPEG_MAGIC):
        return "JPEG"
    return "PNG" if data.startswith(PNG_MAGIC) else None


def other_format_of(data: bytes) -> str | None:
    """The name of the picture format that is recognized but not taken; None where it is no picture that we know."""
    for name, (mark, at) in OTHERS.items():
        if data[at:at + len(mark)] == mark:
            return name
    is_bitmap = data.startswith(b"BM") and data[6:10] == bytes(4)  # two letters alone may begin a text
    return "BMP" if is_bitmap else None
