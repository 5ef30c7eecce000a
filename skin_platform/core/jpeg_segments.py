"""JPEG segments: what a decoder needs of a JPEG file, byte for byte, and nothing else.

Here: walking the segments of ITU-T T.81 (annex B) and leaving out those that carry metadata.
Not here: decoding (Pillow), what is done where the structure is broken (``core.cleaning``).

Bytes that hide inside the entropy-coded data or in a table that no component uses are not looked for.
"""

import re
from dataclasses import dataclass, field

from skin_platform.core.orientation import orientation_in

MAX_SEGMENTS = 5_000  # 50 MB of profiles and extended XMP are under 800 segments of 65 kB; each costs a decoder time and memory
MAX_PADDING = 100_000  # bytes that belong to no segment; one whose length is wrong leaves at most 65,535 of them
MAX_SCANS = 100  # progressive cameras write about ten; as many as a person may ask for by hand stay far under 100
SOI, EOI, SOS, COM, DNL, APP0, APP1, APP14 = 0xD8, 0xD9, 0xDA, 0xFE, 0xDC, 0xE0, 0xE1, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # DHT, DAC, DQT, DRI
BARE = frozenset({0xC8, *range(0xD0, EOI + 1), *range(0xF0, COM)})  # Pillow reads no length behind these
METADATA = frozenset({*range(0xE0, 0xF0), COM, DNL})
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed 0xFF nor a restart marker nor a fill byte
MANY_SEGMENTS = f"more than {MAX_SEGMENTS} segments, no real picture has as many"
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_FILL = re.compile(rb"\xff+")


class MalformedError(ValueError):
    """The structure of a file is not that of its format, whatever a tolerant decoder may still read in it."""


@dataclass
class _Kept:
    """What has been kept of a file so far, and what was learnt on the way."""

    pieces: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    orientation: int = 1
    scans: int = 0
    through_last_scan: int = 0
    padding: int = 0
    seen: set[int] = field(default_factory=set)


def strip_jpeg(data: bytes) -> tuple[bytes, int]:
    """``data`` without metadata, and the orientation (1 to 8) that its EXIF stated.

    Raises ``MalformedError``, and ``ValueError`` over ``MAX_SCANS``, ``MAX_SEGMENTS`` or ``MAX_PADDING``.
    Left out: all APPn segments but JFIF's header (without its thumbnail) and Adobe's colour transform (12 bytes), comments,
    and whatever stands behind EOI. The entropy-coded data are copied. A file with nothing to leave out comes back as it is.
    """
    if not data.startswith(b"\xff\xd8"):
        raise MalformedError("no SOI marker")
    kept, at = _Kept(), 2
    for _ in range(MAX_SEGMENTS):
        marker, body, end = _segment(data, at)
        if body > at + 4:
            kept.padding += body - 4 - at
            _refuse_much_padding(kept.padding)
        if marker == EOI:
            break
        if marker == SOS:
            end = _end_of_scan(data, end)
            kept.scans += 1
            kept.pieces.append(data[at:end])
            kept.through_last_scan = len(kept.pieces)
        elif marker in FRAMES or marker in TABLES:
            kept.pieces.append(data[at:end])
        elif marker in METADATA:
            _keep_of_metadata(marker, data[body:end], kept)
        else:
            raise MalformedError(f"marker 0xFF{marker:02X} where a segment should begin")
        at = end
    else:
        raise ValueError(MANY_SEGMENTS)
    if not kept.scans:
        raise MalformedError("no scan")
    refuse_many_scans(kept.scans)
    bare = b"".join([*kept.pieces[:kept.through_last_scan], b"\xff\xd9"])
    return (data if bare == data else bare), kept.orientation


def refuse_many_scans(scans: int) -> None:
    """Raise ``ValueError`` for a bomb in time: each scan costs the decoder a pass over all pixels, however few its bytes."""
    if scans > MAX_SCANS:
        raise ValueError(f"{scans} scans (at most {MAX_SCANS} are decoded)")


def refuse_many_segments(data: bytes) -> None:
    """Raise ``ValueError`` where a JPEG of broken structure has more than ``MAX_SEGMENTS`` or ``MAX_PADDING`` before its scan.

    Walks as Pillow does, which skips what is no marker byte by byte and keeps all segments that it meets.
    """
    at, padding = 2, 0
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, at, at + MAX_PADDING + 2)
        marker_at = found.start() if found else min(len(data), at + MAX_PADDING + 1)
        padding += marker_at - at
        _refuse_much_padding(padding)
        if found is None or data[marker_at + 1] == SOS or data[marker_at + 1] < 0xC0:  # below are no markers to Pillow
            return
        at = marker_at + 2
        if data[at - 1] not in BARE:
            at += max(2, int.from_bytes(data[at:at + 2], "big"))
    raise ValueError(MANY_SEGMENTS)


def _refuse_much_padding(padding: int) -> None:
    if padding > MAX_PADDING:
        raise ValueError(f"more than {MAX_PADDING} bytes between the segments, no real picture has as many")


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """The marker at ``at``, where its content begins and where it ends; fill bytes (B.1.1.2) may precede the marker."""
    if data[at:at + 2] == b"\xff\xff" and (fill := _FILL.match(data, at, at + MAX_PADDING + 2)):
        at = fill.end() - 1
    if len(data) < at + 2 or data[at] != 0xFF:
        raise MalformedError("bytes between two segments")
    marker, end = data[at + 1], at + 2
    if marker != EOI:
        length = int.from_bytes(data[end:end + 2], "big")
        end += length
        if length < 2 or end > len(data):
            raise MalformedError(f"a segment of {length} bytes")
    return marker, at + 4, end


def _end_of_scan(data: bytes, start: int) -> int:
    found = _MARKER_IN_SCAN.search(data, start)
    if found is None:
        raise MalformedError("no EOI marker")
    return found.start()


def _keep_of_metadata(marker: int, content: bytes, kept: _Kept) -> None:
    """Keep what decides on colours, note the orientation, leave out the rest."""
    if marker == APP1 and content.startswith(b"Exif\x00\x00"):
        if kept.orientation == 1:
            kept.orientation = orientation_in(content)
    elif kept.scans:
        return  # the colour transform was settled when the first scan began
    elif marker == APP0 and content.startswith(b"JFIF\x00") and len(content) >= 14:
        if APP0 not in kept.seen:
            kept.pieces.append(b"\xff\xe0\x00\x10" + content[:12] + b"\x00\x00")
        kept.seen.add(APP0)
    elif marker == APP14 and content.startswith(b"Adobe") and len(content) >= 12:
        if APP14 in kept.seen:
            raise MalformedError("two colour transforms")
        kept.pieces.append(b"\xff\xee\x00\x0e" + content[:12])
        kept.seen.add(APP14)
