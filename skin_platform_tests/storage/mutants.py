"""Mutants: image files damaged in the ways that disks, networks, editors and enemies damage them, the same for every seed."""

import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from skin_platform_tests.core.pictures import chunk, encoded, jpeg, orientation, picture, png, segment

PLANTED = b"PLANTED-name-of-a-person"
Random = np.random.Generator


def _dirty_jpeg(data: bytes, tag: int) -> bytes:
    """``data`` with EXIF, a comment and something behind its end."""
    return data[:2] + segment(0xE1, orientation(tag) + PLANTED) + segment(0xFE, PLANTED) + data[2:] + PLANTED


def _dirty_png(data: bytes, tag: int) -> bytes:
    texts = chunk(b"tEXt", b"Name\x00" + PLANTED) + chunk(b"iTXt", PLANTED) + chunk(b"eXIf", orientation(tag)[6:])
    return data[:33] + texts + data[33:] + PLANTED


GREY16 = np.random.default_rng(3).integers(0, 65536, (30, 40), dtype=np.uint16)
SEEDS = (
    (".jpg", _dirty_jpeg(jpeg(1, 40, 30), 1)), (".jpg", _dirty_jpeg(jpeg(2, 64, 48, progressive=True), 1)),
    (".jpg", _dirty_jpeg(jpeg(3, 64, 48), 6)), (".jpg", _dirty_jpeg(jpeg(4, 33, 47, subsampling=1), 8)),
    (".jpg", _dirty_jpeg(encoded(picture(5).convert("CMYK")), 1)), (".jpg", _dirty_jpeg(encoded(picture(6).convert("L")), 3)),
    (".jpg", _dirty_jpeg(jpeg(7, 64, 48, restart_marker_blocks=2), 1)),
    (".jpg", encoded(picture(8), "MPO", save_all=True, append_images=[picture(9)])),
    (".png", _dirty_png(png(1, 40, 30), 1)), (".png", _dirty_png(encoded(picture(2).convert("P"), "PNG", transparency=7), 1)),
    (".png", _dirty_png(encoded(picture(3, 40, 30).convert("RGBA"), "PNG"), 6)),
    (".png", _dirty_png(encoded(picture(4).convert("1"), "PNG"), 1)),
    (".png", encoded(picture(5), "PNG", save_all=True, append_images=[picture(6)])),
    (".png", _dirty_png(encoded(Image.fromarray(GREY16), "PNG"), 1)),
)


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for at in random.integers(0, len(data), random.integers(1, 9)):
        changed[at] = random.integers(0, 256)
    return bytes(changed)


def _flipped_header(data: bytes, random: Random) -> bytes:
    return _flipped(data[:600], random) + data[600:]


def _cut(data: bytes, random: Random) -> bytes:
    return data[:random.integers(0, len(data))]


def _inserted(data: bytes, random: Random) -> bytes:
    at = random.integers(0, len(data))
    return data[:at] + random.bytes(random.integers(1, 40)) + data[at:]


def _planted(data: bytes, random: Random) -> bytes:
    """A whole segment or chunk of metadata at a random place."""
    at = random.integers(0, len(data))
    kinds = (b"tEXt", b"eXIf", b"iCCP", b"zTXt")
    extra = segment(int(random.integers(0xE0, 0xFF)), PLANTED) if random.random() < 0.5 else chunk(
        kinds[random.integers(len(kinds))], PLANTED)
    return data[:at] + extra + data[at:]


def _repeated(data: bytes, random: Random) -> bytes:
    start, end = sorted(random.integers(0, len(data), 2))
    return data[:end] + data[start:end] + data[end:]


def _zeroed(data: bytes, random: Random) -> bytes:
    start = random.integers(0, len(data))
    length = min(random.integers(1, 200), len(data) - start)
    return data[:start] + bytes(int(length)) + data[start + length:]


def _spliced(data: bytes, random: Random) -> bytes:
    other = SEEDS[random.integers(len(SEEDS))][1]
    return data[:random.integers(0, len(data))] + other[random.integers(0, len(other)):]


def _renumbered(data: bytes, random: Random) -> bytes:
    """One field of two or four bytes of the header set to an extreme."""
    size = 2 if random.random() < 0.5 else 4
    at = random.integers(0, min(len(data), 700))
    extremes = (0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    return data[:at] + extremes[random.integers(4)].to_bytes(size, "big") + data[at + size:]


def _with_sums(data: bytes, random: Random) -> bytes:
    """A PNG damaged within a chunk whose checksum then is right again (any other file: flipped)."""
    if not data.startswith(b"\x89PNG"):
        return _flipped(data, random)
    at, pieces = 8, [data[:8]]
    while (end := at + 12 + int.from_bytes(data[at:at + 4], "big")) <= len(data):
        content = data[at + 8:end - 4]
        pieces.append(chunk(data[at + 4:at + 8], _flipped(content, random) if content and random.random() < 0.2 else content))
        at = end
    return b"".join(pieces)


def _packed(data: bytes, random: Random) -> bytes:
    """A PNG whose compressed pixels are few, many or of another picture (any other file: flipped)."""
    at = data.find(b"IDAT")
    if at < 0:
        return _flipped(data, random)
    length = int.from_bytes(data[at - 4:at], "big")
    pixels = zlib.compress(bytes(int(random.integers(0, 300_000))))
    return data[:at - 4] + chunk(b"IDAT", pixels) + data[at + 8 + length:]


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flipped, _flipped_header, _cut, _inserted, _planted, _repeated, _zeroed, _spliced, _renumbered, _with_sums, _packed)


def mutant(seed: int) -> tuple[str, bytes]:
    """An extension, and the bytes of a seed file after one to three damages."""
    random = np.random.default_rng(seed)
    extension, data = SEEDS[seed % len(SEEDS)]
    for _ in range(random.integers(1, 4)):
        data = DAMAGES[random.integers(len(DAMAGES))](data, random) if data else data
    return extension, data
