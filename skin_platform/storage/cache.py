"""The image cache: images of the object store on this machine's disk, named and verified by SHA-256."""

import hashlib
import os
import tempfile
from pathlib import Path

from skin_platform.storage.objects import ObjectStore, StorageError, parse_uri


class ImageCache:
    """A folder of images by SHA-256. Safe for several processes: files are renamed into place."""

    def __init__(self, root: Path, objects: ObjectStore) -> None:
        self._root, self._objects = root, objects

    def image(self, sha256: str, uri: str) -> bytes:
        """The bytes with that SHA-256, from the cache or from ``uri``.

        A cached file that is damaged is thrown away and fetched again. Raises ``StorageError`` where the object itself does
        not have these bytes; nothing of it stays in the cache.
        """
        path = self._root / sha256[:2] / sha256
        try:
            cached = path.read_bytes()
        except FileNotFoundError:
            cached = None
        if cached is not None:
            if hashlib.sha256(cached).hexdigest() == sha256:
                return cached
            path.unlink(missing_ok=True)
        data = self._objects.download_file(*parse_uri(uri))
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise StorageError(f"{uri} is damaged: its SHA-256 is {found}, the catalogue has {sha256}")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(partial, path)
        return data
