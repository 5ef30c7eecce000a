"""Migrating: a database is brought to the revision that this code knows, by one process at a time.

Here: which revision a database has, the upgrade under a lock. Not here: the revisions (``online.migrations``).
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from skin_platform.storage.online.tables import PREDICTIONS, REVISIONS

logger = logging.getLogger(__name__)
FOLDER = Path(__file__).parent / "migrations"
ALEMBIC = threading.Lock()  # its ``context`` and ``op`` are the process's own, whichever thread works with them
LOCK = 0x5C1_0BE5  # PostgreSQL's advisory locks go by number; this one is the upgrade's
State = Literal["empty", "current", "older", "newer"]


@dataclass(frozen=True)
class Revision:
    """The revision that a database has (None: none yet), the one that this code wants, and how the two stand."""

    found: str | None
    wanted: str
    state: State


def newest() -> str:
    """The revision that this code wants."""
    return str(_scripts().get_current_head())


def revision_of(connection: sa.Connection) -> Revision:
    """How the database stands."""
    wanted = newest()
    found = MigrationContext.configure(connection, opts={"version_table": REVISIONS}).get_current_revision()
    if found == wanted:
        return Revision(found, wanted, "current")
    if found is None:
        return Revision(None, wanted, "older" if sa.inspect(connection).has_table(PREDICTIONS.name) else "empty")
    known = {script.revision for script in _scripts().walk_revisions()}
    return Revision(found, wanted, "older" if found in known else "newer")


def upgrade(engine: sa.Engine) -> Revision:
    """Bring the database to the newest revision, where it is not newer than that; returns how it stood before."""
    with engine.connect() as connection:
        before = revision_of(connection)
    if before.state not in ("current", "newer"):
        with ALEMBIC, _locked(engine) as connection:
            before = revision_of(connection)  # another process may have been at it while we waited
            if before.state not in ("current", "newer"):
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                logger.info("the online store was brought from revision %s to %s", before.found or "none", before.wanted)
    return before


@contextmanager
def _locked(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other upgrade runs beside; all of it holds, or none."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection
        return
    # the driver begins a transaction late, and none at all before a table is made
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


@cache
def _scripts() -> ScriptDirectory:
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)  # two lines of nothing at every look
    return ScriptDirectory.from_config(_config())
