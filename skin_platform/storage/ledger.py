"""The ledger: which files were claimed into which batch, and which batches are through (SQLite through SQLAlchemy).

Here: tables, and the rule that of two processes that claim at the same moment one wins. Not here: what is new (``storage.landing``).
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from skin_platform.core.batches import Delivery, SeenFile

Stamp = tuple[int, int, int, str]
LOCK_SECONDS = 30  # another process holds the lock while it stores a claim, which takes a moment
ASKED_AT_ONCE = 10_000  # names in one statement; SQLite takes 32,766 variables
_metadata = sa.MetaData()
_files = sa.Table(
    "claimed_files", _metadata,
    sa.Column("path", sa.LargeBinary, primary_key=True),  # bytes: file names need not be valid UTF-8
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("modified_ns", sa.BigInteger, nullable=False),
    sa.Column("changed_ns", sa.BigInteger, nullable=False),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("sha256", sa.String),
    sa.Column("batch_id", sa.String, nullable=False),
    sqlite_with_rowid=False,
)
_batches = sa.Table(
    "claimed_batches", _metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # in order of claiming, whatever the clock says
    sa.Column("batch_id", sa.String, nullable=False, unique=True),
    sa.Column("root", sa.String, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("claimed_at", sa.String, nullable=False),
    sa.Column("landed_at", sa.String),
    sa.Column("given_up_at", sa.String),
)
_waiting = sa.Table(
    "waiting_files", _metadata,
    sa.Column("path", sa.LargeBinary, primary_key=True),
    sa.Column("stamp", sa.String, nullable=False),
    sa.Column("first_seen_ns", sa.BigInteger, nullable=False),
)


class ClaimedMeanwhileError(RuntimeError):
    """Another process claimed something since this one looked: look again."""


@dataclass(frozen=True)
class OpenBatch:
    """A batch that was claimed and is not yet in the catalogue."""

    batch_id: str
    digest: str
    root: str
    is_given_up: bool = False


class LandingLedger:
    """Which files were claimed into which batch, and which batches are through; in memory where ``path`` is None."""

    def __init__(self, path: Path | None) -> None:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(f"sqlite:///{path or ''}", connect_args={"timeout": LOCK_SECONDS})
        with self._engine.begin() as connection:  # two processes may open a new ledger at once
            for table in (_files, _batches, _waiting):
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    def mark(self) -> int:
        """How far the claims have come: grows with each, and only with claims."""
        with self._engine.connect() as connection:
            return _mark(connection)

    def check(self, mark: int) -> None:
        """Raise ``ClaimedMeanwhileError`` where another process has claimed something since ``mark``."""
        with self._engine.connect() as connection:
            _check(connection, mark)

    def stamps(self, root: str) -> dict[str, Stamp]:
        """The stamp (``SeenFile.stamp``) of each claimed file below ``root``, by path."""
        # straight from the driver: a hundred thousand rows through SQLAlchemy's take a second, so a fifth
        query = "SELECT path, size_bytes, modified_ns, changed_ns, etag FROM claimed_files WHERE path >= ? AND path < ?"
        with self._driver() as driver:
            return {path.decode("utf-8", "surrogateescape"): (size, modified, changed, etag)
                    for path, size, modified, changed, etag in driver.execute(query, _below(root))}

    def sha256s(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of those of these claimed files that were read."""
        return {path: found[0] for path, found in self._of_files("sha256", paths) if found[0]}

    def batches_of(self, paths: Collection[str]) -> dict[str, str]:
        """The batch that each of these files was claimed into last."""
        return {path: found[0] for path, found in self._of_files("batch_id", paths)}

    def waited(self, root: str) -> dict[str, tuple[str, int]]:
        """Files below ``root`` that bear a time to come, by path: their stamp, and since when (ns) they were seen with it."""
        with self._driver() as driver:
            query = "SELECT path, stamp, first_seen_ns FROM waiting_files WHERE path >= ? AND path < ?"
            return {_text(path): (stamp, first) for path, stamp, first in driver.execute(query, _below(root))}

    def wait(self, root: str, waiting: Mapping[str, tuple[str, int]]) -> None:
        """Remember these files that bear a time to come, in place of the former ones."""
        low, high = _below(root)
        with self._engine.begin() as connection:
            connection.execute(_waiting.delete().where(_waiting.c.path >= low, _waiting.c.path < high))
            if waiting:
                connection.execute(_waiting.insert(), [{"path": _bytes(path), "stamp": stamp, "first_seen_ns": first}
                                                       for path, (stamp, first) in waiting.items()])

    def touch(self, files: Iterable[SeenFile]) -> None:
        """Note that these files were written again with the content that they had."""
        rows = [{"p": _bytes(file.path), "size_bytes": file.size_bytes, "modified_ns": file.modified_ns,
                 "changed_ns": file.changed_ns, "etag": file.etag} for file in files]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(_files.update().where(_files.c.path == sa.bindparam("p")), rows)

    def batch_ids(self, first: str = "") -> set[str]:
        """The batch ids ever given that begin with ``first``, as it stands or with a number behind it."""
        column = _batches.c.batch_id
        chosen = (column == first) | ((column > f"{first}-") & (column < f"{first}.")) if first else sa.true()
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(column).where(chosen)).scalars())

    def open_batches(self) -> list[OpenBatch]:
        """The batches that were claimed and are not yet in the catalogue, first claimed first."""
        query = sa.select(_batches).where(_batches.c.landed_at.is_(None)).order_by(_batches.c.number)
        with self._engine.connect() as connection:
            return [OpenBatch(row.batch_id, row.digest, row.root, row.given_up_at is not None) for row in connection.execute(query)]

    def record(self, delivery: Delivery, tables: Mapping[SeenFile, str | None], keep: Callable[[Delivery], None], mark: int) -> int:
        """Remember a claim that was made at ``mark``, in one transaction that ``keep`` is called within; returns the new mark.

        ``tables`` are the delivery's, with their SHA-256. Raises ``ClaimedMeanwhileError`` where another process has claimed
        something since; nothing is recorded then.
        """
        rows = [{"path": _bytes(file.path), "size_bytes": file.size_bytes, "modified_ns": file.modified_ns,
                 "changed_ns": file.changed_ns, "etag": file.etag, "sha256": tables.get(file), "batch_id": delivery.batch_id}
                for file in (*delivery.files, *tables)]
        with self._writing() as connection:
            _check(connection, mark)
            connection.execute(_batches.insert().values(
                batch_id=delivery.batch_id, root=delivery.root, digest=delivery.digest, claimed_at=delivery.claimed_at))
            connection.execute(_files.insert().prefix_with("OR REPLACE"), rows)
            keep(delivery)
            return _mark(connection)

    def note_contents(self, sha256s: Mapping[str, str]) -> None:
        """Remember the SHA-256 of claimed files, by path."""
        rows = [{"p": _bytes(path), "s": sha256} for path, sha256 in sha256s.items()]
        if rows:
            update = _files.update().where(_files.c.path == sa.bindparam("p")).values(sha256=sa.bindparam("s"))
            with self._engine.begin() as connection:
                connection.execute(update, rows)

    def close_batch(self, batch_id: str, at: datetime) -> None:
        """Note that the batch is in the catalogue."""
        self._stamp_batch(batch_id, "landed_at", at)

    def give_up(self, batch_id: str, at: datetime) -> None:
        """Note that nobody is to ask for runs of the batch any more but a person."""
        self._stamp_batch(batch_id, "given_up_at", at)

    def dispose(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def _stamp_batch(self, batch_id: str, column: str, at: datetime) -> None:
        with self._engine.begin() as connection:
            connection.execute(_batches.update().where(_batches.c.batch_id == batch_id).values({column: at.isoformat()}))

    def _of_files(self, column: str, paths: Collection[str]) -> Iterator[tuple[str, Sequence[Any]]]:
        wanted = sorted(map(_bytes, paths))
        with self._driver() as driver:
            for start in range(0, len(wanted), ASKED_AT_ONCE):
                part = wanted[start:start + ASKED_AT_ONCE]
                marks = ", ".join("?" * len(part))
                for path, *found in driver.execute(f"SELECT path, {column} FROM claimed_files WHERE path IN ({marks})", part):
                    yield _text(path), found

    @contextmanager
    def _driver(self) -> Iterator[sqlite3.Connection]:
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            yield driver

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that has the write lock from its first statement on, so that what it reads stays true."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")


def _mark(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(_batches.c.number), 0))).scalar_one())


def _check(connection: sa.Connection, mark: int) -> None:
    if _mark(connection) != mark:
        raise ClaimedMeanwhileError("another process claimed files at the same moment: try again")


def _below(root: str) -> tuple[bytes, bytes]:
    """The bounds of all paths below ``root``."""
    start = root.rstrip("/")
    return _bytes(f"{start}/"), _bytes(f"{start}0")  # the character after the slash


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
