"""The published catalogue: the copy of the lesions table that everyone but its writer reads.

Here: one Parquet object in the data bucket, replaced whole, and a small statement of what it holds.
Not here: the table itself (``storage.lesions``).
"""

import json
from dataclasses import asdict, dataclass

import pyarrow as pa

from skin_platform.storage.lesions import catalogue_digest, content_digest, trainable
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table

TABLE_KEY = "catalogue/lesions_data.parquet"
STATE_KEY = "catalogue/state.json"


@dataclass(frozen=True)
class CatalogueState:
    """How many rows there are, the digest of all content, and the digest of what may be trained on."""

    rows: int
    content_digest: str
    trainable: int
    trainable_digest: str


class Catalogue:
    """The catalogue in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def publish(self, table: pa.Table, labels: list[str]) -> CatalogueState:
        """Replace the published copy by ``table`` and say what it holds."""
        usable = trainable(table, labels)
        state = CatalogueState(len(table), content_digest(table), len(usable), catalogue_digest(usable))
        self._objects.upload_file(self._bucket, TABLE_KEY, dump_table(table))
        self._objects.upload_file(self._bucket, STATE_KEY, json.dumps(asdict(state)).encode())
        return state

    def state(self) -> CatalogueState | None:
        """What is published, or None before anything was."""
        try:
            return CatalogueState(**json.loads(self._objects.download_file(self._bucket, STATE_KEY)))
        except KeyError:
            return None

    def read(self) -> pa.Table | None:
        """The published table, or None before anything was."""
        try:
            return load_table(self._objects.download_file(self._bucket, TABLE_KEY))
        except KeyError:
            return None

    def addresses(self) -> dict[str, str]:
        """Where each stored image is, by SHA-256."""
        table = self.read()
        if table is None:
            return {}
        return dict(zip(table["sha256"].to_pylist(), table["s3_uri"].to_pylist(), strict=True))
