"""The ledger: which files were claimed into which batch, and which batches are through (SQLite through SQLAlchemy)."""

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from skin_platform.core.batches import Delivery, SeenFile

_metadata = sa.MetaData()
_files = sa.Table(
    "files", _metadata,
    sa.Column("path", sa.LargeBinary, primary_key=True),  # bytes: file names need not be valid UTF-8
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("modified_ns", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String),
    sa.Column("batch_id", sa.String, nullable=False),
)
_batches = sa.Table(
    "batches", _metadata,
    sa.Column("batch_id", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("claimed_at", sa.String, nullable=False),
    sa.Column("landed_at", sa.String),
)


class LandingLedger:
    """Which files were claimed into which batch, and which batches are through."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        with self._engine.begin() as connection:  # two processes may open a new ledger at once
            for table in (_files, _batches):
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    def known(self) -> dict[str, tuple[int, int, str | None]]:
        """Size, time of modification (ns) and SHA-256 (None: not read yet) of each claimed file, by path."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_files.c.path, _files.c.size_bytes, _files.c.modified_ns,
                                                _files.c.sha256))
            return {os.fsdecode(path): (size, modified, sha256) for path, size, modified, sha256 in rows}

    def touch(self, file: SeenFile) -> None:
        """Note that ``file`` was written again with the same content."""
        with self._engine.begin() as connection:
            connection.execute(_files.update().where(_files.c.path == os.fsencode(file.path))
                               .values(modified_ns=file.modified_ns))

    def batch_ids(self) -> set[str]:
        """Every batch id ever given."""
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(_batches.c.batch_id)).scalars())

    def open_batches(self) -> list[tuple[str, str]]:
        """(batch id, digest) of the batches that were claimed and are not yet in the catalogue, oldest first."""
        query = sa.select(_batches.c.batch_id, _batches.c.digest).where(_batches.c.landed_at.is_(None))
        with self._engine.connect() as connection:
            return [(batch, digest) for batch, digest in connection.execute(query.order_by(_batches.c.claimed_at))]

    def record(self, delivery: Delivery, keep: Callable[[Delivery], None] = lambda delivery: None) -> None:
        """Remember the claim, in one transaction; ``keep`` is called within it, by one process for each batch id."""
        tables = [SeenFile(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
                  for path in delivery.tables for seen in [os.stat(path)]]
        rows = [{"path": os.fsencode(file.path), "size_bytes": file.size_bytes, "modified_ns": file.modified_ns,
                 "sha256": sha256_of(file.path) if file in tables else None, "batch_id": delivery.batch_id}
                for file in (*delivery.files, *tables)]
        with self._engine.begin() as connection:
            connection.execute(_batches.insert().values(
                batch_id=delivery.batch_id, digest=delivery.digest, claimed_at=delivery.claimed_at))
            if rows:
                connection.execute(_files.insert().prefix_with("OR REPLACE"), rows)
            keep(delivery)

    def note_contents(self, sha256s: dict[str, str]) -> None:
        """Remember the SHA-256 of claimed files, by path."""
        rows = [{"p": os.fsencode(path), "s": sha256} for path, sha256 in sha256s.items()]
        if rows:
            update = _files.update().where(_files.c.path == sa.bindparam("p")).values(sha256=sa.bindparam("s"))
            with self._engine.begin() as connection:
                connection.execute(update, rows)

    def close_batch(self, batch_id: str, at: datetime) -> None:
        """Note that the batch is in the catalogue."""
        with self._engine.begin() as connection:
            connection.execute(_batches.update().where(_batches.c.batch_id == batch_id)
                               .values(landed_at=at.isoformat()))

    def dispose(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()


def sha256_of(path: str) -> str | None:
    """SHA-256 (hex) of a file; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
