"""The lesions table in DuckDB: written by one process at a time, rebuilt from the batch manifests at any time.

Here: the SQL of ``metadata.lesions_data``. Not here: who may write when (the assets' pool), the manifests
(``storage.batches``).

``metadata.landed_files`` holds the manifest rows as they are; ``metadata.lesions_data`` follows from it: of all deliveries of
the same bytes under the same label the first one counts, and later ones fill in what it lacked.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from skin_platform.core.datasets import trainable_digest
from skin_platform.core.groups import group_ids
from skin_platform.core.lesions import FILLED_LATER, KEY, LESIONS_DATA, MANIFEST_COLUMNS

KEYS = ", ".join(KEY)
ORDER = "ORDER BY ingested_at, batch_id, file_id"
DERIVED = {"group_id": "''", "erased_at": "NULL"}


def _ddl(table: str, columns: Sequence[object]) -> str:
    inner = ", ".join(f'"{column.name}" {column.type}' for column in columns)  # type: ignore[attr-defined]
    return f"CREATE TABLE IF NOT EXISTS metadata.{table} ({inner})"


def _derive() -> str:
    """SELECT that makes table rows of manifest rows, for the keys in ``affected``."""
    parts = []
    for column in LESIONS_DATA:
        name = column.name
        if name in KEY:
            parts.append(name)
        elif name in DERIVED:
            parts.append(f"{DERIVED[name]} AS {name}")
        else:
            present = f" FILTER (WHERE {name} IS NOT NULL)" if name in FILLED_LATER else ""
            parts.append(f"first({name} {ORDER}){present} AS {name}")
    return (f"SELECT {', '.join(parts)} FROM metadata.landed_files "
            f"WHERE reason IS NULL AND ({KEYS}) IN (SELECT {KEYS} FROM affected) GROUP BY {KEYS}")


class LesionsTable:
    """The catalogue in one DuckDB file. Each method opens the file late and closes it early."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def replace_batch(self, manifest: pa.Table) -> None:
        """Put the rows of one batch's manifest in place of the batch's former rows, in one transaction."""
        with self._writing() as db:
            self._replace(db, manifest)
            self._regroup(db)

    def rebuild(self, manifests: Iterator[pa.Table]) -> None:
        """Make the table anew from all manifests, in one transaction."""
        with self._writing() as db:
            db.execute("DELETE FROM metadata.landed_files")
            db.execute("DELETE FROM metadata.lesions_data")
            for manifest in manifests:
                self._replace(db, manifest)
            self._regroup(db)

    def read(self) -> pa.Table:
        """The whole table, ordered by its key."""
        with self._writing() as db:
            return db.execute(f"SELECT * FROM metadata.lesions_data ORDER BY {KEYS}").to_arrow_table()

    def landed_rows(self, batch_id: str) -> int:
        """How many files of a batch the catalogue knows, refused ones included."""
        with self._writing() as db:
            found = db.execute("SELECT count(*) FROM metadata.landed_files WHERE batch_id = ?", [batch_id]).fetchone()
            return int(found[0]) if found else 0

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = duckdb.connect(str(self._path))
        except duckdb.IOException as error:
            raise RuntimeError(
                f"{self._path} cannot be opened; another process may be writing to it (Dagster is its only writer; read the "
                f"published catalogue/lesions_data.parquet instead): {error}"
            ) from None
        try:
            db.execute("BEGIN")
            db.execute("CREATE SCHEMA IF NOT EXISTS metadata")
            db.execute(_ddl("landed_files", MANIFEST_COLUMNS))
            db.execute(_ddl("lesions_data", LESIONS_DATA))
            yield db
            db.execute("COMMIT")
        finally:
            db.close()  # an open transaction is rolled back

    @staticmethod
    def _replace(db: duckdb.DuckDBPyConnection, manifest: pa.Table) -> None:
        db.register("incoming", manifest)
        db.execute("CREATE OR REPLACE TEMP TABLE affected AS "
                   f"SELECT {KEYS} FROM incoming WHERE reason IS NULL UNION SELECT {KEYS} FROM metadata.landed_files "
                   "WHERE reason IS NULL AND batch_id IN (SELECT DISTINCT batch_id FROM incoming)")
        db.execute("DELETE FROM metadata.landed_files WHERE batch_id IN (SELECT DISTINCT batch_id FROM incoming)")
        db.execute("INSERT INTO metadata.landed_files BY NAME SELECT * FROM incoming")
        db.execute(f"DELETE FROM metadata.lesions_data WHERE ({KEYS}) IN (SELECT {KEYS} FROM affected)")
        db.execute(f"INSERT INTO metadata.lesions_data {_derive()}")
        db.unregister("incoming")

    @staticmethod
    def _regroup(db: duckdb.DuckDBPyConnection) -> None:
        rows = db.execute("SELECT sha256, patient_id, lesion_id FROM metadata.lesions_data").fetchall()
        images = [row[0] for row in rows]
        groups = group_ids(images, [row[1:] for row in rows])
        db.register("grouping", pa.table({"sha256": pa.array(images, pa.string()), "g": pa.array(groups, pa.string())}))
        db.execute("UPDATE metadata.lesions_data t SET group_id = g FROM (SELECT DISTINCT * FROM grouping) n "
                   "WHERE n.sha256 = t.sha256 AND t.group_id IS DISTINCT FROM g")
        db.unregister("grouping")


def content_digest(table: pa.Table) -> str:
    """SHA-256 (hex) over every value of every row, ordered by key: two tables of the same content agree."""
    digest = hashlib.sha256()
    for row in table.sort_by([(name, "ascending") for name in KEY]).to_pylist():
        digest.update(repr(tuple(row[column.name] for column in LESIONS_DATA)).encode())
    return digest.hexdigest()


def conflicts(table: pa.Table) -> set[str]:
    """The SHA-256s that were delivered under more than one label."""
    labels: dict[str, set[str]] = {}
    for sha256, label in zip(table["sha256"].to_pylist(), table["label"].to_pylist(), strict=True):
        labels.setdefault(sha256, set()).add(label)
    return {sha256 for sha256, found in labels.items() if len(found) > 1}


def trainable(table: pa.Table, labels: Sequence[str]) -> pa.Table:
    """The rows that may be trained on: a configured label (any, where none is configured), no conflict, not erased."""
    refused = conflicts(table)
    keep = [sha256 not in refused and erased is None and (not labels or label in labels)
            for sha256, label, erased in zip(*(table[name].to_pylist() for name in ("sha256", "label", "erased_at")),
                                             strict=True)]
    return table.filter(pa.array(keep, pa.bool_()))


def catalogue_digest(rows: pa.Table) -> str:
    """The digest of trainable ``rows``, by which the platform notices that there is something new to learn from."""
    columns = (rows[name].to_pylist() for name in ("sha256", "label", "group_id"))
    return trainable_digest(zip(*columns, strict=True))
