"""The landing bucket: objects below a prefix that deliveries land in as files do in a folder.

Here: the place in S3, read only. Not here: what a place is (``storage.places``), our own objects (``storage.objects``).
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import obstore

from skin_platform.core.batches import SeenFile
from skin_platform.core.delivery_tables import is_table
from skin_platform.storage.faults import StorageError, translated
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import HIDDEN

if TYPE_CHECKING:
    from obstore import ObjectMeta

CLOCK_SECONDS = 5.0  # to wait for the endpoint to tell its time


class LandingBucket:
    """The objects of a bucket whose key begins with ``prefix/``; read only."""

    def __init__(self, objects: ObjectStore, bucket: str, prefix: str = "") -> None:
        self._objects, self._bucket, self._prefix = objects, bucket, prefix.strip("/")
        self.root = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def scan(self, folder: str = "") -> Iterator[SeenFile]:
        """See ``Place``. Raises ``StorageError`` where the bucket is not there."""
        with self._explained():
            below = self._key(folder)
            for chunk in obstore.list(self._objects.opened(self._bucket), f"{below}/" if below else None):
                for entry in chunk:
                    name = entry["path"][len(self._prefix) + 1 if self._prefix else 0:]
                    is_hidden = any(part.startswith(HIDDEN) for part in name.split("/"))
                    if name and not is_hidden and not _is_folder_marker(name, entry["size"]):
                        yield self._seen(entry)

    def count(self) -> int:
        """See ``Place``. Empty objects that stand for folders are none."""
        with self._explained():
            below = f"{self._prefix}/" if self._prefix else None
            return sum(not _is_folder_marker(entry["path"], entry["size"])
                       for chunk in obstore.list(self._objects.opened(self._bucket), below) for entry in chunk)

    def tables(self, folder: str) -> list[str]:
        """See ``Place``."""
        with self._explained():
            below = self._key(folder)
            found = obstore.list_with_delimiter(self._objects.opened(self._bucket), f"{below}/" if below else None)
        names = sorted(entry["path"].rpartition("/")[2] for entry in found["objects"])
        return [f"{folder}/{name}" if folder else name for name in names if is_table(name)]

    def look_at(self, name: str) -> SeenFile | None:
        """See ``Place``."""
        try:
            with self._explained(name):
                return self._seen(obstore.head(self._objects.opened(self._bucket), self._key(name)))
        except FileNotFoundError:
            return None

    def read(self, name: str, max_bytes: int | None = None) -> tuple[SeenFile, bytes]:
        """See ``Place``."""
        with self._explained(name):
            found = obstore.get(self._objects.opened(self._bucket), self._key(name))
            seen = self._seen(found.meta)
            return seen, bytes(found.bytes()) if max_bytes is None or seen.size_bytes <= max_bytes else b""

    def clock(self, now: datetime) -> datetime:
        """That of the endpoint, as each of its answers tells it; ours where it does not, or where a folder stands in for it."""
        if self._objects.is_local:
            return now
        import httpx

        try:
            told = httpx.head(self._objects.address, timeout=CLOCK_SECONDS).headers.get("date", "")
            return parsedate_to_datetime(told)
        except (httpx.HTTPError, ValueError):
            return now

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)

    def _seen(self, entry: "ObjectMeta") -> SeenFile:
        written_ns = int(entry["last_modified"].timestamp()) * 10**9  # listings tell fractions, headers do not
        tag = (entry["e_tag"] or "").strip('"')  # quoted or not, likewise
        return SeenFile(f"s3://{self._bucket}/{entry['path']}", entry["size"], written_ns, written_ns, tag)

    @contextmanager
    def _explained(self, name: str = "") -> Iterator[None]:
        """An object that is gone as ``FileNotFoundError``; a bucket that is not there as ``StorageError`` with the remedy.

        What the client says of a request holds the key, which may be the name of a patient: errors stand in the run's log.
        """
        try:
            with translated(self._objects.address, self._bucket, "", is_local=self._objects.is_local):
                yield
        except StorageError as error:
            if "invalid path" in str(error):  # of obstore's listing, which ends there
                raise StorageError(f"an object below {self.root} has a key that is no path (with '//', '..' or control "
                                   "characters): rename it, nothing can be seen there until then") from None
            raise StorageError(re.sub(rf"(/{re.escape(self._bucket)}/|prefix=)\S+", r"\1…", str(error))) from None
        except KeyError:
            if name:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
            raise StorageError(f"there is no bucket '{self._bucket}' in {self._objects.address} for deliveries to land in: "
                               "create it, or name another one") from None


def _is_folder_marker(name: str, size_bytes: int) -> bool:
    """Whether this is the empty object that consoles make to show a folder; the slash at its end is not told."""
    return size_bytes == 0 and "." not in name.rpartition("/")[2]
