"""The review queue in the data bucket: one Parquet file a queue, named by its content.

    review/<sha256>.parquet
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from skin_platform.core.review import ReviewItem
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table

SCHEMA = pa.schema([("rank", pa.int64()), ("sha256", pa.string()), ("label", pa.string()), ("suggested_label", pa.string()),
                    ("score", pa.float64()), ("kind", pa.string()), ("reason", pa.string())])


class ReviewQueues:
    """The queues in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write(self, items: Sequence[ReviewItem]) -> tuple[str, str]:
        """Store a queue; returns its key and SHA-256."""
        data = dump_table(pa.Table.from_pylist([asdict(item) for item in items], schema=SCHEMA))
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"review/{sha256}.parquet"
        self._objects.upload_file(self._bucket, key, data)
        return key, sha256

    def read(self, key: str, sha256: str) -> list[ReviewItem]:
        """A stored queue; raises ``StorageError`` where its bytes are not those of ``sha256``."""
        table = load_table(self._objects.download_verified(self._bucket, key, sha256), SCHEMA)
        return [ReviewItem(**row) for row in table.to_pylist()]
