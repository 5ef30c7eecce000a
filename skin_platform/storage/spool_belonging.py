"""To whom the spool belongs: its rows wait for one database, and go to no other unless somebody says so.

    spool.db          its table ``belongs`` names the database
    spool.db.held     locked (shared) by each service that adds to the spool or empties it

Here: the name of a database, a service's hold on the spool, moving it to another database. Not here: the rows
(``storage.spool``), what takes them to the database (``storage.draining``).
"""

import fcntl
import logging
import os
from pathlib import Path

import sqlalchemy as sa

from skin_platform.storage.spool_file import SpoolError, SpoolFile

logger = logging.getLogger(__name__)
THIS_MACHINE = ("", "localhost", "127.0.0.1", "::1")
WAITING = ("SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM refused) + "
           "(SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running'))")


class ForeignSpoolError(SpoolError):
    """The spool belongs to another database; the message says to which one, and what is to be done."""


def database_name(url: sa.URL, home: Path) -> str:
    """What tells a database from others, without user and password; a SQLite file in ``home`` goes with it where it moves."""
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or ":memory:").resolve()
        return f"sqlite:///{path.relative_to(home) if path.is_relative_to(home) else path}"
    host = str(url.host or url.query.get("host") or "").lower()
    host = "localhost" if host in THIS_MACHINE else host
    return f"postgresql://{host}:{url.port or 5432}/{url.database or url.username or ''}"


def belongs_to(file: SpoolFile) -> str | None:
    """The database that the spool belongs to; None where no service has opened it yet."""
    found = file.do("SELECT database FROM belongs")
    return str(found[0][0]) if found else None


class Hold:
    """A service's hold on the spool, for ``database``; ends with ``close``, or with the process.

    An empty spool that nobody holds is moved to ``database``. Raises ``ForeignSpoolError`` where another database's rows are in
    it, or a service of another database holds it.
    """

    def __init__(self, file: SpoolFile, database: str) -> None:
        self._handle = _held(file.path)
        try:
            with file.transaction():  # one service at a time
                former, waiting = belongs_to(file), int(file.do(WAITING)[0][0])
                if former not in (None, database):
                    _demand_unheld(self._handle, file.path, str(former), database)
                    if waiting:
                        raise ForeignSpoolError(
                            f"{waiting} row(s) in the spool {file.path} belong to the database {former}, and DATABASE_URL "
                            f"names {database}: start the service with the former DATABASE_URL until `skin database status` "
                            "shows that none waits, or give them to the new one with `skin database adopt`")
                if former != database:
                    _mark(file, former, database)
                fcntl.flock(self._handle, fcntl.LOCK_SH)  # whoever has it alone is done in a moment
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go."""
        os.close(self._handle)


def adopt(file: SpoolFile, database: str) -> str | None:
    """Let the spool, with all that waits in it, belong to ``database``; returns to which it did.

    Raises ``ForeignSpoolError`` where a service of another one holds it.
    """
    handle = _held(file.path)
    try:
        with file.transaction():
            former = belongs_to(file)
            if former != database:
                _demand_unheld(handle, file.path, str(former), database)
                _mark(file, former, database)
            return former
    finally:
        os.close(handle)


def _held(path: Path) -> int:
    return os.open(path.with_name(f"{path.name}.held"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _demand_unheld(handle: int, path: Path, former: str, database: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ForeignSpoolError(
            f"a service that runs keeps its rows for the database {former} in the spool {path}, and DATABASE_URL names "
            f"{database}: stop that service first, or give this one a SKIN_HOME of its own") from None


def _mark(file: SpoolFile, former: str | None, database: str) -> None:
    file.do("INSERT OR REPLACE INTO belongs(number, database) VALUES (1, ?)", (database,))
    if former is not None:
        logger.warning("the spool %s belonged to the database %s, and belongs to %s from now on", file.path, former, database)
