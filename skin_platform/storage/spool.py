"""The spool: what was answered and is not yet in the online database, in a file of this machine (SQLite in WAL mode).

Here: rows, durable on return against the death of the process, bounded; safe for several threads and processes.
Not here: what moves them on (``storage.draining``), asynchronous predictions in the same file (``storage.jobs``).
"""

import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skin_platform.storage.private_files import made_private

ID_OF = {"prediction": "prediction_id", "shadow": "prediction_id", "feedback": "feedback_id"}
SCHEMA = """
CREATE TABLE IF NOT EXISTS rows(number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
                                row TEXT NOT NULL, added_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS rows_by_id ON rows(id);
CREATE TABLE IF NOT EXISTS refused(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL,
                                   added_at REAL NOT NULL, reason TEXT NOT NULL);
"""


class SpoolError(RuntimeError):
    """Nothing can be written to the spool; the message says why."""


class SpoolFullError(SpoolError):
    """The spool is at its bound: the database has been away for too long."""


@dataclass(frozen=True)
class Spooled:
    """A row that waits: its number in order of arrival, and what ``add`` was given."""

    number: int
    kind: str
    row: dict[str, Any]


class Spool:
    """The spool in the file at ``path``, which holds at most ``max_bytes``."""

    def __init__(self, path: Path, max_bytes: int = 1_000_000_000) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(made_private(path), timeout=5, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)

    def add(self, kind: str, row: Mapping[str, Any]) -> None:
        """Keep a row; on return it outlives this process. Raises ``SpoolFullError``; ``SpoolError`` where the disk is full."""
        text = json.dumps(row, default=_as_text)
        self._do("INSERT INTO rows(kind, id, row, added_at) VALUES (?, ?, ?, ?)", (kind, row[ID_OF[kind]], text, time.time()))

    def oldest(self, count: int) -> list[Spooled]:
        """The first ``count`` rows, in order of arrival."""
        found = self._do("SELECT number, kind, row FROM rows ORDER BY number LIMIT ?", (count,))
        return [Spooled(number, kind, json.loads(row)) for number, kind, row in found]

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget rows that are stored elsewhere now."""
        self._do(f"DELETE FROM rows WHERE number IN ({','.join(map(str, numbers))})")

    def find(self, kind: str, row_id: str) -> dict[str, Any] | None:
        """The row of this id that waits, or None."""
        found = self._do("SELECT row FROM rows WHERE id = ? AND kind = ?", (row_id, kind))
        return json.loads(found[0][0]) if found else None

    @property
    def depth(self) -> int:
        """How many rows wait."""
        return int(self._do("SELECT count(*) FROM rows")[0][0])

    @property
    def bytes(self) -> int:
        """How many bytes are in use."""
        return int(self._do("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, "
                            "pragma_page_size")[0][0])

    @property
    def set_aside(self) -> int:
        """How many rows the database refused for ever."""
        return int(self._do("SELECT count(*) FROM refused")[0][0])

    def oldest_age(self) -> float:
        """Seconds since the oldest row that waits was added; 0.0 where none waits."""
        [[added]] = self._do("SELECT min(added_at) FROM rows")
        return max(0.0, time.time() - added) if added is not None else 0.0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _do(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {error}") from error


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept in the spool")
