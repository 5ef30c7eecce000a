"""The lesions table in DuckDB: written by one process at a time, rebuilt from the batch manifests at any time.

Here: the changes of ``metadata.lesions_data``, each in one transaction. Not here: the SQL's text (``storage.lesions_sql``),
groups (``storage.grouping``), what everyone reads (``storage.catalogue``), who may write when (the assets' pool).

``metadata.landed_files`` holds the manifest rows as they are; ``metadata.lesions_data`` follows from it: of all deliveries of
the same bytes under the same label the first one counts, and later ones fill in what it lacked. A change costs what it changes:
the affected images are derived anew, compared with what stood there, and what differs is written under a new revision.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from skin_platform.core.conflicts import Resolution
from skin_platform.core.consent import ConsentWords
from skin_platform.storage.grouping import regroup, take
from skin_platform.storage.lesions_sql import COLUMNS, CONSENT, CORRECT, EXCLUDE, IMAGE_KEY, KEYS, derive, sums
from skin_platform.storage.revisions import Changes, LabelSums, read_changes
from skin_platform.storage.table_layout import begin_anew, check_layout

MEMORY_LIMIT = "4GB"  # beyond it DuckDB writes to disk beside its file; on its own it would take four fifths of the machine
WAIT_SECONDS = 120.0  # for another walk on the same home: it holds the file for one batch's change at a time


class LesionsTable:
    """The catalogue in one DuckDB file. Each method opens the file late and closes it early."""

    def __init__(self, path: Path, consent: ConsentWords | None = None, wait_seconds: float = WAIT_SECONDS) -> None:
        self._path, self._consent, self._wait_seconds = path, consent or ConsentWords(), wait_seconds

    def replace_batch(self, batch_id: str, manifest: pa.Table) -> None:
        """Put the rows of a batch's manifest in place of the batch's former rows, in one transaction."""
        with self._open() as db:
            db.execute("CREATE OR REPLACE TEMP TABLE affected (image_key UBIGINT)")
            if db.execute("SELECT 1 FROM metadata.batches WHERE batch_id = ?", [batch_id]).fetchall():
                db.execute("INSERT INTO affected SELECT image_key FROM metadata.landed_files "
                           "WHERE batch_id = ? AND reason IS NULL", [batch_id])
                db.execute("DELETE FROM metadata.landed_files WHERE batch_id = ?", [batch_id])
            else:
                db.execute("INSERT INTO metadata.batches VALUES (?)", [batch_id])
            _land(db, manifest)
            _derive_anew(db, self._consent)

    def rebuild(self, manifests: Iterable[pa.Table], resolutions: Sequence[Resolution] = ()) -> None:
        """Make the table anew from all manifests and decisions, in one transaction."""
        with self._open(begin_anew) as db:
            db.execute("CREATE OR REPLACE TEMP TABLE affected (image_key UBIGINT)")
            for manifest in manifests:
                _land(db, manifest)
            db.execute("INSERT INTO metadata.batches SELECT DISTINCT batch_id FROM metadata.landed_files")
            _decide(db, resolutions)
            _derive_anew(db, self._consent)

    def resolve(self, resolutions: Sequence[Resolution]) -> None:
        """Take over decisions on images that stand under several labels, in place of former ones."""
        with self._open() as db:
            db.execute("CREATE OR REPLACE TEMP TABLE affected (image_key UBIGINT)")
            _decide(db, resolutions)
            _derive_anew(db, self._consent)

    def read(self) -> pa.Table:
        """The whole table, ordered by its key."""
        with self._open() as db:
            return db.execute(f"SELECT {COLUMNS} FROM metadata.lesions_data ORDER BY {KEYS}").to_arrow_table()

    def changes(self, table_id: str | None, revision: int, target: Path) -> Changes:
        """What changed since ``revision`` of the table ``table_id`` (all of it, where this is another table), written to the
        Parquet file ``target``, and what the table holds now."""
        with self._open() as db:
            return read_changes(db, table_id, revision, target)

    @contextmanager
    def _open(self, prepare: Callable[[duckdb.DuckDBPyConnection], None] = check_layout) -> Iterator[duckdb.DuckDBPyConnection]:
        db = self._connected()
        try:
            db.execute("BEGIN")
            prepare(db)
            yield db
            db.execute("COMMIT")
        finally:
            db.close()  # an open transaction is rolled back

    def _connected(self) -> duckdb.DuckDBPyConnection:
        """The file, ours alone; waits for another process that has it. Raises ``RuntimeError``."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                return duckdb.connect(str(self._path), config={"memory_limit": MEMORY_LIMIT})
            except duckdb.IOException as error:
                if "Could not set lock" in str(error) and time.monotonic() < deadline:
                    time.sleep(random.uniform(0.05, 0.2))  # of several that wait none is always the last
                    continue
                raise RuntimeError(
                    f"{self._path} cannot be opened; another process may be writing to it (Dagster is its only writer; `skin "
                    f"catalogue` and Stores.catalogue read the published copy instead): {error}"
                ) from None


