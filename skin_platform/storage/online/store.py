"""The online store: predictions, shadow predictions, feedback and keys, at a SQLAlchemy URL.

Here: what is written and read. Not here: the columns (``online.tables``), which revision a database has (``online.migrating``),
what keeps the database off the request's path (``storage.spool``, ``storage.draining``).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from skin_platform.storage.online.tables import API_KEYS, FEEDBACK, METADATA, PREDICTIONS, SHADOW_PREDICTIONS
from skin_platform.storage.private_files import made_private

TABLES = {"prediction": PREDICTIONS, "shadow": SHADOW_PREDICTIONS, "feedback": FEEDBACK}
Row = Mapping[str, Any]


class OnlineStore:
    """The database at a SQLAlchemy URL; nothing is opened before it is asked. Raises ``sqlalchemy.exc.SQLAlchemyError``."""

    def __init__(self, url: str) -> None:
        connect_args = {"timeout": 30} if url.startswith("sqlite") else {}
        self.engine = sa.create_engine(url, connect_args=connect_args, pool_pre_ping=True)

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def upgrade(self) -> None:
        """Bring the database to the newest revision; two processes may do so at once."""
        if self.engine.dialect.name == "sqlite" and self.engine.url.database not in (None, "", ":memory:"):
            with suppress(OSError):  # what is wrong with it SQLAlchemy tells below
                made_private(Path(str(self.engine.url.database)))
        with self.engine.begin() as connection:
            METADATA.create_all(connection)

    def add(self, kind: str, rows: Sequence[Row]) -> None:
        """Insert rows of a kind ("prediction", "shadow", "feedback") in one transaction; those that are there already stay."""
        insert: Any = insert_postgresql if self.engine.dialect.name == "postgresql" else insert_sqlite
        if rows:
            with self.engine.begin() as connection:
                connection.execute(insert(TABLES[kind]).on_conflict_do_nothing(), [dict(row) for row in rows])

    def prediction(self, prediction_id: str) -> dict[str, Any] | None:
        """The stored prediction, or None."""
        return self._one(sa.select(PREDICTIONS).where(PREDICTIONS.c.prediction_id == prediction_id))

    def predictions(self, last: int | None = None, image_sha256: str | None = None, *, only_kept: bool = False
                    ) -> list[dict[str, Any]]:
        """Predictions, newest first: at most ``last``, of one image, or only those whose images are kept."""
        query = sa.select(PREDICTIONS).order_by(PREDICTIONS.c.predicted_at.desc(), PREDICTIONS.c.prediction_id)
        if image_sha256 is not None:
            query = query.where(PREDICTIONS.c.image_sha256 == image_sha256)
        if only_kept:
            query = query.where(PREDICTIONS.c.is_image_kept)
        return self._all(query.limit(last) if last is not None else query)

    def shadows(self, prediction_id: str) -> list[dict[str, Any]]:
        """What challengers answered to the same image, by version."""
        return self._all(sa.select(SHADOW_PREDICTIONS).where(SHADOW_PREDICTIONS.c.prediction_id == prediction_id)
                         .order_by(SHADOW_PREDICTIONS.c.model_version))

    def feedback(self, prediction_id: str) -> list[dict[str, Any]]:
        """What people said of a prediction, oldest first."""
        return self._all(sa.select(FEEDBACK).where(FEEDBACK.c.prediction_id == prediction_id)
                         .order_by(FEEDBACK.c.given_at, FEEDBACK.c.feedback_id))

    def keys(self) -> list[dict[str, Any]]:
        """Every key that there is or was, oldest first."""
        return self._all(sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.name))

    def dispose(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _all(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        if not sa.inspect(self.engine).has_table(PREDICTIONS.name):
            return []
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _one(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        found = self._all(query)
        return found[0] if found else None
