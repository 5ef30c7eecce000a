"""The spool's file: one SQLite database in WAL mode that is open for as long as the service lives.

Here: statements, each kept on return even if this process is killed (a power cut may take the last seconds: ``checkpoint`` is
what waits for the disk); another file in place of one that is gone or damaged. Not here: what stands in it
(``storage.spool``, ``storage.jobs``), how it is opened (``storage.spool_opening``).
"""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from skin_platform.storage.spool_opening import PAGE_BYTES, WAL_PAGES, code_of, connected, is_damage, opened, taken_over

logger = logging.getLogger(__name__)
TAKEN = {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}  # a number: of this very nanosecond
LOOK_SECONDS = 1.0  # a look takes as long as a quarter of an addition
SPARE_BYTES = 16 * PAGE_BYTES  # a row takes a page or a few


class SpoolError(RuntimeError):
    """The spool cannot be written or read; the message says why."""


class SpoolFullError(SpoolError):
    """The spool is at its bound: the database has been away for too long."""


class SpoolFile:
    """The open file at ``path``; safe for several threads, and for several processes that have it open at once."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._lock = threading.RLock()
        self._connection, self._inode = self._open()
        self._looked_at = time.monotonic()

    def do(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that a statement gives; what it changes is kept on return.

        Raises ``SpoolError``; ``sqlite3.IntegrityError`` where the statement contradicts the tables.
        """
        with self._lock:
            try:
                self._look()
                try:
                    return self._connection.execute(statement, values).fetchall()
                except sqlite3.DatabaseError as error:
                    if self._connection.in_transaction or not is_damage(error):
                        raise
                    self._reopen(str(error))
                    return self._connection.execute(statement, values).fetchall()
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise self._told(error) from error

    def insert(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """As ``do``, with the time in nanoseconds as the first value: a number that no other row has."""
        later = 0
        while True:
            try:
                return self.do(statement, (time.time_ns() + later, *values))
            except sqlite3.IntegrityError as error:
                if error.sqlite_errorcode not in TAKEN:
                    raise
                later += 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Statements of which all hold or none, against those of other processes too. Raises ``SpoolError``."""
        with self._lock:
            self.do("BEGIN IMMEDIATE")
            try:
                yield
                self.do("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # where SQLite has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    @property
    def bytes_used(self) -> int:
        """Bytes of the file that hold something."""
        [[pages, free]] = self.do("SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count")
        return int(pages - free) * PAGE_BYTES

    def checkpoint(self, *, at_once: bool = False) -> None:
        """Move what stands in SQLite's log to the file and wait for the disk: where the log is long, or ``at_once``.

        On a connection of its own: nobody who adds a row waits meanwhile. Raises ``SpoolError``.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        if not self.path.exists() or not log.exists():  # to connect would make a file
            return
        try:
            if at_once or log.stat().st_size > WAL_PAGES * PAGE_BYTES:
                with closing(connected(self.path)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"the spool {self.path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _look(self) -> None:
        """Now and then, whether this is still the file at ``path``; what was added to another meanwhile is taken over."""
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS and not self._connection.in_transaction:
            self._looked_at = now
            if _inode(self.path) != self._inode:
                self._reopen("it was moved or deleted")

    def _open(self) -> tuple[sqlite3.Connection, int]:
        try:
            return opened(self.path, self.max_bytes), _inode(self.path)
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"the spool {self.path} cannot be opened: {error}") from error

    def _reopen(self, why: str) -> None:
        """Go on in a sound file at ``path``, with what can be read of the one that was open."""
        former = self._connection
        self._connection, self._inode = self._open()
        count = taken_over(former, self._connection)
        logger.error("the spool %s was opened anew (%s); %d entries were taken over", self.path, why, count)
        with suppress(sqlite3.Error):
            former.close()

    def _told(self, error: sqlite3.Error) -> SpoolError:
        if code_of(error) == sqlite3.SQLITE_FULL and shutil.disk_usage(self.path.parent).free > SPARE_BYTES:
            return SpoolFullError(f"the spool {self.path} is full ({self.max_bytes} bytes): does the online store take rows?")
        if code_of(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return SpoolError(f"no space left on the disk of {self.path}, or it cannot be written: {error}")
        return SpoolError(f"the spool {self.path}: {error}")


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
