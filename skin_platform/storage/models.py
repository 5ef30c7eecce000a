"""Model files in the object store: checkpoints and the reports that belong to them, verified by SHA-256.

Here: the files of a training run. Not here: the versions that people name (``storage.versions``).

    <models bucket>/skin/models/<run id>/model.ckpt
    <models bucket>/skin/models/<run id>/evaluation.json
"""

import hashlib

from skin_platform.storage.objects import ObjectStore


class ModelFiles:
    """The files of trained models in one models bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write(self, run_id: str, name: str, data: bytes) -> tuple[str, str]:
        """Store a file of the run; returns its key and SHA-256."""
        key = f"skin/models/{run_id}/{name}"
        sha256 = hashlib.sha256(data).hexdigest()
        self._objects.upload_file(self._bucket, key, data, {"sha256": sha256})
        return key, sha256

    def read(self, key: str, sha256: str) -> bytes:
        """The bytes under ``key``; raises ``StorageError`` where they are not those of ``sha256``."""
        return self._objects.download_verified(self._bucket, key, sha256)
