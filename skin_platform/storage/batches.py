"""Batches in the object store: the claimed delivery, its manifest, and the private record of original names.

Here: keys, JSON and Parquet of a batch in the data bucket. The manifests are the truth of the catalogue.
Not here: judging (``storage.ingest``), the catalogue (``storage.lesions``).

    private/batches/<batch>/delivery.json   what was claimed, with original names (for support; never shown)
    private/batches/<batch>/names.json      the original name of each file id
    batches/<batch>/landed.parquet          every file with its facts or the reason of its refusal
    batches/<batch>/manifest.parquet        the same once all good images are stored, with their addresses
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.lesions import MANIFEST_COLUMNS
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table

ARROW_TYPES = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64()}
MANIFEST_SCHEMA = pa.schema([(column.name, ARROW_TYPES[column.type]) for column in MANIFEST_COLUMNS])


class Batches:
    """The batches in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write_delivery(self, delivery: Delivery) -> None:
        """Keep what was claimed."""
        self._objects.upload_file(self._bucket, _delivery_key(delivery.batch_id), json.dumps(asdict(delivery)).encode())

    def read_delivery(self, batch_id: str) -> Delivery | None:
        """What was claimed, or None for a batch that never was."""
        try:
            stored = json.loads(self._objects.download_file(self._bucket, _delivery_key(batch_id)))
        except KeyError:
            return None
        files = tuple(SeenFile(*file) for file in stored["files"])
        return Delivery(**{**stored, "files": files, "tables": tuple(stored["tables"])})

    def write_manifest(self, batch_id: str, stage: str, rows: Sequence[dict[str, Any]]) -> tuple[str, str]:
        """Store ``rows`` as the ``landed`` or final ``manifest`` of the batch; returns its key and SHA-256."""
        table = pa.Table.from_pylist(list(rows), schema=MANIFEST_SCHEMA)
        data = dump_table(table)
        key = f"batches/{batch_id}/{stage}.parquet"
        sha256 = hashlib.sha256(data).hexdigest()
        self._objects.upload_file(self._bucket, key, data, {"sha256": sha256})
        return key, sha256

    def read_manifest(self, key: str, sha256: str | None = None) -> pa.Table:
        """The manifest under ``key``; raises ``StorageError`` where its bytes are not those of ``sha256``."""
        if sha256 is None:
            return load_table(self._objects.download_file(self._bucket, key), MANIFEST_SCHEMA)
        return load_table(self._objects.download_verified(self._bucket, key, sha256), MANIFEST_SCHEMA)

    def find_manifest(self, batch_id: str, stage: str) -> pa.Table | None:
        """The manifest of a stage of one batch; None where it did not come so far."""
        try:
            return self.read_manifest(f"batches/{batch_id}/{stage}.parquet")
        except KeyError:
            return None

    def manifest_keys(self, stage: str = "manifest") -> list[str]:
        """The keys of all manifests of a stage, in order."""
        keys = (item.key for item in self._objects.list_objects(self._bucket, "batches"))
        return [key for key in keys if key.endswith(f"/{stage}.parquet")]

    def write_names(self, batch_id: str, names: dict[str, str]) -> None:
        """Keep the original names by file id, privately."""
        self._objects.upload_file(self._bucket, f"private/batches/{batch_id}/names.json", json.dumps(names).encode())

    def read_names(self, batch_id: str) -> dict[str, str]:
        """The original names (relative to the delivery) by file id."""
        names: dict[str, str] = json.loads(
            self._objects.download_file(self._bucket, f"private/batches/{batch_id}/names.json"))
        return names


def _delivery_key(batch_id: str) -> str:
    return f"private/batches/{batch_id}/delivery.json"
