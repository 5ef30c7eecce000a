"""The spool: what was answered and is not yet in the online database, in a file of this machine.

Here: rows, kept on return even if the process is killed; bounded; those that the database refuses for ever, with the reason.
Not here: the file (``storage.spool_file``), what moves rows on (``storage.draining``), asynchronous predictions in the same
file (``storage.jobs``).
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skin_platform.storage.spool_file import SpoolError, SpoolFile
from skin_platform.storage.spool_opening import PAGE_BYTES

logger = logging.getLogger(__name__)
TRY_SECONDS = 5.0  # after a row that could not be kept, and after each trial since
TRIAL = "x" * 2 * PAGE_BYTES  # as large as a row may be: it needs pages of its own
ID_OF = {"prediction": "prediction_id", "shadow": "prediction_id", "feedback": "feedback_id"}


@dataclass(frozen=True)
class Spooled:
    """A row that waits: its number (when it was added, in nanoseconds), and what ``add`` was given, times as ISO 8601 texts."""

    number: int
    kind: str
    row: dict[str, Any]


class Spool:
    """The spool in the file at ``path``, which holds at most ``max_bytes`` (with its jobs, without SQLite's log)."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.file = SpoolFile(path, max_bytes)
        self._fails, self._tried_at = False, 0.0

    def add(self, kind: str, row: Mapping[str, Any]) -> None:
        """Keep a row of a kind ("prediction", "shadow", "feedback"). Raises ``SpoolFullError``; ``SpoolError`` (disk full)."""
        try:
            self.file.insert("INSERT INTO rows(number, kind, id, row) VALUES (?, ?, ?, ?)",
                             (kind, row[ID_OF[kind]], as_text(row)))
        except SpoolError as error:
            self._note(error)
            raise
        self._note(None)

    @property
    def fails(self) -> bool:
        """Whether the last row could not be kept."""
        return self._fails

    def takes_again(self) -> bool:
        """Whether a row can be kept, also where none comes: after a failure it is tried, every ``TRY_SECONDS`` at most."""
        if self._fails and time.monotonic() - self._tried_at >= TRY_SECONDS:
            try:
                self.try_out()
                self._note(None)
            except SpoolError as error:
                self._note(error)
        return not self._fails

    def try_out(self) -> None:
        """Keep a row and forget it, of which nobody sees anything. Raises as ``add`` does."""
        with self.file.transaction():
            [[number]] = self.file.insert("INSERT INTO rows(number, kind, id, row) VALUES (?, 'trial', 'trial', ?) "
                                          "RETURNING number", (TRIAL,))
            self.remove([number])

    def _note(self, error: SpoolError | None) -> None:
        if error is not None:
            self._tried_at = time.monotonic()
        if self._fails != (error is not None):
            self._fails = error is not None
            logger.log(logging.ERROR if error else logging.INFO, "rows %s", f"cannot be kept: {error}" if error else
                       "are kept again")

    def oldest(self, count: int) -> list[Spooled]:
        """The first ``count`` rows, in order of arrival."""
        found = self.file.do("SELECT number, kind, row FROM rows ORDER BY number LIMIT ?", (count,))
        return [Spooled(number, kind, json.loads(row)) for number, kind, row in found]

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget rows that are in the database now."""
        self.file.do(f"DELETE FROM rows WHERE number IN ({_listed(numbers)})")

    def put_aside(self, number: int, reason: str) -> None:
        """Take a row that the database refuses for ever out of the way of the others; it is kept with the reason."""
        with self.file.transaction():
            self.file.do("INSERT INTO refused(number, kind, id, row, reason) SELECT number, kind, id, row, ? FROM rows "
                         "WHERE number = ?", (reason, number))
            self.file.do("DELETE FROM rows WHERE number = ?", (number,))

    def refused(self) -> list[tuple[Spooled, str]]:
        """The rows that were set aside, each with the reason."""
        found = self.file.do("SELECT number, kind, row, reason FROM refused ORDER BY number")
        return [(Spooled(number, kind, json.loads(row)), reason) for number, kind, row, reason in found]

    def retry(self) -> int:
        """Let the rows that were set aside wait for the database again; returns how many."""
        with self.file.transaction():
            self.file.do("INSERT INTO rows(number, kind, id, row) SELECT number, kind, id, row FROM refused")
            return len(self.file.do("DELETE FROM refused RETURNING number"))

    def find(self, kind: str, row_id: str) -> dict[str, Any] | None:
        """The row of this id that waits, or was set aside; else None."""
        found = self.file.do("SELECT row FROM rows WHERE id = ? AND kind = ? UNION ALL SELECT row FROM refused "
                             "WHERE id = ? AND kind = ?", (row_id, kind, row_id, kind))
        return dict(json.loads(found[0][0])) if found else None

    @property
    def depth(self) -> int:
        """How many rows wait."""
        return int(self.file.do("SELECT count(*) FROM rows")[0][0])

    @property
    def bytes(self) -> int:
        """How many bytes are in use."""
        return self.file.bytes_used

    @property
    def set_aside(self) -> int:
        """How many rows were set aside."""
        return int(self.file.do("SELECT count(*) FROM refused")[0][0])

    def oldest_age(self) -> float:
        """Seconds since the oldest row that waits was added, by this machine's clock; 0.0 where none waits."""
        [[number]] = self.file.do("SELECT min(number) FROM rows")
        return 0.0 if number is None else max(0.0, (time.time_ns() - number) / 1e9)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept in the spool")


as_text = json.JSONEncoder(default=_plain, separators=(",", ":"), check_circular=False).encode


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(str(int(number)) for number in numbers)
