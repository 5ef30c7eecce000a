"""Eviction: keeps a folder of files under a size, the least recently used going first, for several processes at once.

Here: the running estimate of the folder's size, the scan that corrects it, the deletions.
Not here: what the files are (``storage.cache``).

The estimate is one number in ``<root>/.size``, changed under a lock for some microseconds. Only where it passes the bound
does one process scan the folder (about a second for 100,000 files), while the others go on.
"""

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNCOUNTED_SHARE = 0.001  # of the bound: what many additions may come to before they are counted
FREED_SHARE = 0.1  # goes at once, so that the next scan is far away
ABANDONED_SECONDS = 3600  # a partial file that old is a killed process's
COUNTER = struct.Struct("<q")


class Bound:
    """The bound on the files two levels below ``root`` (``<xx>/<name>``). Safe for several threads and processes."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root, self.max_bytes = root, max_bytes
        self._lock = threading.Lock()
        self._uncounted = 0

    def added(self, size_bytes: int, *, is_one_of_many: bool = False) -> None:
        """Count a file that was added, and make room where the estimate passes the bound. Raises ``OSError``.

        One of many is counted with others, once they come to a thousandth of the bound or ``settle`` is called.
        """
        with self._lock:
            self._uncounted += size_bytes
            is_due = not is_one_of_many or self._uncounted >= self.max_bytes * UNCOUNTED_SHARE
        if is_due:
            self.settle()

    def settle(self) -> None:
        """Count what was added and not counted yet. Raises ``OSError``."""
        with self._lock:
            size_bytes, self._uncounted = self._uncounted, 0
        if size_bytes and self._count(size_bytes) > self.max_bytes:
            self._make_room()

    def _count(self, size_bytes: int) -> int:
        """The estimate after a change; a folder that was never counted is over any bound, so that it is scanned."""
        with self._lock, _locked(self._root / ".size") as handle:
            stored = os.pread(handle, COUNTER.size, 0)
            total = COUNTER.unpack(stored)[0] + size_bytes if len(stored) == COUNTER.size else self.max_bytes + 1
            os.pwrite(handle, COUNTER.pack(total), 0)
        return int(total)

    def _make_room(self) -> None:
        """Delete the least recently used files until a tenth of the bound is free; does nothing where another is at it."""
        with _locked(self._root / ".evicting", wait=False) as handle:
            if handle < 0:
                return
            before = self._count(0)
            if before <= self.max_bytes:
                return  # another one has just made room
            files = sorted(self._files())
            total = sum(size for _, size, _ in files)
            wanted = self.max_bytes if total <= self.max_bytes else int(self.max_bytes * (1 - FREED_SHARE))
            for _, size, path in files:
                if total <= wanted:
                    break
                _remove(path)
                total -= size
            self._count(total - before)  # what others added meanwhile stays counted

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Time of last use, size and path of every whole file; abandoned partial ones are removed on the way."""
        abandoned = time.time() - ABANDONED_SECONDS
        for folder in _entries(self._root):
            if not folder.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(folder.path):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not entry.name.startswith("."):
                    yield found.st_mtime, found.st_size, entry.path
                elif found.st_mtime < abandoned:
                    _remove(entry.path)


def _entries(folder: Path | str) -> "list[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        return list(entries)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # another process evicted it, or found it damaged


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """The file at ``path`` opened and locked against other processes; -1 where it is taken and we do not wait."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield -1
            return
        yield handle
    finally:
        os.close(handle)
