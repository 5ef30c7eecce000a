"""Opening the spool's file: it is sound, or it is set aside and a new one takes its place.

Here: the tables, SQLite's settings, what can still be read of a damaged file. Not here: statements (``storage.spool_file``).
"""

import fcntl
import logging
import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from skin_platform.storage.private_files import made_private

logger = logging.getLogger(__name__)
BUSY_SECONDS = 5.0  # another process holds the lock for milliseconds
PAGE_BYTES = 4096
WAL_PAGES = 4096  # 16 MB: from there on a checkpoint is worth its wait for the disk
WAL_PAGES_AT_MOST = 4 * WAL_PAGES  # where nobody asks for checkpoints, an addition makes one, and waits for the disk
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
TABLES = ("belongs", "rows", "refused", "jobs")
# A row's number is the time at which it was added, in nanoseconds: never given twice, without a page that counts (AUTOINCREMENT
# takes a third longer). The image comes last: to read what stands behind it would be to read all of it.
SCHEMA = """
CREATE TABLE IF NOT EXISTS rows(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS rows_by_id ON rows(id);
CREATE TABLE IF NOT EXISTS refused(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs(number INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, worker TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, finished_at REAL, options TEXT NOT NULL, result TEXT, error TEXT,
    image_bytes INTEGER NOT NULL, image BLOB);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs(state, number);
CREATE TABLE IF NOT EXISTS belongs(number INTEGER PRIMARY KEY, database TEXT NOT NULL);
"""


class DamagedFileError(sqlite3.DatabaseError):
    """The file's pages contradict each other."""


def opened(path: Path, max_bytes: int) -> sqlite3.Connection:
    """A sound file at ``path``; one that is damaged is set aside. Raises ``OSError``, ``sqlite3.Error``.

    One process at a time: only one may set a file aside, and SQLite does not wait where two switch to WAL at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with made_private(path.with_name(f"{path.name}.lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _sound(path, max_bytes)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return _anew(path, max_bytes, str(error))


def taken_over(former: sqlite3.Connection, new: sqlite3.Connection) -> int:
    """Copy what can be read: from the first entry on, and from the last one back, up to what is damaged; returns how much."""
    before = new.total_changes
    new.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        read: set[int] = set()
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.Error):  # a table that is missing, a page that is damaged
                found = former.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY number {order}")
                places = ", ".join("?" * len(found.description))
                for entry in found:
                    if entry[0] in read:
                        break
                    read.add(entry[0])
                    new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", entry)
    new.execute("COMMIT")
    return new.total_changes - before


def is_damage(error: sqlite3.Error) -> bool:
    """Whether this says that the file is damaged, rather than locked or on a full disk."""
    return isinstance(error, DamagedFileError) or code_of(error) in DAMAGED


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code (without its extension, which says which read or write); 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def connected(path: Path) -> sqlite3.Connection:
    """A connection in autocommit, for any thread."""
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _sound(path: Path, max_bytes: int) -> sqlite3.Connection:
    """The file at ``path``, made where it is missing. Raises ``sqlite3.DatabaseError`` where it is damaged."""
    connection = connected(made_private(path))
    try:
        for pragma in (f"page_size={PAGE_BYTES}", "journal_mode=WAL", "synchronous=NORMAL",
                       f"wal_autocheckpoint={WAL_PAGES_AT_MOST}", f"journal_size_limit={2 * WAL_PAGES * PAGE_BYTES}",
                       f"max_page_count={max_bytes // PAGE_BYTES}"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        [[found]] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise DamagedFileError(found)
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _anew(path: Path, max_bytes: int, why: str) -> sqlite3.Connection:
    """A new file, with what can be read of the damaged one, which stays beside it."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    connection = _sound(path, max_bytes)
    _pad(aside)
    with closing(connected(aside)) as damaged:
        count = taken_over(damaged, connection)
    logger.error("the spool %s was damaged (%s): it was set aside as %s; %d entries that could be read of it were taken over",
                 path, why, aside.name, count)
    return connection


def _pad(path: Path) -> None:
    """Bring a file that was cut short to the length in its header (pages, at byte 28): else SQLite reads none of it."""
    with path.open("rb") as file:
        pages = int.from_bytes(file.read(100)[28:32], "big")
    length = pages * PAGE_BYTES
    if path.stat().st_size < length <= 2 * path.stat().st_size + WAL_PAGES * PAGE_BYTES:
        os.truncate(path, length)
