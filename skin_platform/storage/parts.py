"""Parts of the published catalogue: immutable Parquet files, and the one table that they make together.

Here: storing parts, keeping them at hand on this machine, putting them together in SQL. Not here: which parts count
(``storage.catalogue``).
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from skin_platform.storage.lesions_sql import COLUMNS, KEYS
from skin_platform.storage.objects import ObjectStore

KEPT_SECONDS = 3600.0  # a part that nobody on this machine has asked for


@dataclass(frozen=True)
class Part:
    """A part: its key in the data bucket, the SHA-256 of its bytes, its rows."""

    key: str
    sha256: str
    rows: int


class PartsCache:
    """The parts of one data bucket, with those in use kept in a folder; safe for several processes."""

    def __init__(self, objects: ObjectStore, bucket: str, folder: Path) -> None:
        self._objects, self._bucket, self._folder = objects, bucket, folder

    def put(self, file: Path, name: str, rows: int) -> Part:
        """Store ``file`` as a part."""
        key = f"catalogue/parts/{name}.parquet"
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self._objects.upload_file(self._bucket, key, file, {"sha256": sha256})
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".partial-{os.getpid()}-{sha256}"
        shutil.copyfile(file, partial)
        os.replace(partial, self._path(sha256))
        return Part(key, sha256, rows)

    def files(self, parts: Sequence[Part]) -> list[Path]:
        """The parts as local files, fetched and verified where they are not at hand; parts no longer in use are let go.

        Raises ``KeyError`` where a part is no longer in the bucket.
        """
        files = [self._path(part.sha256) for part in parts]
        for part, path in zip(parts, files, strict=True):
            try:
                os.utime(path)  # in use
            except FileNotFoundError:
                self._fetch(part)
        self._let_go(set(files))
        return files

    def _fetch(self, part: Part) -> None:
        data = self._objects.download_verified(self._bucket, part.key, part.sha256)
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=self._folder, prefix=".partial-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(partial, self._path(part.sha256))

    def _let_go(self, in_use: Collection[Path]) -> None:
        """Delete what no reader of this machine has asked for lately."""
        for path in self._folder.glob("*.parquet"):
            with suppress(FileNotFoundError):  # another process was faster
                if path not in in_use and time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.parquet"


def close_but_for(db: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Let ``db`` reach no file but these, and no network, for good."""
    quoted = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    db.execute(f"SET allowed_paths = [{quoted}]; SET enable_external_access = false; SET lock_configuration = true")


def view_of(files: Sequence[Path]) -> str:
    """DDL of the view ``lesions_data`` over parts, the first of which holds unique keys: of each key the newest row counts."""
    first, *later = (str(file).replace("'", "''") for file in files)
    if not later:
        return f"CREATE VIEW lesions_data AS SELECT {COLUMNS} FROM read_parquet('{first}')"
    return (f"CREATE TEMP TABLE later AS {_newest(later)}; "
            f"CREATE VIEW lesions_data AS SELECT {COLUMNS} FROM read_parquet('{first}') ANTI JOIN later USING ({KEYS}) "
            f"UNION ALL SELECT {COLUMNS} FROM later WHERE NOT is_removed")


def merge_parts(files: Sequence[Path], target: Path, *, is_whole: bool) -> int:
    """Write one part in place of several; a whole one lets go of what was removed. Returns its rows."""
    selection = _newest([str(file).replace("'", "''") for file in files])
    if is_whole:
        selection = f"SELECT * FROM ({selection}) WHERE NOT is_removed ORDER BY {KEYS}"
    quoted = str(target).replace("'", "''")
    with duckdb.connect() as db:
        [(rows,)] = db.execute(f"COPY ({selection}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    return int(rows)


def _newest(files: Sequence[str]) -> str:
    listed = ", ".join(f"'{file}'" for file in files)
    return (f"SELECT * FROM read_parquet([{listed}]) "
            f"QUALIFY row_number() OVER (PARTITION BY {KEYS} ORDER BY revision DESC) = 1")
