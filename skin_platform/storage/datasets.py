"""Frozen datasets in the object store: immutable manifests by digest, and the pointer to the newest.

    datasets/<digest>/manifest.parquet  the rows with the objects' addresses
    datasets/<digest>/moves.parquet     the images that are in another split than in the parent, where there are any
    datasets/<digest>/version.json      how it came about, and what it counts
    datasets/<digest>/manifest.tsv      the canonical text; its SHA-256 is the digest. Written last: where it is, the rest is
    datasets/absent/<SHA-256>.parquet   images that were in a split once and are in none now: theirs waits for them
    datasets/latest.json                the newest digest and absent images, from which the next version takes its splits

Here: freezing and reading. Not here: columns and digests (``storage.manifests``), how splits come about
(``storage.candidates``).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from skin_platform.core.datasets import DatasetRow
from skin_platform.storage.candidates import Split
from skin_platform.storage.dataset_versions import Circumstances, DatasetVersion
from skin_platform.storage.manifests import ASSIGNED, MANIFEST, MOVES, canonical_text, digest_of, ordered, rows_of
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table

LATEST = "datasets/latest.json"
WHOLE = 64  # digits of a digest
Rows: TypeAlias = list[DatasetRow]  # the class below has a method that is named list
Versions: TypeAlias = list[DatasetVersion]
Digests: TypeAlias = list[str]


class OvertakenError(RuntimeError):
    """Another version was frozen while this one was being made: its splits count, begin again from it."""


@dataclass(frozen=True)
class Latest:
    """The newest version, and the object that holds its absent images (None: there are none)."""

    digest: str
    absent: str | None = None


class Datasets:
    """The datasets in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def freeze(self, split: Split, came: Circumstances, after: Latest | None) -> Latest:
        """Store a manifest unless the same content is stored already, and make it the newest.

        Where nothing is new, nothing is written. Raises ``OvertakenError`` where the newest is not ``after`` any more.
        """
        manifest = ordered(split.manifest.select(MANIFEST.names))
        digest = digest_of(manifest)
        if not self._objects.object_exists(self._bucket, manifest_key(digest)):
            version = DatasetVersion.of(digest, manifest, came, split.moves)
            self._put(f"datasets/{digest}/manifest.parquet", dump_table(manifest))
            if len(split.moves):
                self._put(f"datasets/{digest}/moves.parquet", dump_table(split.moves))
            self._put(f"datasets/{digest}/version.json", version.to_json())
            self._put(manifest_key(digest), bytes(canonical_text(manifest)))
        newest = Latest(digest, self._keep_absent(split.absent))
        now = self.newest()
        if newest != now:
            if now != after:
                raise OvertakenError(f"dataset {now.digest[:12] if now else 'none'} was frozen in the meantime")
            stored = {"digest": newest.digest} | ({"absent": newest.absent} if newest.absent else {})
            self._put(LATEST, json.dumps(stored).encode())
        return newest

    def latest(self) -> str | None:
        """The digest that was frozen last, or None."""
        newest = self.newest()
        return newest.digest if newest else None

    def newest(self) -> Latest | None:
        """The version that was frozen last, with its absent images, or None."""
        try:
            return Latest(**json.loads(self._objects.download_file(self._bucket, LATEST)))
        except KeyError:
            return None

    def assigned(self, latest: Latest | None) -> pa.Table:
        """Every image that is or was in a split, and its split: sha256, split."""
        if latest is None:
            return ASSIGNED.empty_table()
        present = self.manifest(latest.digest).select(ASSIGNED.names)
        if latest.absent is None:
            return present
        expected = latest.absent.rpartition("/")[2].removesuffix(".parquet")
        absent = load_table(self._objects.download_verified(self._bucket, latest.absent, expected), ASSIGNED)
        return pa.concat_tables([present, absent])

    def manifest(self, digest: str) -> pa.Table:
        """The manifest of a dataset, in canonical order.

        Raises ``KeyError`` for an unknown digest, ``ValueError`` where the rows do not hash to it.
        """
        try:
            data = self._objects.download_file(self._bucket, f"datasets/{digest}/manifest.parquet")
        except KeyError:
            raise KeyError(f"there is no dataset {digest}: `skin datasets list` shows those that there are") from None
        try:
            manifest = load_table(data, MANIFEST)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"the manifest of dataset {digest} cannot be read: it was changed after it was frozen "
                             f"({' '.join(str(error).split())[:200]})") from None
        found = digest_of(manifest)
        if found != digest:
            raise ValueError(f"the manifest of dataset {digest} hashes to {found}: it was changed after it was frozen")
        return manifest

    def read(self, digest: str) -> Rows:
        """The rows of a dataset; raises what ``manifest`` does."""
        return rows_of(self.manifest(digest))

    def version(self, digest: str) -> DatasetVersion:
        """The record of a version; raises ``KeyError`` for an unknown digest."""
        try:
            return DatasetVersion.from_json(self._objects.download_file(self._bucket, f"datasets/{digest}/version.json"))
        except KeyError:  # frozen before records were kept
            return DatasetVersion.of(digest, self.manifest(digest), Circumstances(), MOVES.empty_table())

    def moves(self, digest: str) -> pa.Table:
        """The images that are in another split than in the version's parent: sha256, from_split, to_split."""
        try:
            return load_table(self._objects.download_file(self._bucket, f"datasets/{digest}/moves.parquet"), MOVES)
        except KeyError:
            return MOVES.empty_table()

    def list(self) -> Versions:
        """All versions, newest first."""
        return sorted((self.version(digest) for digest in self._digests()), key=lambda v: (v.came.created_at, v.digest),
                      reverse=True)

    def find(self, name: str) -> str:
        """The digest that ``name`` means: a digest, its first digits (four or more), or ``latest``.

        Raises ``ValueError`` where it means none or several.
        """
        if name == "latest":
            newest = self.latest()
            if newest is None:
                raise ValueError("no dataset was frozen yet: `skin demo`, or the job train_now, makes one")
            return newest
        found = [digest for digest in self._digests() if digest.startswith(name.lower())] if len(name) >= 4 else []
        if len(found) != 1:
            why = "four digits or more are needed" if len(name) < 4 else f"{len(found)} datasets begin so" if found else (
                "there is none")
            raise ValueError(f"'{name}' names no dataset ({why}): `skin datasets list` shows those that there are")
        return found[0]

    def _digests(self) -> Digests:
        keys = (item.key.split("/") for item in self._objects.list_objects(self._bucket, "datasets"))
        return [key[1] for key in keys if key[2:] == ["manifest.tsv"] and len(key[1]) == WHOLE]

    def _keep_absent(self, absent: pa.Table) -> str | None:
        if not len(absent):
            return None
        data = dump_table(absent)
        key = f"datasets/absent/{hashlib.sha256(data).hexdigest()}.parquet"
        if not self._objects.object_exists(self._bucket, key):
            self._put(key, data)
        return key

    def _put(self, key: str, data: bytes) -> None:
        self._objects.upload_file(self._bucket, key, data)


def manifest_key(digest: str) -> str:
    """The object that holds a dataset's canonical text."""
    return f"datasets/{digest}/manifest.tsv"
