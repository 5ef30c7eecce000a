"""Pixel files: one growing file of decoded images for each preprocessing, shared by all datasets and splits.

Here: slots, checks, the bound on their size. Not here: decoding (``ml.pixels``).

    <root>/<digest of the preprocessing>/index    a record a slot: SHA-256 of the image, check of its pixels (0: not there)
    <root>/<digest of the preprocessing>/pixels   uint8 (slots, S, S, 3)

New images take new slots, so that a grown dataset costs what is new in it. A slot's check is written after its pixels and
compared at the first reading in each process: what a killed process or a power cut left half-done is decoded again.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.preprocessing import METHOD, Preprocessing
from skin_platform.ml.failures import NoRoom

RECORD = np.dtype([("sha256", "u1", 32), ("check", "<u8")])


class PixelFile:
    """The pixels of one preprocessing below ``root``; ``max_bytes`` bounds all below ``root`` but what is in use."""

    def __init__(self, root: Path, preprocessing: Preprocessing, max_bytes: int) -> None:
        described = json.dumps({**preprocessing.as_dict(), "method": METHOD}, sort_keys=True)
        self._root, self._max_bytes, self._side = root, max_bytes, preprocessing.size_px
        self._folder = root / hashlib.sha256(described.encode()).hexdigest()[:32]
        self._bytes = preprocessing.size_px**2 * 3
        self._index: NDArray[Any] = np.empty(0, RECORD)
        self.pixels: NDArray[np.uint8] = np.empty((0, self._side, self._side, 3), np.uint8)

    def slots(self, sha256s: Sequence[str]) -> NDArray[np.int64]:
        """The slots of these images, new ones for those that have none; raises ``NoRoom`` where the disk is full, or where
        nothing can be written."""
        try:
            return self._slots(sha256s)
        except OSError as error:
            raise NoRoom(f"decoded images cannot be kept in {self._folder}: {error.strerror}: make it writable, or set "
                         "SKIN_HOME to another place") from error

    def _slots(self, sha256s: Sequence[str]) -> NDArray[np.int64]:
        with self._locked():
            known = self._known()
            new = list(dict.fromkeys(name for name in sha256s if name not in known))
            if new and (len(known) + len(new)) * self._bytes > self._max_bytes:
                for name in ("index", "pixels"):  # begun anew with what is wanted now; those who have it open keep theirs
                    (self._folder / name).unlink(missing_ok=True)
                known, new = {}, list(dict.fromkeys(sha256s))
            self._grow(len(known), new)
            self._make_room()
        known |= {name: len(known) + number for number, name in enumerate(new)}
        self._open()
        return np.array([known[name] for name in sha256s], dtype=np.int64)

    def is_sound(self, slot: int) -> bool:
        """Whether the pixels in ``slot`` are those that were written."""
        check = int(self._index["check"][slot])
        return check != 0 and check == _check(self.pixels[slot])

    def write(self, slot: int, pixels: NDArray[np.uint8]) -> None:
        """Keep the pixels (S, S, 3) of ``slot``."""
        self.pixels[slot] = pixels
        self._index["check"][slot] = _check(pixels)

    def _known(self) -> dict[str, int]:
        try:
            stored = np.fromfile(self._folder / "index", RECORD)
        except FileNotFoundError:
            return {}
        return {record.tobytes().hex(): slot for slot, record in enumerate(stored["sha256"])}

    def _grow(self, slots: int, new: Sequence[str]) -> None:
        """Room for the pixels first, then the records: a slot without room is never named."""
        records = np.zeros(len(new), RECORD)
        if new:
            records["sha256"] = np.frombuffer(bytes.fromhex("".join(new)), np.uint8).reshape(-1, 32)
        wanted = (slots + len(new)) * self._bytes
        try:
            with (self._folder / "pixels").open("ab") as pixels:
                if wanted > pixels.tell():
                    os.posix_fallocate(pixels.fileno(), 0, wanted)
            with (self._folder / "index").open("ab") as index:
                index.truncate(slots * RECORD.itemsize)
                index.write(records.tobytes())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = shutil.disk_usage(self._folder).free
            raise NoRoom(f"decoded images need {wanted / 1e6:,.1f} MB in {self._folder}, where {free / 1e6:,.1f} MB are free: "
                         "free some, take a smaller image_size_px, or set SKIN_HOME to a larger disk") from None

    def _make_room(self) -> None:
        """Remove the files of other preprocessings, the longest unused first, while all together pass the bound."""
        os.utime(self._folder)
        folders = sorted((path for path in self._root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        sizes = {folder: sum(file.stat().st_size for file in folder.iterdir()) for folder in folders}
        for folder in folders:
            if sum(sizes.values()) > self._max_bytes and folder != self._folder:
                shutil.rmtree(folder)
                del sizes[folder]

    def _open(self) -> None:
        self._index = np.memmap(self._folder / "index", RECORD, "r+")
        side = self._side
        room = (self._folder / "pixels").stat().st_size // self._bytes
        self.pixels = np.memmap(self._folder / "pixels", np.uint8, "r+", shape=(room, side, side, 3))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._folder.mkdir(exist_ok=True)  # another process may have made room just now
            yield

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None, "pixels": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _check(pixels: NDArray[np.uint8]) -> int:
    """A number over the pixels that is never 0."""
    return zlib.crc32(pixels.data) + 1
