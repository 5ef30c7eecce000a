"""Reaching the online database: its URL, its limits of time, and what its errors mean.

Here: whose fault an error is, the row's or the database's. Not here: what is asked (``online.store``).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from skin_platform.storage.private_files import made_private

LOCK_SECONDS = 30  # SQLite: another process holds the lock while it stores some rows, which takes a moment
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
POSTGRESQL = {
    "connect_timeout": CONNECT_SECONDS,
    "options": f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
    # a peer that fell silent (a switch, a firewall) is given up after this long, not after two hours
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000,
}


class OnlineStoreError(RuntimeError):
    """The online database cannot be reached, or does not do what it is asked; the message says why."""


class RefusedRowsError(ValueError):
    """The database is sound, and refuses these rows for ever; the message says why."""


def created(url: str) -> sa.Engine:
    """The engine for a URL; nothing is opened. Raises ``OnlineStoreError`` for what is no URL of SQLite or PostgreSQL."""
    try:
        made = sa.make_url(url)
    except ArgumentError:
        raise OnlineStoreError("DATABASE_URL is no URL: it looks like postgresql://user:password@host/database") from None
    if made.get_backend_name() in ("postgres", "postgresql"):  # by the driver that is installed, whichever is named
        made = made.set(drivername="postgresql+psycopg")
    kind = made.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise OnlineStoreError(f"DATABASE_URL names a database of the kind {kind!r}: sqlite or postgresql it has to be")
    if kind == "sqlite" and made.database not in (None, "", ":memory:") and not Path(str(made.database)).is_absolute():
        raise OnlineStoreError(f"DATABASE_URL names the SQLite file {made.database}, which depends on the folder that a "
                               f"command is given in: write all of its path, as in sqlite:///{Path(str(made.database)).absolute()}")
    connect_args = POSTGRESQL if kind == "postgresql" else {"timeout": LOCK_SECONDS}
    # a SQLite file is opened for each use: one that was deleted or replaced would take rows until the last handle is closed
    pool = sa.NullPool if kind == "sqlite" and made.database not in (None, "", ":memory:") else None
    # values of rows stand in no error: errors go to the log
    return sa.create_engine(made, connect_args=dict(connect_args), poolclass=pool, pool_pre_ping=True, hide_parameters=True)


def made_place(engine: sa.Engine) -> None:
    """The file of a SQLite database, which is nobody else's to read; nothing for PostgreSQL.

    Raises ``OnlineStoreError`` where its folder is not there: a path that was mistyped makes none.
    """
    check_place(engine)
    place = _place(engine)
    if place is not None:
        with suppress(OSError):  # what is wrong with it SQLite tells
            made_private(place)


def check_place(engine: sa.Engine) -> None:
    """Raises ``OnlineStoreError`` where this is a SQLite database whose folder is not there."""
    place = _place(engine)
    if place is not None and not place.parent.is_dir():
        raise OnlineStoreError(f"the SQLite database {place} cannot be there, for there is no folder {place.parent}: mend the "
                               "path in DATABASE_URL, or make the folder")


def is_missing(engine: sa.Engine) -> bool:
    """Whether this is a SQLite database whose file is not there; to ask it would make one."""
    place = _place(engine)
    return place is not None and not place.exists()


def _place(engine: sa.Engine) -> Path | None:
    database = engine.url.database
    return Path(database) if engine.dialect.name == "sqlite" and database and database != ":memory:" else None


@contextmanager
def reaching(engine: sa.Engine) -> Iterator[None]:
    """Turns what SQLAlchemy and drivers raise into ``RefusedRowsError`` or ``OnlineStoreError``, in one line."""
    try:
        yield
    except (DataError, IntegrityError, OverflowError, UnicodeError) as error:
        raise RefusedRowsError(_line(error)) from error
    except DBAPIError as error:
        raise OnlineStoreError(f"the online store {engine.url.render_as_string(hide_password=True)}: {_line(error)}") from error
    except StatementError as error:  # a value that could not even be sent
        raise RefusedRowsError(_line(error)) from error
    except SQLAlchemyError as error:
        raise OnlineStoreError(f"the online store {engine.url.render_as_string(hide_password=True)}: {_line(error)}") from error


def _line(error: Exception) -> str:
    """What went wrong, without the values: PostgreSQL's details quote whole rows, which are not for the log."""
    original = getattr(error, "orig", None) or error
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    return primary or " ".join(str(original).split()) or type(original).__name__
