"""Pixels on disk: decoded images of any number in a memory-mapped file, each decoded once, when it is first asked for.

Here: reading and filling. Not here: the files, their slots and their size (``ml.pixel_files``), how bytes become pixels
(``core.preprocessing``).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.failures import BadData
from skin_platform.ml.pixel_files import PixelFile

THREADS = 4  # decoding lets go of the interpreter; more than cores, because the first read of an image waits for the disk


class StoredPixels:
    """The pixels of ``sha256s`` as uint8 (N, S, S, 3), indexed by sequences of positions; not all in memory at once.

    ``read`` gives an image's bytes by its position. Safe for several processes on one file: all write the same. A copy in
    another process (pickled) has no ``read``: ``fill`` first.
    """

    def __init__(
        self, file: PixelFile, sha256s: Sequence[str], read: Callable[[int], bytes], preprocessing: Preprocessing
    ) -> None:
        self._file, self._sha256s, self._read, self._preprocessing = file, tuple(sha256s), read, preprocessing
        self._slots = file.slots(self._sha256s)
        self._begin()

    def _begin(self) -> None:
        self._sound = np.zeros(len(self._sha256s), dtype=bool)  # positions whose pixels were verified in this process
        self._waiting: dict[int, Future[None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self._sha256s)

    def __getitem__(self, positions: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy (B, S, S, 3) of the pixels at ``positions``; raises ``BadData`` for an image that cannot be decoded, and what
        ``read`` raises."""
        wanted = [int(position) for position in positions]
        self.soon(wanted)
        for position in wanted:
            waiting = self._waiting.pop(position, None)
            if waiting is not None:
                waiting.result()
        found: NDArray[np.uint8] = self._file.pixels[self._slots[wanted]]
        return found

    def soon(self, positions: Sequence[int]) -> None:
        """Begin to decode what is not there yet."""
        for position in positions:
            if position >= 0 and not self._sound[position] and position not in self._waiting:
                self._waiting[position] = self._threads.submit(self._ensure, position)

    def fill(self) -> None:
        """Decode all that is not there yet."""
        for start in range(0, len(self), 64):
            block = range(start, min(len(self), start + 64))
            self.soon(range(start, min(len(self), start + 128)))
            for position in block:
                waiting = self._waiting.pop(position, None)
                if waiting is not None:
                    waiting.result()

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _ensure(self, position: int) -> None:
        slot = int(self._slots[position])
        if not self._file.is_sound(slot):
            self._file.write(slot, self._decoded(position))
        self._sound[position] = True

    def _decoded(self, position: int) -> NDArray[np.uint8]:
        data = self._read(position)
        try:
            return self._preprocessing.pixels(data)
        except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
            sha256 = self._sha256s[position]
            raise BadData(f"image {sha256} cannot be decoded ({error}): put it in quarantine, or leave it out of the "
                          "dataset") from error

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": self._file, "_sha256s": self._sha256s, "_slots": self._slots, "_preprocessing": self._preprocessing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read = _unread
        self._begin()


def _unread(position: int) -> bytes:
    raise BadData(f"the pixels of image {position} were damaged after they were filled in: start the training again")
