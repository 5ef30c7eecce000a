"""The published catalogue: the copy of the lesions table that everyone but its writer reads.

Here: publishing what changed, reading it with SQL. Not here: the table itself (``storage.lesions``).

    catalogue/parts/<table>-<revision>[-merged].parquet   rows that changed up to a revision; the first part holds all
    catalogue/state.json                                  which parts make up the catalogue, and what it holds

Parts are never changed and ``state.json`` is replaced as a whole: a reader sees one revision, never half a batch, and waits for
nobody. A batch costs a part of its own size; parts are merged when they become many, all of them when they outgrow half of the
first one (as in a log-structured merge tree, O'Neil et al. 1996).
"""

import json
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.lesions_sql import COLUMNS, IS_TRAINABLE, KEYS, sums
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parts import Part, PartsCache, merge_parts, view_of
from skin_platform.storage.revisions import LabelSums

STATE_KEY = "catalogue/state.json"
MAX_PARTS = 16  # that a reader has to put together
KEPT = timedelta(hours=1)  # a part that was merged away stays for readers who still follow the former state
TRIES = 5  # of a reader whose parts were merged away and deleted while it was fetching them


@dataclass(frozen=True)
class CatalogueState:
    """How many rows there are, the digest of all content, and that of what may be trained on (32 hex digits, additive)."""

    rows: int
    content_digest: str
    trainable: int
    trainable_digest: str


@dataclass(frozen=True)
class _Published:
    """``state.json``: the table and revision, its parts, the sums by label, and since when former parts are out of use."""

    table_id: str
    revision: int
    parts: tuple[Part, ...]
    sums: dict[str, list[int]]
    superseded: dict[str, str]


class Catalogue:
    """The catalogue in one data bucket; ``labels`` may be trained on (none: all may), ``cache`` keeps parts at hand."""

    def __init__(self, objects: ObjectStore, bucket: str, cache: Path, labels: Sequence[str] = ()) -> None:
        self._objects, self._bucket, self._labels = objects, bucket, list(labels)
        self._parts = PartsCache(objects, bucket, cache)

    def publish(self, lesions: LesionsTable, now: datetime) -> CatalogueState:
        """Bring the published copy up to ``lesions`` and say what it holds. Called by the table's one writer."""
        former = self._published()
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "part.parquet"
            table_id, revision = (former.table_id, former.revision) if former else (None, -1)
            changes = lesions.changes(table_id, revision, target)
            parts = former.parts if former and not changes.is_whole else ()
            superseded = dict(former.superseded) if former else {}
            if changes.rows or not parts:
                parts = (*parts, self._parts.put(target, f"{changes.table_id}-{changes.revision}", changes.rows))
            parts = self._merged(parts, f"{changes.table_id}-{changes.revision}", Path(folder))
        kept = {part.key for part in parts}
        gone = {part.key for part in former.parts} - kept if former else set()
        superseded |= {key: now.isoformat() for key in gone}
        old = {key for key, at in superseded.items() if now - datetime.fromisoformat(at) > KEPT}
        published = _Published(changes.table_id, changes.revision, parts, dict(changes.sums),
                               {key: at for key, at in superseded.items() if key not in old})
        self._objects.upload_file(self._bucket, STATE_KEY, json.dumps(asdict(published)).encode())
        for key in old:
            self._objects.delete_object(self._bucket, key)
        return self._counted(LabelSums(published.sums))

    def state(self) -> CatalogueState | None:
        """What is published, or None before anything was."""
        published = self._published()
        return self._counted(LabelSums(published.sums)) if published else None

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table | None:
        """The answer to ``sql`` over the view ``lesions_data`` at one revision; None before anything was published.

        Raises ``ValueError`` with DuckDB's words where the statement cannot be run.
        """
        for attempt in range(TRIES):
            published = self._published()
            if published is None:
                return None
            try:
                files = self._parts.files(published.parts)
                break
            except KeyError:
                if attempt == TRIES - 1:
                    raise
        with duckdb.connect() as db:
            db.execute(view_of(files))
            try:
                return db.execute(sql, list(parameters)).to_arrow_table()
            except duckdb.Error as error:
                raise ValueError(str(error)) from None

    def read(self) -> pa.Table | None:
        """The whole table, ordered by its key; None before anything was published."""
        return self.query(f"SELECT {COLUMNS} FROM lesions_data ORDER BY {KEYS}")

    def trainable(self) -> tuple[pa.Table, str] | None:
        """The rows that may be trained on (a configured label, no open conflict, not erased), ordered, with their digest."""
        where = f"WHERE {IS_TRAINABLE}" + (" AND list_contains(?, label)" if self._labels else "")
        rows = self.query(f"SELECT {COLUMNS} FROM lesions_data {where} ORDER BY {KEYS}", [self._labels] if self._labels else [])
        return None if rows is None else (rows, trainable_digest(rows))

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

    def conflicts(self) -> list[str]:
        """The SHA-256s of images that were delivered under several labels and wait for a decision."""
        rows = self.query("SELECT DISTINCT sha256 FROM lesions_data WHERE exclusion = 'conflict' ORDER BY sha256")
        return [] if rows is None else rows["sha256"].to_pylist()

    def _published(self) -> _Published | None:
        try:
            stored = json.loads(self._objects.download_file(self._bucket, STATE_KEY))
        except KeyError:
            return None
        return _Published(**{**stored, "parts": tuple(Part(**part) for part in stored["parts"])})

    def _counted(self, held: LabelSums) -> CatalogueState:
        labels = self._labels or None
        return CatalogueState(held.count("rows"), held.digest("content"), held.count("trainable", labels),
                              held.digest("trainable", labels))

    def _merged(self, parts: tuple[Part, ...], name: str, folder: Path) -> tuple[Part, ...]:
        """The parts, put together where they are many or where the later ones outgrow half of the first."""
        first, later = parts[0], parts[1:]
        if sum(part.rows for part in later) > first.rows / 2:
            return (self._merge(parts, f"{name}-whole", folder),)
        if len(parts) > MAX_PARTS:
            return first, self._merge(later, f"{name}-merged", folder)
        return parts

    def _merge(self, parts: tuple[Part, ...], name: str, folder: Path) -> Part:
        target = folder / "merged.parquet"
        rows = merge_parts(self._parts.files(parts), target, is_whole=name.endswith("-whole"))
        return self._parts.put(target, name, rows)


def content_digest(table: pa.Table) -> str:
    """The digest of every value of every row of a catalogue table: two tables of the same content agree."""
    return _sums_of(table).digest("content")


def trainable_digest(table: pa.Table) -> str:
    """The digest of (sha256, label, group_id) of the trainable rows of a catalogue table: is there anything new to learn?"""
    return _sums_of(table).digest("trainable")


def _sums_of(table: pa.Table) -> LabelSums:
    found = LabelSums()
    with duckdb.connect() as db:
        db.register("rows_in_memory", table)
        found.add(db.execute(sums("rows_in_memory")).fetchall(), 1)
    return found
