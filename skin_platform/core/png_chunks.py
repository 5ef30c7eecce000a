"""PNG chunks: what a decoder needs of a PNG file, byte for byte, and nothing else.

Here: walking the chunks of the PNG specification (third edition, 2025) and leaving out those that carry metadata.
Not here: decoding (Pillow), what is done where the structure is broken (``core.cleaning``).
"""

import re
import zlib
from dataclasses import dataclass, field

from skin_platform.core.formats import PNG_MAGIC
from skin_platform.core.jpeg_segments import MalformedError
from skin_platform.core.orientation import orientation_in

END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
COLOUR_SIZES = {b"gAMA": (4,), b"cHRM": (32,), b"sRGB": (1,), b"sBIT": (1, 2, 3, 4)}  # numbers only; else they are left out
TRNS_SIZES = {0: (2,), 2: (6,), 3: tuple(range(1, 257))}  # by colour type
PALETTE = 3
MAX_CHUNKS = 25_000  # encoders write IDATs of 8 kB and more: 200 MB; each chunk costs a decoder time and memory
MANY_CHUNKS = f"more than {MAX_CHUNKS} chunks, no real picture has as many"
_NAME = re.compile(rb"\w{4}")  # what Pillow takes for a chunk's name; it stops at others


@dataclass
class _Kept:
    """What has been kept of a file so far, and what was learnt on the way."""

    pieces: list[bytes] = field(default_factory=lambda: [PNG_MAGIC])
    orientation: int = 1
    colour_type: int = 0
    seen: set[bytes] = field(default_factory=set)


def strip_png(data: bytes) -> tuple[bytes, int]:
    """``data`` without metadata, and the orientation (1 to 8) that its EXIF stated.

    Raises ``MalformedError``, and ``ValueError`` over ``MAX_CHUNKS``.

    Kept: IHDR, PLTE of palette pictures, tRNS, IDAT, IEND and the colour chunks that hold numbers only (gAMA, cHRM, sRGB,
    sBIT). Left out: texts, EXIF, ICC profile, time, all other ancillary chunks, and the further frames of an animated
    PNG, whose first picture counts; whatever stands behind IEND. A file with nothing to leave out comes back as it is.
    """
    kept, at = _Kept(), len(PNG_MAGIC)
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(data[at:at + 4], "big")
        kind, end = data[at + 4:at + 8], at + 12 + length
        if end > len(data) or not kind.isalpha():
            raise MalformedError("a chunk that is cut short or has no name")
        if kind == b"IEND":
            break
        if kind[:1].isupper() or kind in COLOUR_SIZES or kind == b"tRNS":
            _keep(kind, data[at:end], kept)
        elif kind == b"eXIf":
            kept.orientation = orientation_in(data[at + 8:end - 4])
        at = end
    else:
        raise ValueError(MANY_CHUNKS)
    if b"IDAT" not in kept.seen:
        raise MalformedError("no IDAT chunk")
    if kept.colour_type == PALETTE and b"PLTE" not in kept.seen:
        raise MalformedError("no PLTE chunk")
    bare = b"".join([*kept.pieces, END])
    return (data if bare == data else bare), kept.orientation


def refuse_many_chunks(data: bytes) -> None:
    """Raise ``ValueError`` where a PNG of broken structure has more than ``MAX_CHUNKS``, as far as Pillow would walk."""
    at = len(PNG_MAGIC)
    for _ in range(MAX_CHUNKS):
        if not _NAME.match(data, at + 4):
            return
        at += 12 + int.from_bytes(data[at:at + 4], "big")
    raise ValueError(MANY_CHUNKS)


def colour_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the chunks of a stripped PNG that say what its numbers mean as colours, but for their depth."""
    found, at = [], len(PNG_MAGIC)
    while (kind := data[at + 4:at + 8]) != b"IDAT":
        end = at + 12 + int.from_bytes(data[at:at + 4], "big")
        if kind in COLOUR_SIZES and kind != b"sBIT":
            found.append((kind, data[at + 8:end - 4]))
        at = end
    return found


def _keep(kind: bytes, chunk: bytes, kept: _Kept) -> None:
    """Keep ``chunk`` where it is needed; raises ``MalformedError`` where it is not what the specification allows there."""
    size = len(chunk) - 12
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise MalformedError(f"a wrong checksum in {kind!r}")
    if (kind == b"IHDR") == bool(kept.seen) or (kind in kept.seen and kind != b"IDAT"):
        raise MalformedError(f"{kind!r} twice, or before IHDR")
    if kind in COLOUR_SIZES:
        if size not in COLOUR_SIZES[kind] or b"IDAT" in kept.seen:
            return
    elif kind == b"PLTE" and kept.colour_type != PALETTE:
        return  # a mere suggestion
    elif not _is_allowed(kind, size, kept):
        raise MalformedError(f"{size} bytes of {kind!r}")
    if kind == b"IHDR":
        kept.colour_type = chunk[17]
    kept.seen.add(kind)
    kept.pieces.append(chunk)


def _is_allowed(kind: bytes, size: int, kept: _Kept) -> bool:
    if kind == b"IHDR":
        return size == 13
    if kind == b"PLTE":
        return size % 3 == 0 and 0 < size <= 768 and b"IDAT" not in kept.seen
    if kind == b"tRNS":
        return size in TRNS_SIZES.get(kept.colour_type, ()) and b"IDAT" not in kept.seen
    return kind == b"IDAT"
