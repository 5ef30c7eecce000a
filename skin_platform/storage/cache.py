"""The image cache: images of the object store on this machine's disk, named by SHA-256 and verified at every read.

Here: reading through the cache, one image or many. Not here: its size (``storage.eviction``).

    <root>/<first two digits>/<sha256>      an image; its time of change is the hour in which it was last used
    <root>/partial/.<token>-<number>        a file being written; renamed into place when it is whole
"""

import hashlib
import itertools
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from skin_platform.storage.eviction import Bound
from skin_platform.storage.objects import ObjectStore, parse_uri

logger = logging.getLogger(__name__)
MAX_BYTES = 20_000_000_000
THREADS = 16  # of a bulk download; 2,000 JPEGs from an endpoint beside us take as long with 8, 1.2 times as long with 32
AHEAD = 64  # images fetched before they are asked for: what bulk reading holds in memory
USED_SECONDS = 3600  # a file's last use is noted no more often


class ImageCache:
    """A folder of images by SHA-256, bounded in bytes, the least recently used going first.

    Safe for several threads and processes: files are renamed into place, and one that is evicted under a reader's hands is
    fetched again. A disk that is full or read-only costs the cache, never a read.
    """

    def __init__(self, root: Path, objects: ObjectStore, max_bytes: int = MAX_BYTES) -> None:
        self._root, self._objects, self._bound = str(root), objects, Bound(root, max_bytes)
        self._partial = f"{root}/partial/.{uuid.uuid4().hex}-"
        self._numbers = itertools.count()
        self._has_warned = False

    def image(self, sha256: str, uri: str) -> bytes:
        """The bytes with that SHA-256, from the cache or from ``uri``.

        A cached file that is damaged is thrown away and fetched again. Raises ``StorageError`` where the object itself does
        not have these bytes, ``KeyError`` where there is none; nothing of it stays in the cache.
        """
        return self._image(sha256, uri, is_one_of_many=False)

    def _image(self, sha256: str, uri: str, *, is_one_of_many: bool) -> bytes:
        path = f"{self._root}/{sha256[:2]}/{sha256}"
        cached = self._read(path)
        if cached is not None:
            if hashlib.sha256(cached).hexdigest() == sha256:
                return cached
            self._throw_away(path)
        data = self._objects.download_verified(*parse_uri(uri), sha256)
        if len(data) <= self._bound.max_bytes:
            self._keep(path, data, is_one_of_many=is_one_of_many)
        return data

    def fetch(self, items: Iterable[tuple[str, str]]) -> Iterator[bytes]:
        """The images of ``items`` (SHA-256, address), in order, fetched ahead by 16 threads; raises what ``image`` does."""
        waiting: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(THREADS) as readers:
            try:
                for item in items:
                    waiting.append(readers.submit(self._image, *item, is_one_of_many=True))
                    if len(waiting) >= AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                readers.shutdown(wait=False, cancel_futures=True)  # the rest, where the reader stops half-way
                self._settle()

    def _read(self, path: str) -> bytes | None:
        """The file's bytes, whose use is noted; None where it is missing or cannot be read."""
        try:
            with open(path, "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                data = file.read()
                if time.time() - found.st_mtime > USED_SECONDS:
                    self._note_use(file.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None
        return data

    def _note_use(self, handle: int) -> None:
        try:
            os.utime(handle)
        except OSError as error:  # another user's file, or a read-only disk: it can be read all the same
            self._warn(error)

    def _settle(self) -> None:
        try:
            self._bound.settle()
        except OSError as error:
            self._warn(error)

    def _keep(self, path: str, data: bytes, *, is_one_of_many: bool) -> None:
        """Write the file whole or not at all. Not synced: what a power cut leaves is verified when it is read."""
        partial = self._partial + str(next(self._numbers))
        try:
            try:
                self._write(partial, data)
                os.replace(partial, path)
            except FileNotFoundError:  # the first file of its folder
                os.makedirs(os.path.dirname(partial), exist_ok=True)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._write(partial, data)
                os.replace(partial, path)
            self._bound.added(len(data), is_one_of_many=is_one_of_many)
        except OSError as error:
            self._throw_away(partial)
            self._warn(error)

    @staticmethod
    def _write(path: str, data: bytes) -> None:
        with open(path, "wb", buffering=0) as file:
            written = file.write(data)
            while written < len(data):  # a write may stop short before the disk is full
                written += file.write(data[written:])

    def _throw_away(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("the image cache in %s cannot be used as it should, images are fetched again: %s", self._root,
                           error.strerror)
