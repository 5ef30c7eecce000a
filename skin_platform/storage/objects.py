"""Objects: one store with nine operations, the same over S3 and over a local folder.

Here: buckets and objects. Not here: the places that they lie in (``storage.endpoint``, ``storage.folder``), the words of an
error (``storage.faults``), what the objects mean (``storage.batches``, ``storage.datasets``, ``storage.models``).
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore

from skin_platform.storage.buckets import S3Access
from skin_platform.storage.endpoint import Endpoint
from skin_platform.storage.faults import StorageError, repeated, translated
from skin_platform.storage.folder import Folder

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it."""

    key: str
    size_bytes: int


class ObjectStore:
    """Buckets of objects on S3 or in a local folder. Every error of the store comes out as ``StorageError``."""

    def __init__(self, place: S3Access | Path) -> None:
        self._place = Folder(place) if isinstance(place, Path) else Endpoint(place)

    @property
    def is_local(self) -> bool:
        """True where a local folder stands in for S3."""
        return self._place.is_local

    @property
    def address(self) -> str:
        """The endpoint or folder, for messages."""
        return self._place.address

    def create_bucket(self, bucket: str) -> None:
        """Create ``bucket``; does nothing where it is there already."""
        self._place.create(bucket)

    def bucket_exists(self, bucket: str) -> bool:
        """True where ``bucket`` is there, False where it is not; ``StorageError`` where the store refuses to say."""
        return self._place.exists(bucket)

    def upload_file(self, bucket: str, key: str, data: bytes | Path, metadata: Mapping[str, str] | None = None, *,
                    only_if_absent: bool = False) -> None:
        """Store ``data`` (bytes, or the file at a path) under ``key``, whole or not at all, with ``metadata``.

        What is over 5 MB goes up in parts, and a file is read as they do. With ``only_if_absent`` raises ``FileExistsError``
        where there is such an object already: at one stroke in a local folder and on endpoints that know ``If-None-Match``
        (AWS, MinIO). Others (rclone) ignore it; there another process may come between the question and the upload. Such an
        upload is one part: meant for small objects. Raises ``KeyError`` where there is no such bucket.
        """
        if isinstance(data, Path) and not data.is_file():
            raise FileNotFoundError(f"{data} is not there, or is no file")
        if only_if_absent and self.object_exists(bucket, key):
            raise FileExistsError(f"s3://{bucket}/{key} is there already")
        put = self._place.put_if_absent if only_if_absent else self._place.put
        with self._translated(bucket, key):
            repeated(lambda: put(bucket, key, data, dict(metadata or {})))

    def refuses_second_creation(self, bucket: str, key: str) -> bool:
        """Whether this store itself refuses to create an object that is there; tried on ``key``, which must be free."""
        with self._translated(bucket, key):
            self._place.put_if_absent(bucket, key, b"first", {})
        try:
            with self._translated(bucket, key):
                self._place.put_if_absent(bucket, key, b"second", {})
        except FileExistsError:
            return True
        finally:
            self.delete_object(bucket, key)
        return False

    def download_file(self, bucket: str, key: str) -> bytes:
        """The bytes under ``key``; raises ``KeyError`` where there is no such object."""
        with self._translated(bucket, key):
            return bytes(obstore.get(self._place.opened(bucket), key).bytes())

    def download_verified(self, bucket: str, key: str, sha256: str) -> bytes:
        """The bytes under ``key`` whose SHA-256 is ``sha256``; asked for once more where they came damaged.

        Raises ``StorageError`` where the object itself does not have these bytes, ``KeyError`` where there is none.
        """
        found = ""
        for _ in range(2):
            data = self.download_file(bucket, key)
            found = hashlib.sha256(data).hexdigest()
            if found == sha256:
                return data
        raise StorageError(f"s3://{bucket}/{key} is damaged: its SHA-256 is {found}, expected was {sha256}")

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose key begins with ``prefix`` (whole folders), by key."""
        with self._translated(bucket, prefix):
            entries = repeated(lambda: [
                entry for chunk in obstore.list(self._place.opened(bucket), prefix or None) for entry in chunk])
        found = (StoredObject(entry["path"], entry["size"]) for entry in entries if not self._place.is_hidden(entry["path"]))
        yield from sorted(found, key=lambda item: item.key)

    def delete_object(self, bucket: str, key: str) -> None:
        """Remove the object and its metadata; does nothing where it is gone already."""
        with self._translated(bucket, key):
            repeated(lambda: self._place.delete(bucket, key))

    def get_object_metadata(self, bucket: str, key: str) -> dict[str, str]:
        """The metadata given at upload, plus ``size_bytes``; raises ``KeyError`` where there is no such object."""
        with self._translated(bucket, key):
            return self._place.metadata(bucket, key)

    def object_exists(self, bucket: str, key: str) -> bool:
        """True where there is an object under ``key``."""
        try:
            with self._translated(bucket, key):
                obstore.head(self._place.opened(bucket), key)
        except KeyError:
            return False
        return True

    def get_presigned_url(self, bucket: str, key: str, expires: timedelta = timedelta(hours=1)) -> str:
        """A URL that reads the object without a key for ``expires``; ``file://`` on a local folder."""
        with self._translated(bucket, key):
            return self._place.url(bucket, key, expires)

    def opened(self, bucket: str) -> "S3Store | LocalStore":
        """obstore's client of the bucket, for what these operations do not tell: tags, times (``storage.places``)."""
        return self._place.opened(bucket)

    def _translated(self, bucket: str, key: str) -> AbstractContextManager[None]:
        return translated(self.address, bucket, key, is_local=self.is_local)


def parse_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key); raises ``ValueError`` for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ValueError(f"'{uri}' is no object's address: s3://<bucket>/<key>")
    return bucket, key
