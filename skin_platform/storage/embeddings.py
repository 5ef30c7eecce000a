"""Embeddings in the object store: features of images by what computed them, never computed twice.

    embeddings/<digest16>/<batch>/<sha256>.json       a receipt: digest, batch, features, and the images in order
    embeddings/<digest16>/<batch>/<sha256>.parquet    (sha256, features) of these images; its SHA-256 is in its name
    embeddings/<digest16>/<batch>/done                every image of the batch has features, here or under another batch
    embeddings/recipes/<recipe>.json                  the digest that a line of the configuration led to

``digest`` names weights and preprocessing (``ml.embedder``). Nothing is ever overwritten: what is added to a batch later
is another file. Features are float32: what a head is trained on is then what the served network computes, and no
statistic is too large for it (float16 ends at 65,504); with their bytes parted by significance they take a tenth less.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import load_table

DONE = "done"
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Receipt:
    """A stored file of features: under which digest and batch, the file's SHA-256, how many numbers an image, the images."""

    digest: str
    batch: str
    sha256: str
    size: int
    images: tuple[str, ...]


class Embeddings:
    """The embeddings in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def add(self, digest: str, batch: str, images: Sequence[str], features: Features) -> Receipt:
        """Store features (n, D) of the images with these SHA-256s; the same again is written once."""
        size = features.shape[1]
        flat = pa.array(np.ascontiguousarray(features, dtype=np.float32).reshape(-1), pa.float32())
        table = pa.table({"sha256": pa.array(images, pa.string()), "features": pa.FixedSizeListArray.from_arrays(flat, size)})
        data = _dumped(table)
        receipt = Receipt(digest, batch, hashlib.sha256(data).hexdigest(), size, tuple(images))
        key = f"{_folder(digest)}/{batch}/{receipt.sha256}"
        if not self._objects.object_exists(self._bucket, f"{key}.json"):
            self._objects.upload_file(self._bucket, f"{key}.parquet", data)
            # the receipt last: where it is, the features are too
            self._objects.upload_file(self._bucket, f"{key}.json", json.dumps(asdict(receipt)).encode())
        return receipt

    def close(self, digest: str, batch: str) -> None:
        """Note that every image of the batch has features."""
        self._objects.upload_file(self._bucket, f"{_folder(digest)}/{batch}/{DONE}", b"")

    def closed_batches(self, digest: str) -> set[str]:
        """The batches of which every image has features of this digest."""
        found = self._objects.list_objects(self._bucket, _folder(digest))
        return {item.key.split("/")[2] for item in found if item.key.endswith(f"/{DONE}")}

    def receipts(self, digest: str) -> Iterator[Receipt]:
        """What is stored under this digest, file by file."""
        for item in self._objects.list_objects(self._bucket, _folder(digest)):
            if item.key.endswith(".json"):
                stored = json.loads(self._objects.download_file(self._bucket, item.key))
                if stored["digest"] == digest:  # not another that begins alike
                    yield Receipt(**{**stored, "images": tuple(stored["images"])})

    def missing(self, digest: str, images: Collection[str]) -> list[str]:
        """Which of ``images`` have no stored features, in order."""
        wanted = dict.fromkeys(images)
        for receipt in self.receipts(digest):
            for sha256 in receipt.images:
                wanted.pop(sha256, None)
        return list(wanted)

    def read(self, digest: str, images: Sequence[str]) -> Features:
        """The features (n, D) of these images, in their order; holds the answer and one file at a time.

        Raises ``KeyError`` that names images without features, ``StorageError`` where a file is damaged.
        """
        left: dict[str, list[int]] = {}
        for position, sha256 in enumerate(images):
            left.setdefault(sha256, []).append(position)
        found: Features | None = None
        for receipt in self.receipts(digest):
            rows = [row for row, sha256 in enumerate(receipt.images) if sha256 in left]
            if not rows:
                continue
            if found is None:
                found = np.empty((len(images), receipt.size), np.float32)
            held = self._features(receipt)
            for row in rows:
                found[left.pop(receipt.images[row], [])] = held[row]
        if left:
            names = ", ".join(list(left)[:3])
            raise KeyError(f"{len(left)} of {len(images)} images have no features of {digest[:16]}: {names}, …")
        return np.empty((0, 0), np.float32) if found is None else found

    def remember(self, recipe: str, digest: str) -> None:
        """Keep which digest a recipe (a short name of a line of the configuration) led to."""
        self._objects.upload_file(self._bucket, f"embeddings/recipes/{recipe}.json", json.dumps({"digest": digest}).encode())

    def digest_of(self, recipe: str) -> str | None:
        """The digest that a recipe led to when it was last used; None before that."""
        try:
            found: str = json.loads(self._objects.download_file(self._bucket, f"embeddings/recipes/{recipe}.json"))["digest"]
        except KeyError:
            return None
        return found

    def _features(self, receipt: Receipt) -> Features:
        key = f"{_folder(receipt.digest)}/{receipt.batch}/{receipt.sha256}.parquet"
        table = load_table(self._objects.download_verified(self._bucket, key, receipt.sha256))
        flat: Features = table["features"].combine_chunks().flatten().to_numpy()
        return flat.reshape(len(receipt.images), receipt.size)


def _folder(digest: str) -> str:
    return f"embeddings/{digest[:16]}"


def _dumped(table: pa.Table) -> bytes:
    """The Parquet file: floats parted into streams of bytes, of which only that of signs and exponents packs well."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False,
                   column_encoding={"sha256": "PLAIN", "features.list.element": "BYTE_STREAM_SPLIT"})
    data: bytes = sink.getvalue().to_pybytes()
    return data
