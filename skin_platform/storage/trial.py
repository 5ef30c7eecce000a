"""Trial: the steps of a verification, each on an object of its own in every bucket.

Here: what is done to the store, and what should come back. Not here: their order and the report (``storage.verification``).
"""

import hashlib
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse

import httpx

from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore

DATA = bytes(range(256)) * 64
SHA256 = hashlib.sha256(DATA).hexdigest()
METADATA = {"sha256": SHA256, "label": "ü 猫 50%"}
URL_SECONDS = 10


class Trial:
    """The steps, by name: each says what it saw, or raises what is wrong."""

    def __init__(self, objects: ObjectStore, buckets: tuple[str, ...]) -> None:
        self._objects, self.buckets = objects, buckets
        self._folder = f"skin-verify-{uuid.uuid4().hex}"
        self._key, self._once = f"{self._folder}/ü ñ %20.bin", f"{self._folder}/once"
        self._has_written = False

    def do(self, name: str) -> str:
        """Try a step; returns what it saw. Raises ``StorageError``, ``KeyError``, ``OSError`` or httpx's errors."""
        return {
            "connection": self._connection, "buckets": self._buckets, "upload": self._upload, "list": self._list,
            "download": self._download, "checksum": self._checksum, "metadata": self._metadata, "delete": self._delete,
            "presigned_url": self._presigned_url, "conditional_create": self._conditional_create}[name]()

    def clean_up(self) -> None:
        """Delete what was written; what cannot be deleted was reported by a step."""
        for bucket in self.buckets if self._has_written else ():
            for key in (self._key, self._once):
                with suppress(StorageError, KeyError):
                    self._objects.delete_object(bucket, key)

    def _connection(self) -> str:
        there = sum(self._objects.bucket_exists(bucket) for bucket in self.buckets)
        return f"{self._objects.address} answers; {there} of {len(self.buckets)} buckets were there"

    def _buckets(self) -> str:
        missing = [bucket for bucket in self.buckets if not self._objects.bucket_exists(bucket)]
        for bucket in missing:
            self._objects.create_bucket(bucket)
        return ", ".join(f"{bucket} (created now)" if bucket in missing else bucket for bucket in self.buckets)

    def _upload(self) -> str:
        self._has_written = True
        for bucket in self.buckets:
            self._objects.upload_file(bucket, self._key, DATA, METADATA)
        return f"{len(DATA)} bytes into each bucket, under a name with a space and letters beyond ASCII"

    def _list(self) -> str:
        for bucket in self.buckets:
            _expect(bucket, "keys", [item.key for item in self._objects.list_objects(bucket, self._folder)], [self._key])
        return "the object is listed, alone in its folder"

    def _download(self) -> str:
        for bucket in self.buckets:
            _expect(bucket, "bytes", len(self._objects.download_file(bucket, self._key)), len(DATA))
        return f"{len(DATA)} bytes came back"

    def _checksum(self) -> str:
        for bucket in self.buckets:
            self._objects.download_verified(bucket, self._key, SHA256)
        return f"their SHA-256 is that of what was uploaded, {SHA256[:12]}…"

    def _metadata(self) -> str:
        for bucket in self.buckets:
            told = METADATA | {"size_bytes": str(len(DATA))}
            _expect(bucket, "metadata", self._objects.get_object_metadata(bucket, self._key), told)
        return "SHA-256 and a label in two scripts came back"

    def _presigned_url(self) -> str:
        for bucket in self.buckets:
            url = self._objects.get_presigned_url(bucket, self._key, timedelta(minutes=1))
            if self._objects.is_local:
                data = Path(unquote(urlparse(url).path)).read_bytes()
            else:
                answer = httpx.get(url, timeout=URL_SECONDS)
                _expect(bucket, "the status of the URL", answer.status_code, 200)
                data = answer.content
            _expect(bucket, "what the URL gives", hashlib.sha256(data).hexdigest(), SHA256)
        return "a file:// address was read" if self._objects.is_local else "fetched over HTTP without a key"

    def _delete(self) -> str:
        for bucket in self.buckets:
            self._objects.delete_object(bucket, self._key)
            _expect(bucket, "objects left", len(list(self._objects.list_objects(bucket, self._folder))), 0)
        return "the objects are gone"

    def _conditional_create(self) -> str:
        without = [bucket for bucket in self.buckets if not self._objects.refuses_second_creation(bucket, self._once)]
        if without:
            return "not here: a second creation overwrites the first; the platform asks before it writes"
        return "yes: of two who create an object at the same moment, one wins"


def _expect(bucket: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise StorageError(f"{bucket}: {what} should be {expected}, found {found}")
