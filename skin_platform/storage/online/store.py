"""The online store: predictions, shadow predictions, feedback and keys, at a SQLAlchemy URL.

Here: what is written and read. Not here: the columns (``online.tables``), how they came to be (``online.migrating``), how the
database is reached (``online.reaching``), what keeps it off the request's path (``storage.spool``, ``storage.draining``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from skin_platform.storage.online import migrating
from skin_platform.storage.online.reaching import OnlineStoreError, check_place, created, is_missing, made_place, reaching
from skin_platform.storage.online.tables import API_KEYS, FEEDBACK, PREDICTIONS, SHADOW_PREDICTIONS

TABLES = {"prediction": PREDICTIONS, "shadow": SHADOW_PREDICTIONS, "feedback": FEEDBACK}
Row = Mapping[str, Any]


class OnlineStore:
    """The database at a SQLAlchemy URL; nothing is opened before it is asked. Every method may raise ``OnlineStoreError``."""

    def __init__(self, url: str) -> None:
        self.engine = created(url)
        self.is_ready = False  # whether this code's tables were seen in it

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def is_missing(self) -> bool:
        """Whether this is a SQLite database whose file is not there: ``upgrade`` makes one."""
        return is_missing(self.engine)

    def check_place(self) -> None:
        """Raises ``OnlineStoreError`` where the folder of a SQLite database is not there."""
        check_place(self.engine)

    def revision(self) -> migrating.Revision:
        """Which revision the database has, and which one this code wants; nothing is changed."""
        if self.is_missing:
            return migrating.Revision(None, migrating.newest(), "empty")
        with reaching(self.engine), self.engine.connect() as connection:
            return migrating.revision_of(connection)

    def upgrade(self) -> migrating.Revision:
        """Bring the database to the newest revision; several processes may do so at once. Returns how it stood before."""
        with reaching(self.engine):
            made_place(self.engine)
            before = migrating.upgrade(self.engine)
        if before.state == "newer":
            raise OnlineStoreError(f"the online store {self.shown_url} is at revision {before.found}, and this version knows "
                                   f"them up to {before.wanted} only: run the version that upgraded it, or a newer one")
        self.is_ready = True
        return before

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        """Insert rows of a kind ("prediction", "shadow", "feedback") in one transaction; those that are there already stay.

        Feedback that is there already takes the time, the note and the key of the row where that was given later.
        Raises ``RefusedRowsError`` where one of them can never be inserted; then none is.
        """
        if self.is_missing:  # to insert would make a file that others can read
            raise OnlineStoreError(f"the online store {self.shown_url} is not there")
        if rows:
            with reaching(self.engine), self.engine.begin() as connection:
                connection.execute(_inserted(kind, self.engine.dialect.name), [dict(row) for row in rows])

    def prediction(self, prediction_id: str) -> dict[str, Any] | None:
        """The stored prediction, or None."""
        return next(iter(self._read(sa.select(PREDICTIONS).where(PREDICTIONS.c.prediction_id == prediction_id))), None)

    def predictions(self, last: int | None = None, image_sha256: str | None = None, *, only_kept: bool = False
                    ) -> list[dict[str, Any]]:
        """Predictions, newest first: at most ``last``; of one image; only those whose images are kept."""
        query = sa.select(PREDICTIONS).order_by(PREDICTIONS.c.predicted_at.desc(), PREDICTIONS.c.prediction_id).limit(last)
        if image_sha256 is not None:
            query = query.where(PREDICTIONS.c.image_sha256 == image_sha256)
        return self._read(query.where(PREDICTIONS.c.is_image_kept) if only_kept else query)

    def shadows(self, prediction_id: str) -> list[dict[str, Any]]:
        """What challengers answered to the same image, by version."""
        return self._read(sa.select(SHADOW_PREDICTIONS).where(SHADOW_PREDICTIONS.c.prediction_id == prediction_id)
                          .order_by(SHADOW_PREDICTIONS.c.model_version))

    def feedback(self, prediction_id: str) -> list[dict[str, Any]]:
        """What people said of a prediction, oldest first."""
        return self._read(sa.select(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id)
                          .order_by(FEEDBACK.c.given_at, FEEDBACK.c.feedback_id))

    def api_keys(self) -> list[dict[str, Any]]:
        """Every key that there is or was, oldest first."""
        return self._read(sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.name))

    def add_key(self, row: Row) -> None:
        """Keep a new key. Raises ``ValueError`` where one of its name is there or was."""
        with reaching(self.engine), self.engine.begin() as connection:
            taken = connection.execute(sa.select(API_KEYS.c.revoked_at).where(API_KEYS.c.name == row["name"])).all()
            if taken:
                state = "there is" if taken[0].revoked_at is None else "there was"
                raise ValueError(f"{state} a key {row['name']!r} already, and predictions carry its name: take another")
            connection.execute(API_KEYS.insert(), dict(row))

    def revoke_key(self, name: str) -> bool:
        """Let the key ``name`` open nothing from now on; whether it still did. Raises ``KeyError`` where there is none."""
        with reaching(self.engine), self.engine.begin() as connection:
            if not connection.execute(sa.select(API_KEYS.c.key_id).where(API_KEYS.c.name == name)).all():
                raise KeyError(f"there is no key {name!r}: `skin keys list` shows those that there are")
            return bool(connection.execute(API_KEYS.update().where(API_KEYS.c.name == name, API_KEYS.c.revoked_at.is_(None))
                                           .values(revoked_at=datetime.now(UTC))).rowcount)

    def dispose(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """The rows; none where the database is still empty, which stays so. One of before is upgraded first."""
        if not self.is_ready or self.is_missing:
            if self.revision().state == "empty":
                return []
            self.upgrade()
        try:
            with reaching(self.engine), self.engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except OnlineStoreError:
            self.is_ready = False  # it may be another database by the next time
            raise


def _inserted(kind: str, dialect: str) -> sa.Executable:
    """The statement that inserts a row of the kind."""
    insert = (insert_postgresql if dialect == "postgresql" else insert_sqlite)(TABLES[kind])
    if kind != "feedback":
        return insert.on_conflict_do_nothing()
    later = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[FEEDBACK.c.feedback_id], where=later.given_at > FEEDBACK.c.given_at,
        set_={"given_at": later.given_at, "key_name": later.key_name, "note": sa.func.coalesce(later.note, FEEDBACK.c.note)})
