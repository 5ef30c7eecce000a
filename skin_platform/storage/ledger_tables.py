"""Tables of the ledger: its three tables in SQLite, and how they are reached.

Here: tables, transactions, paths as bytes. Not here: what is done with them (``storage.ledger``).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from skin_platform.storage.private_files import made_private

LOCK_SECONDS = 30  # another process holds the lock while it stores a claim, which takes a moment
_metadata = sa.MetaData()
FILES = sa.Table(
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
BATCHES = sa.Table(
    "claimed_batches", _metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # in order of claiming, whatever the clock says
    sa.Column("batch_id", sa.String, nullable=False, unique=True),
    sa.Column("root", sa.String, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("claimed_at", sa.String, nullable=False),
    sa.Column("landed_at", sa.String),
    sa.Column("given_up_at", sa.String),
)
WAITING = sa.Table(
    "waiting_files", _metadata,
    sa.Column("path", sa.LargeBinary, primary_key=True),
    sa.Column("stamp", sa.String, nullable=False),
    sa.Column("first_seen_ns", sa.BigInteger, nullable=False),
)


def opened(path: Path | None) -> sa.Engine:
    """The database at ``path`` with its tables, made where they are missing; in memory where it is None."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        made_private(path)  # it holds the names of files as delivered
    engine = sa.create_engine(f"sqlite:///{path or ''}", connect_args={"timeout": LOCK_SECONDS})
    with engine.begin() as connection:  # two processes may open a new ledger at once
        for table in (FILES, BATCHES, WAITING):
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    return engine


@contextmanager
def driver_of(engine: sa.Engine) -> Iterator[sqlite3.Connection]:
    """A connection of the driver itself, for what is read by the hundred thousand."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        yield driver


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that has the write lock from its first statement on, so that what it reads stays true."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def bounds_below(root: str) -> tuple[bytes, bytes]:
    """Between what all paths below ``root`` lie: from the first on, before the second."""
    start = root.rstrip("/")
    return as_bytes(f"{start}/"), as_bytes(f"{start}0")  # the character after the slash


def as_bytes(path: str) -> bytes:
    """A path as the ledger keeps it."""
    return path.encode("utf-8", "surrogateescape")


def as_text(path: bytes) -> str:
    """A path as the ledger was given it."""
    return path.decode("utf-8", "surrogateescape")
