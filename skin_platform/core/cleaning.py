"""Cleaning: what is stored of a delivered image: its picture, upright, and nothing of what else the file told.

Here: leaving out metadata without touching pixels, and drawing anew what has to be turned or whose structure is broken.
Not here: what may be left out (``core.jpeg_segments``, ``core.png_chunks``), drawing (``core.redrawing``), what is refused
(``core.images``).
"""

from dataclasses import dataclass

from skin_platform.core.formats import Format, format_of
from skin_platform.core.jpeg_segments import MalformedError, refuse_many_scans, refuse_many_segments, strip_jpeg
from skin_platform.core.png_chunks import refuse_many_chunks, strip_png
from skin_platform.core.redrawing import redrawn


@dataclass(frozen=True)
class Stripped:
    """A JPEG or PNG file without metadata: its bytes, and how the picture is held (EXIF orientation).

    ``orientation`` is None where the structure is broken: then ``data`` are the bytes as delivered, and only a picture drawn
    anew from them is known to be free of metadata.
    """

    data: bytes
    format: Format
    orientation: int | None

    @property
    def is_clean(self) -> bool:
        """Whether ``data`` may be stored as they are."""
        return self.orientation == 1


def stripped(data: bytes) -> Stripped | None:
    """``data`` without metadata, by its bytes alone (nothing is decoded); None where it is neither JPEG nor PNG.

    Raises ``ValueError`` on bombs in time, however broken: more scans, segments, bytes between segments or chunks than any
    real file has (``MAX_SCANS``, ``MAX_SEGMENTS``, ``MAX_PADDING``, ``MAX_CHUNKS``).
    """
    image_format = format_of(data)
    if image_format is None:
        return None
    try:
        bare, orientation = (strip_jpeg if image_format == "JPEG" else strip_png)(data)
    except MalformedError:
        if image_format == "JPEG":
            refuse_many_segments(data)
            refuse_many_scans(data.count(b"\xff\xda"))
        else:
            refuse_many_chunks(data)
        return Stripped(data, image_format, None)
    return Stripped(bare, image_format, orientation)


def settled(found: Stripped) -> bytes:
    """The bytes to store of ``found``: as they are, or drawn anew. Raises ``core.redrawing.READ_ERRORS`` on bad bytes."""
    return found.data if found.is_clean else redrawn(found.data, found.format, found.orientation)


def cleaned(data: bytes) -> bytes:
    """What is stored of the delivered JPEG or PNG ``data``: upright, without any metadata, its pixels untouched.

    Deterministic and idempotent; what is clean comes back as it is. JPEG's entropy-coded data are copied, but for pictures
    that have to be turned (see ``redrawn``). Raises ``core.redrawing.READ_ERRORS`` on what cannot be decoded, ``ValueError``
    on what is neither JPEG nor PNG.
    """
    found = stripped(data)
    if found is None:
        raise ValueError("neither JPEG nor PNG")
    return settled(found)
