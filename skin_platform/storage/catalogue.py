"""The published catalogue: the copy of the lesions table that everyone but its writer reads, with SQL.

Here: asking it. Not here: how it is published (``storage.published``), the table itself (``storage.lesions``).

A question is answered at one revision, never on half a batch, and waits for nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.lesions_sql import COLUMNS, IS_TRAINABLE, KEYS, sums
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.offers_sql import offered, trainable_sums
from skin_platform.storage.parts import PartsCache, close_but_for, view_of
from skin_platform.storage.published import publish, read_published
from skin_platform.storage.revisions import LabelSums

IN_MEMORY = "rows_in_memory"
TRIES = 5  # of a reader whose parts were merged away and deleted while it was fetching them


@dataclass(frozen=True)
class CatalogueState:
    """How many rows there are, the digest of all content, and that of what may be trained on (32 hex digits, additive)."""

    rows: int
    content_digest: str
    trainable: int
    trainable_digest: str


class Catalogue:
    """The catalogue in one data bucket; ``labels`` may be trained on (none: all may), ``cache`` keeps parts at hand."""

    def __init__(self, objects: ObjectStore, bucket: str, cache: Path, labels: Sequence[str] = ()) -> None:
        self._objects, self._bucket, self._labels = objects, bucket, list(labels)
        self._parts = PartsCache(objects, bucket, cache)

    def publish(self, lesions: LesionsTable, now: datetime) -> CatalogueState:
        """Bring the published copy up to ``lesions`` and say what it holds. Called by the table's one writer."""
        return self._counted(LabelSums(publish(self._objects, self._bucket, self._parts, lesions, now).sums))

    def state(self) -> CatalogueState | None:
        """What is published, or None before anything was."""
        published = read_published(self._objects, self._bucket)
        return self._counted(LabelSums(published.sums)) if published else None

    def query(
        self, sql: str, parameters: Sequence[object] = (), tables: Mapping[str, pa.Table] | None = None
    ) -> pa.Table | None:
        """The answer to ``sql`` over the view ``lesions_data`` at one revision; None before anything was published.

        ``tables`` can be asked about besides, under their names. A question can only read these: DuckDB opens no other file and
        writes none. Raises ``ValueError`` with DuckDB's words where the statement cannot be run.
        """
        files = self._files()
        if files is None:
            return None
        with duckdb.connect() as db:
            db.execute(view_of(files))
            for name, table in (tables or {}).items():
                db.register(name, table)
            close_but_for(db, files)
            try:
                kinds = {statement.type for statement in db.extract_statements(sql)}
                if kinds != {duckdb.StatementType.SELECT}:  # COPY could write over the very files that may be read
                    raise ValueError("a question to the catalogue can only read: one SELECT (or FROM) statement. `--out FILE` "
                                     "writes the answer")
                return db.execute(sql, list(parameters)).to_arrow_table()
            except duckdb.Error as error:
                raise ValueError(str(error)) from None

    def _files(self) -> list[Path] | None:
        """The parts in force as local files; None before anything was published."""
        for attempt in range(TRIES):
            published = read_published(self._objects, self._bucket)
            if published is None:
                return None
            try:
                return self._parts.files(published.parts)
            except KeyError:
                if attempt == TRIES - 1:
                    raise
        return None

    def read(self) -> pa.Table | None:
        """The whole table, ordered by its key; None before anything was published."""
        return self.query(f"SELECT {COLUMNS} FROM lesions_data ORDER BY {KEYS}")

    def trainable(self, assigned: pa.Table) -> tuple[pa.Table, str] | None:
        """The images that may be trained on (a configured label, no open conflict, not erased), ordered, with their digest.

        Columns: sha256, label, group_id, split (as delivered), s3_uri, is_usable, previous: the split in ``assigned`` (sha256,
        split). Images of ``assigned`` that may not be trained on any more come too, ``is_usable`` False.
        """
        rows = self.query(offered(self._is_usable), [self._labels] if self._labels else [], {"assigned": assigned})
        return None if rows is None else (rows, trainable_digest(rows.filter(rows["is_usable"])))

    def left_out(self) -> dict[str, int]:
        """How many images may not be trained on, by reason."""
        reason = "CASE WHEN erased_at IS NOT NULL THEN 'erased' ELSE coalesce(exclusion, 'label is not configured') END"
        rows = self.query(f"SELECT {reason} AS reason, count(DISTINCT sha256) AS images FROM lesions_data "
                          f"WHERE NOT ({self._is_usable}) GROUP BY ALL ORDER BY ALL", [self._labels] if self._labels else [])
        return {} if rows is None else dict(zip(rows["reason"].to_pylist(), rows["images"].to_pylist(), strict=True))

    def recount(self) -> CatalogueState | None:
        """What the published rows themselves add up to; ``state`` says what they should. None before anything was published."""
        found = self.query(sums("lesions_data"))
        if found is None:
            return None
        held = LabelSums()
        held.add([tuple(row.values()) for row in found.to_pylist()], 1)
        return self._counted(held)

    def rows_of(self, sha256s: Collection[str]) -> pa.Table | None:
        """The rows of these images."""
        return self.query(f"SELECT {COLUMNS} FROM lesions_data WHERE sha256 IN (SELECT unnest(?::VARCHAR[])) ORDER BY {KEYS}",
                          [sorted(sha256s)])

    def addresses(self, sha256s: Collection[str]) -> dict[str, str]:
        """Where each of these images is, as far as it is stored."""
        chosen = "WHERE sha256 IN (SELECT unnest(?::VARCHAR[]))"
        known = self.query(f"SELECT DISTINCT sha256 FROM lesions_data {chosen}", [sorted(sha256s)])  # one column is soon read
        if known is None or not len(known):
            return {}
        rows = self.query(f"SELECT sha256, s3_uri FROM lesions_data {chosen}", [known["sha256"].to_pylist()])
        return {} if rows is None else dict(zip(rows["sha256"].to_pylist(), rows["s3_uri"].to_pylist(), strict=True))

    def taken_apart(self) -> int:
        """How many images look alike to so many patients that only sure copies join them."""
        published = read_published(self._objects, self._bucket)
        return published.apart if published else 0

    def conflicts(self) -> list[str]:
        """The SHA-256s of images that were delivered under several labels and wait for a decision."""
        rows = self.query("SELECT DISTINCT sha256 FROM lesions_data WHERE exclusion = 'conflict' ORDER BY sha256")
        return [] if rows is None else rows["sha256"].to_pylist()

    @property
    def _is_usable(self) -> str:
        return f"{IS_TRAINABLE} AND list_contains(?, label)" if self._labels else IS_TRAINABLE

    def _counted(self, held: LabelSums) -> CatalogueState:
        labels = self._labels or None
        return CatalogueState(held.count("rows"), held.digest("content"), held.count("trainable", labels),
                              held.digest("trainable", labels))


def content_digest(table: pa.Table) -> str:
    """The digest of every value of every row of a catalogue table: two tables of the same content agree."""
    return _sums_of(table, sums(IN_MEMORY)).digest("content")


def trainable_digest(table: pa.Table) -> str:
    """The digest of the sha256, label and group_id of rows that may be trained on: is there anything new to learn?"""
    return _sums_of(table, trainable_sums(IN_MEMORY)).digest("trainable")


def _sums_of(table: pa.Table, statement: str) -> LabelSums:
    found = LabelSums()
    with duckdb.connect() as db:
        db.register(IN_MEMORY, table)
        found.add(db.execute(statement).fetchall(), 1)
    return found