def _land(db: duckdb.DuckDBPyConnection, manifest: pa.Table) -> None:
    """Add a manifest's rows to the landed files; its images are affected."""
    db.register("incoming", manifest)
    db.execute(f"INSERT INTO affected SELECT {IMAGE_KEY} FROM incoming WHERE reason IS NULL")
    db.execute("INSERT INTO metadata.landed_files BY NAME "
               f"SELECT *, CASE WHEN reason IS NULL THEN {IMAGE_KEY} END AS image_key FROM incoming")
    db.unregister("incoming")


def _decide(db: duckdb.DuckDBPyConnection, resolutions: Sequence[Resolution]) -> None:
    """Put decisions in place of former ones on the same images; these images are affected."""
    for item in resolutions:
        db.execute("DELETE FROM metadata.resolutions WHERE sha256 = ?", [item.sha256])
        db.execute("INSERT INTO metadata.resolutions VALUES (?, ?, ?, ?, ?, ?)",
                   [item.sha256, item.label, list(item.labels), item.who, item.why, item.resolved_at])
        db.execute(f"INSERT INTO affected SELECT {IMAGE_KEY} FROM (SELECT ? AS sha256)", [item.sha256])


def _derive_anew(db: duckdb.DuckDBPyConnection, consent: ConsentWords) -> None:
    """Derive the ``affected`` images from the landed files; write what differs under a new revision."""
    take(db, "before", "metadata.lesions_data", "image_key IN (FROM affected)")
    take(db, "delivered", "metadata.landed_files", "image_key IN (FROM affected)")  # refused ones have no key
    db.execute(f"CREATE OR REPLACE TEMP TABLE after AS {derive()}")
    db.execute(CORRECT)
    db.execute(EXCLUDE)
    db.execute(CONSENT, [list(consent.renewed), list(consent.refused), list(consent.given)])
    regroup(db)
    same = f"SELECT {COLUMNS}, cluster_key FROM before INTERSECT SELECT {COLUMNS}, cluster_key FROM after"
    db.execute(f"CREATE OR REPLACE TEMP TABLE same AS SELECT {KEYS} FROM ({same})")
    for table in ("before", "after"):
        db.execute(f"DELETE FROM {table} WHERE ({KEYS}) IN (FROM same)")
    if not db.execute("SELECT (SELECT count(*) FROM before) + (SELECT count(*) FROM after)").fetchall()[0][0]:
        return
    db.execute("UPDATE metadata.revisions SET revision = revision + 1")
    db.execute("UPDATE after SET revision = (SELECT revision FROM metadata.revisions)")
    db.execute(f"DELETE FROM metadata.lesions_data WHERE image_key IN (SELECT image_key FROM before) "
               f"AND ({KEYS}) IN (SELECT {KEYS} FROM before)")
    db.execute("INSERT INTO metadata.lesions_data SELECT * FROM after")
    db.execute(f"INSERT INTO metadata.removed SELECT {KEYS}, (SELECT revision FROM metadata.revisions) "
               f"FROM before ANTI JOIN after USING ({KEYS})")
    sums_now = LabelSums.read(db)
    sums_now.add(db.execute(sums("after")).fetchall(), 1)
    sums_now.add(db.execute(sums("before")).fetchall(), -1)
    sums_now.write(db)
