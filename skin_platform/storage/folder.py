"""Folder: a local folder that objects lie in, as files, where there is no S3.

Here: what differs from S3: buckets are folders, and metadata lies in ``<bucket>/.metadata/<key>.json``, since files have none.
Not here: the nine operations (``storage.objects``), the S3 endpoint (``storage.endpoint``).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore

from skin_platform.storage.faults import StorageError

METADATA_FOLDER = ".metadata"
PRIVATE = "private"  # below it: original names and what patients are called; for nobody but the platform's own user


class Folder:
    """A local folder, a bucket a folder in it. Methods raise what obstore raises."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self._root, self.address = root, str(root)
        self._opened: dict[str, LocalStore] = {}

    def create(self, bucket: str) -> None:
        """Make the bucket's folder where it is missing."""
        try:
            (self._root / bucket).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make bucket '{bucket}' in {self._root}: {error.strerror}") from None

    def exists(self, bucket: str) -> bool:
        """Whether the bucket's folder is there."""
        return (self._root / bucket).is_dir()

    def opened(self, bucket: str) -> LocalStore:
        """obstore's client of the bucket, which removes folders that a deletion leaves empty; ``KeyError`` without bucket."""
        if bucket not in self._opened:
            if not self.exists(bucket):
                raise KeyError(f"there is no bucket '{bucket}' in {self._root}")
            self._opened[bucket] = LocalStore(self._root / bucket, automatic_cleanup=True)
        return self._opened[bucket]

    def put(self, bucket: str, key: str, data: bytes | Path, metadata: dict[str, str]) -> None:
        """Store an object in place of a former one; its metadata first, so that no reader finds the one without the other."""
        with self._kept_private(bucket, key):
            if metadata:
                obstore.put(self.opened(bucket), sidecar(key), json.dumps(metadata).encode())
            obstore.put(self.opened(bucket), key, data)
        if not metadata:
            self._delete(bucket, sidecar(key))  # what the former object was given

    def put_if_absent(self, bucket: str, key: str, data: bytes | Path, metadata: dict[str, str]) -> None:
        """Store an object where there is none, by a hard link; its metadata after it, so that who comes second changes nothing.

        Raises ``AlreadyExistsError`` where there is one.
        """
        with self._kept_private(bucket, key):
            obstore.put(self.opened(bucket), key, data, mode="create")
            if metadata:
                obstore.put(self.opened(bucket), sidecar(key), json.dumps(metadata).encode())

    def metadata(self, bucket: str, key: str) -> dict[str, str]:
        """What was said of the object at its upload, and ``size_bytes``."""
        size = {"size_bytes": str(obstore.head(self.opened(bucket), key)["size"])}
        try:
            return dict(json.loads(bytes(obstore.get(self.opened(bucket), sidecar(key)).bytes()))) | size
        except (NotFoundError, FileNotFoundError):
            return size

    def delete(self, bucket: str, key: str) -> None:
        """Remove the object and what was said of it."""
        for name in (key, sidecar(key)):
            self._delete(bucket, name)

    def is_hidden(self, key: str) -> bool:
        """Whether this is no object, but what was said of one."""
        return key.startswith(f"{METADATA_FOLDER}/")

    def url(self, bucket: str, key: str, expires: timedelta) -> str:
        """A ``file://`` URL, which never expires."""
        return (self._root / bucket / key).resolve().as_uri()

    @contextmanager
    def _kept_private(self, bucket: str, key: str) -> Iterator[None]:
        """What is written below ``private/`` is for nobody else: folders 0700, made before anything is in them, files 0600."""
        if not key.startswith(f"{PRIVATE}/"):
            yield
            return
        self.opened(bucket)  # or there is none, and none is to be made here
        tops = [self._root / bucket / PRIVATE, self._root / bucket / METADATA_FOLDER / PRIVATE]
        for top in tops:
            top.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
        for top, name in zip(tops, (key, sidecar(key)), strict=True):
            path = self._root / bucket / name
            for place in (path, *path.parents):
                with suppress(FileNotFoundError):  # another process has deleted it meanwhile
                    place.chmod(0o600 if place == path else 0o700)
                if place == top:
                    break

    def _delete(self, bucket: str, name: str) -> None:
        try:
            obstore.delete(self.opened(bucket), name)
        except (NotFoundError, FileNotFoundError):
            return


def sidecar(key: str) -> str:
    """Where the metadata of an object lies."""
    return f"{METADATA_FOLDER}/{key}.json"
