"""Revisions of the lesions table: what changed since one of them, and what the table holds.

Here: reading and keeping the sums by label, writing changes as a Parquet part.
Not here: publishing them (``storage.catalogue``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from skin_platform.storage.lesions_sql import COLUMNS, KEYS

MODULUS = 1 << 64
FIELDS = ("rows", "trainable", "content_high", "content_low", "trainable_high", "trainable_low")


@dataclass
class LabelSums:
    """By label: rows, trainable rows, and the additive digests of both (high and low 64 bits)."""

    by_label: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, db: duckdb.DuckDBPyConnection) -> "LabelSums":
        """Those that the table keeps."""
        return cls({label: list(values) for label, *values in db.execute("FROM metadata.label_sums").fetchall()})

    def add(self, rows: Iterable[tuple[object, ...]], sign: int) -> None:
        """Add (or with ``sign`` -1 take away) the sums of ``lesions_sql.sums``."""
        for label, *values in rows:
            held = self.by_label.setdefault(str(label), [0] * len(FIELDS))
            for at, value in enumerate(values):
                held[at] += sign * int(value or 0)  # type: ignore[call-overload]
                if at > 1:
                    held[at] %= MODULUS

    def write(self, db: duckdb.DuckDBPyConnection) -> None:
        """Keep these in place of the former ones."""
        db.execute("DELETE FROM metadata.label_sums")
        for label, values in self.by_label.items():
            if values[0]:
                db.execute("INSERT INTO metadata.label_sums VALUES (?, ?, ?, ?, ?, ?, ?)", [label, *values])

    def digest(self, kind: str, labels: Iterable[str] | None = None) -> str:
        """The digest (32 hex digits) of the ``content`` or the ``trainable`` rows of ``labels`` (None: of all)."""
        chosen = self.by_label.keys() if labels is None else labels
        high, low = (sum(self.by_label[label][FIELDS.index(f"{kind}_{half}")] for label in chosen if label in self.by_label)
                     for half in ("high", "low"))
        return f"{high % MODULUS:016x}{low % MODULUS:016x}"

    def count(self, kind: str, labels: Iterable[str] | None = None) -> int:
        """How many ``rows`` or ``trainable`` rows there are of ``labels`` (None: of all)."""
        chosen = self.by_label.keys() if labels is None else labels
        return sum(self.by_label[label][FIELDS.index(kind)] for label in chosen if label in self.by_label)


@dataclass(frozen=True)
class Changes:
    """What a Parquet part holds (``rows``, 0: it was not written), and the table that it brings a reader up to."""

    table_id: str
    revision: int
    is_whole: bool
    rows: int
    sums: Mapping[str, list[int]]
    apart: int  # images of clusters that were taken apart


def read_changes(db: duckdb.DuckDBPyConnection, table_id: str | None, revision: int, target: Path) -> Changes:
    """Write rows that changed and keys that went since ``revision`` to ``target``; all rows where ``table_id`` is another's."""
    [(own_id, own_revision)] = db.execute("FROM metadata.revisions").fetchall()
    is_whole = table_id != own_id or revision > own_revision
    since = -1 if is_whole else revision
    sums = LabelSums.read(db).by_label
    rows = 0
    if is_whole or since < own_revision:
        removed = ("SELECT sha256, label, max(revision) AS revision, true AS is_removed FROM metadata.removed "
                   f"WHERE revision > {since} GROUP BY {KEYS}")
        present = f"SELECT {COLUMNS}, revision, false AS is_removed FROM metadata.lesions_data WHERE revision > {since}"
        gone = f"SELECT * FROM ({removed}) r ANTI JOIN metadata.lesions_data t USING ({KEYS})"
        selection = f"SELECT * FROM ({present}) ORDER BY {KEYS}" if is_whole else f"{present} UNION ALL BY NAME {gone}"
        quoted = str(target).replace("'", "''")
        [(rows,)] = db.execute(f"COPY ({selection}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    [(apart,)] = db.execute("SELECT count(DISTINCT image_key) FROM metadata.lesions_data WHERE cluster_key IN "
                            "(SELECT cluster_key FROM metadata.lesions_data WHERE cluster_key <> group_key)").fetchall()
    return Changes(own_id, own_revision, is_whole, int(rows), sums, int(apart))
