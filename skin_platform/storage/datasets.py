"""Frozen datasets in the object store: an immutable manifest by digest, and the pointer to the newest.

    datasets/<digest>/manifest.tsv      the canonical text; its SHA-256 is the digest
    datasets/<digest>/manifest.parquet  the same rows with the objects' addresses
    datasets/latest.json                the newest digest, from which the next version takes its splits
"""

import json
from collections.abc import Sequence

import pyarrow as pa

from skin_platform.core.datasets import DatasetRow, canonical_manifest, dataset_digest
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table


class Datasets:
    """The datasets in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def freeze(self, rows: Sequence[DatasetRow]) -> tuple[str, str]:
        """Store ``rows`` unless the same content is stored already; returns digest and manifest key."""
        digest = dataset_digest(rows)
        key = f"datasets/{digest}/manifest.tsv"
        if not self._objects.object_exists(self._bucket, key):
            ordered = sorted(rows)
            columns = {name: [getattr(row, name) for row in ordered] for name in DatasetRow.__dataclass_fields__}
            table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
            self._objects.upload_file(self._bucket, f"datasets/{digest}/manifest.parquet", dump_table(table))
            # the text last: where it is, the Parquet is too
            self._objects.upload_file(self._bucket, key, canonical_manifest(ordered).encode())
        self._objects.upload_file(self._bucket, "datasets/latest.json", json.dumps({"digest": digest}).encode())
        return digest, key

    def read(self, digest: str) -> list[DatasetRow]:
        """The rows of a dataset; raises ``KeyError`` for an unknown digest, ``ValueError`` where they do not hash to it."""
        data = self._objects.download_file(self._bucket, f"datasets/{digest}/manifest.parquet")
        rows = [DatasetRow(**row) for row in load_table(data).to_pylist()]
        found = dataset_digest(rows)
        if found != digest:
            raise ValueError(f"the manifest of dataset {digest} hashes to {found}: it was changed after it was frozen")
        return rows

    def latest(self) -> str | None:
        """The digest that was frozen last, or None."""
        try:
            found: str = json.loads(self._objects.download_file(self._bucket, "datasets/latest.json"))["digest"]
        except KeyError:
            return None
        return found
