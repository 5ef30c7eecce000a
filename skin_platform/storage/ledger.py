"""The ledger: which files were claimed into which batch, and which batches are through (SQLite through SQLAlchemy).

Here: the rule that of two processes that claim at the same moment one wins. Not here: the tables (``storage.ledger_tables``),
what is new (``storage.landing``).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.storage.ledger_tables import (
    BATCHES,
    FILES,
    WAITING,
    as_bytes,
    as_text,
    bounds_below,
    driver_of,
    opened,
    writing,
)

Stamp = tuple[int, int, int, str]
NEVER = -1  # a time that no file bears
ASKED_AT_ONCE = 10_000  # names in one statement; SQLite takes 32,766 variables


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
        self._engine = opened(path)

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
        with driver_of(self._engine) as driver:
            return {path.decode("utf-8", "surrogateescape"): (size, modified, changed, etag)
                    for path, size, modified, changed, etag in driver.execute(query, bounds_below(root))}

    def sha256s(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of those of these claimed files that were read."""
        return {path: found[0] for path, found in self._of_files("sha256", paths) if found[0]}

    def batches_of(self, paths: Collection[str]) -> dict[str, str]:
        """The batch that each of these files was claimed into last."""
        return {path: found[0] for path, found in self._of_files("batch_id", paths)}

    def waited(self, root: str) -> dict[str, tuple[str, int]]:
        """Files below ``root`` that bear a time to come, by path: their stamp, and since when (ns) they were seen with it."""
        with driver_of(self._engine) as driver:
            query = "SELECT path, stamp, first_seen_ns FROM waiting_files WHERE path >= ? AND path < ?"
            return {as_text(path): (stamp, first) for path, stamp, first in driver.execute(query, bounds_below(root))}

    def wait(self, root: str, waiting: Mapping[str, tuple[str, int]]) -> None:
        """Remember these files that bear a time to come, in place of the former ones."""
        low, high = bounds_below(root)
        with self._engine.begin() as connection:
            connection.execute(WAITING.delete().where(WAITING.c.path >= low, WAITING.c.path < high))
            if waiting:
                connection.execute(WAITING.insert(), [{"path": as_bytes(path), "stamp": stamp, "first_seen_ns": first}
                                                       for path, (stamp, first) in waiting.items()])

    def touch(self, files: Iterable[SeenFile]) -> None:
        """Note that these files were written again with the content that they had."""
        rows = [{"p": as_bytes(file.path), "size_bytes": file.size_bytes, "modified_ns": file.modified_ns,
                 "changed_ns": file.changed_ns, "etag": file.etag} for file in files]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(FILES.update().where(FILES.c.path == sa.bindparam("p")), rows)

    def batch_ids(self, first: str = "") -> set[str]:
        """The batch ids ever given that begin with ``first``, as it stands or with a number behind it."""
        column = BATCHES.c.batch_id
        chosen = (column == first) | ((column > f"{first}-") & (column < f"{first}.")) if first else sa.true()
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(column).where(chosen)).scalars())

    def open_batches(self) -> list[OpenBatch]:
        """The batches that were claimed and are not yet in the catalogue, first claimed first."""
        query = sa.select(BATCHES).where(BATCHES.c.landed_at.is_(None)).order_by(BATCHES.c.number)
        with self._engine.connect() as connection:
            return [OpenBatch(row.batch_id, row.digest, row.root, row.given_up_at is not None)
                    for row in connection.execute(query)]

    def record(self, delivery: Delivery, tables: Mapping[SeenFile, str | None], keep: Callable[[Delivery], None], mark: int
               ) -> int:
        """Remember a claim that was made at ``mark``, in one transaction that ``keep`` is called within; returns the new mark.

        ``tables`` are the delivery's, with their SHA-256. Raises ``ClaimedMeanwhileError`` where another process has claimed
        something since; nothing is recorded then.
        """
        rows = [{"path": as_bytes(file.path), "size_bytes": file.size_bytes, "modified_ns": file.modified_ns,
                 "changed_ns": file.changed_ns, "etag": file.etag, "sha256": tables.get(file), "batch_id": delivery.batch_id}
                for file in (*delivery.files, *tables)]
        with writing(self._engine) as connection:
            _check(connection, mark)
            connection.execute(BATCHES.insert().values(
                batch_id=delivery.batch_id, root=delivery.root, digest=delivery.digest, claimed_at=delivery.claimed_at))
            connection.execute(FILES.insert().prefix_with("OR REPLACE"), rows)
            keep(delivery)
            return _mark(connection)

    def note_contents(self, sha256s: Mapping[str, str]) -> None:
        """Remember the SHA-256 of claimed files, by path."""
        rows = [{"p": as_bytes(path), "s": sha256} for path, sha256 in sha256s.items()]
        if rows:
            update = FILES.update().where(FILES.c.path == sa.bindparam("p")).values(sha256=sa.bindparam("s"))
            with self._engine.begin() as connection:
                connection.execute(update, rows)

    def forget(self, paths: Collection[str]) -> None:
        """Take these claimed files for new wherever they are seen again, even with the content and times that they had.

        For files that were refused for what happened to them, not for what they hold.
        """
        rows = [{"p": as_bytes(path)} for path in paths]
        if rows:
            update = FILES.update().where(FILES.c.path == sa.bindparam("p")).values(sha256=None, changed_ns=NEVER)
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
            connection.execute(BATCHES.update().where(BATCHES.c.batch_id == batch_id).values({column: at.isoformat()}))

    def _of_files(self, column: str, paths: Collection[str]) -> Iterator[tuple[str, Sequence[Any]]]:
        wanted = sorted(map(as_bytes, paths))
        with driver_of(self._engine) as driver:
            for start in range(0, len(wanted), ASKED_AT_ONCE):
                part = wanted[start:start + ASKED_AT_ONCE]
                marks = ", ".join("?" * len(part))
                for path, *found in driver.execute(f"SELECT path, {column} FROM claimed_files WHERE path IN ({marks})", part):
                    yield as_text(path), found


def _mark(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(BATCHES.c.number), 0))).scalar_one())


def _check(connection: sa.Connection, mark: int) -> None:
    if _mark(connection) != mark:
        raise ClaimedMeanwhileError("another process claimed files at the same moment: try again")
