"""Draining: what takes rows from the spool to the online database, in a thread of its own.

Here: each row exactly once, whatever becomes of the database meanwhile; a row that the database refuses for ever does not stand
in the way of the others. Not here: the spool (``storage.spool``), the database (``online.store``).
"""

import logging
import threading
import time
from collections import Counter

from skin_platform.storage.online.reaching import OnlineStoreError, RefusedRowsError
from skin_platform.storage.online.rows import read_row
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool, Spooled
from skin_platform.storage.spool_file import SpoolError

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0
ROWS = 100  # in one transaction: what it takes to remove them is what an answer may have to wait for
TRIES = 5  # of a row that fails with an error that might pass, while others go through
TOLD_EVERY_SECONDS = 60.0


class Drain:
    """Moves rows until it is closed; ``fault`` says why the database takes none at present, if so.

    Several processes may drain one spool: a row is inserted where its primary key is not there, then it is removed, so that
    whoever dies between the two, or does the same at once, changes nothing.
    """

    def __init__(self, spool: Spool, store: OnlineStore, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._spool, self._store, self._pause = spool, store, pause_seconds
        self.fault: str | None = None
        self._failures: Counter[int] = Counter()  # by row
        self._told_at = -TOLD_EVERY_SECONDS
        self._stop = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self, timeout: float = 10.0) -> bool:
        """Move what waits, as far as that is possible within ``timeout`` seconds; whether nothing waits any more.

        What still waits stays in the spool, for the next process.
        """
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        self._thread.join(timeout)
        return self._spool.depth == 0

    def _run(self) -> None:
        pause = self._pause
        while True:
            is_last = self._stop.is_set()
            try:
                try:
                    self._pass()
                finally:  # what must wait longer is to outlive a power cut, too
                    self._spool.file.checkpoint(at_once=self.fault is not None)
                self._recovered()
                pause = self._pause
            except (OnlineStoreError, SpoolError) as error:
                self._failed(error)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # a fault of ours: the rows are safe in the spool, and this thread must go on
                logger.exception("rows cannot be moved to the online store")
                self.fault, pause = repr(error), LONGEST_PAUSE_SECONDS
            if is_last:
                return
            self._stop.wait(pause)

    def _pass(self) -> None:
        """Move all that can be moved now."""
        if self.fault is not None or not self._store.is_ready:  # after a fault it may be another database, or an empty one
            self._store.upgrade()
        while time.monotonic() < self._deadline and (rows := self._spool.oldest(ROWS)):
            if not self._moved(rows):
                break

    def _moved(self, rows: list[Spooled]) -> bool:
        """Move rows of which the database takes each or refuses it for ever; whether that was all of them."""
        try:
            for kind in dict.fromkeys(item.kind for item in rows):
                self._store.add(kind, [read_row(kind, item.row) for item in rows if item.kind == kind])
        except RefusedRowsError:
            return self._moved_singly(rows)
        except OnlineStoreError:
            self._store.revision()  # raises where the database cannot be asked at all
            return self._moved_singly(rows)
        self._spool.remove([item.number for item in rows])
        return True

    def _moved_singly(self, rows: list[Spooled]) -> bool:
        """As ``_moved``, each row for itself. Raises where every one fails: that is the database's fault, and no row's."""
        gone: list[int] = []
        doubtful: list[tuple[Spooled, OnlineStoreError]] = []
        for item in rows:
            try:
                self._store.add(item.kind, [read_row(item.kind, item.row)])
                gone.append(item.number)
            except RefusedRowsError as refusal:
                self._put_aside(item, str(refusal))
            except OnlineStoreError as error:
                doubtful.append((item, error))
            if time.monotonic() > self._deadline:
                break
        self._spool.remove(gone)
        if doubtful and len(doubtful) == len(rows):
            raise doubtful[-1][1]
        for item, fault in doubtful:
            self._failures[item.number] += 1
            if self._failures[item.number] >= TRIES:
                self._put_aside(item, str(fault))
        return not doubtful

    def _put_aside(self, item: Spooled, reason: str) -> None:
        self._spool.put_aside(item.number, reason)
        self._failures.pop(item.number, None)
        logger.error("a %s was set aside, for the online store refuses it: %s. `skin database status` shows it, `skin database "
                     "retry` tries again", item.kind, reason)

    def _recovered(self) -> None:
        if self.fault is not None:
            logger.info("the online store takes rows again")
        self.fault, self._told_at = None, -TOLD_EVERY_SECONDS

    def _failed(self, error: Exception) -> None:
        """Note why, and say it in the log: at once, and now and then while it lasts."""
        self.fault = str(error)
        if time.monotonic() - self._told_at >= TOLD_EVERY_SECONDS:
            self._told_at = time.monotonic()
            logger.warning("rows wait in %s, none is lost: %s", self._spool.file.path, error)
