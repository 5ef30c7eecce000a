"""Draining: what takes rows from the spool to the online database, in a thread of its own.

Here: each row exactly once, whatever becomes of the database meanwhile. Not here: the spool (``storage.spool``).
"""

import logging
import threading
from datetime import datetime

import sqlalchemy as sa

from skin_platform.storage.online.store import TABLES, OnlineStore
from skin_platform.storage.online.tables import Moment
from skin_platform.storage.spool import Spool, Spooled

logger = logging.getLogger(__name__)


class Drain:
    """Moves rows while it lives; ``lag_s`` is the age of the oldest row that waits."""

    def __init__(self, spool: Spool, store: OnlineStore, pause_seconds: float = 0.25) -> None:
        self._spool, self._store, self._pause = spool, store, pause_seconds
        self.fault: str | None = None  # why the database takes nothing now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    @property
    def lag_s(self) -> float:
        """Seconds that the oldest row waits."""
        return self._spool.oldest_age()

    def close(self, timeout: float = 10.0) -> bool:
        """Move what waits, as far as that is possible within ``timeout`` seconds; whether the spool is empty."""
        self._stop.set()
        self._thread.join(timeout)
        return self._spool.depth == 0

    def _run(self) -> None:
        ready = False
        while True:
            last = self._stop.is_set()
            try:
                if not ready:
                    self._store.upgrade()
                    ready = True
                while rows := self._spool.oldest(500):
                    self._move(rows)
                self.fault = None
            except sa.exc.SQLAlchemyError as error:
                self.fault = str(error)
                logger.warning("the online store takes nothing: %s", error)
            if last:
                return
            self._stop.wait(self._pause)

    def _move(self, rows: list[Spooled]) -> None:
        for kind in TABLES:
            self._store.add(kind, [_typed(item) for item in rows if item.kind == kind])
        self._spool.remove([item.number for item in rows])


def _typed(item: Spooled) -> dict[str, object]:
    moments = {column.name for column in TABLES[item.kind].columns if isinstance(column.type, Moment)}
    return {name: datetime.fromisoformat(value) if name in moments and value else value for name, value in item.row.items()}
