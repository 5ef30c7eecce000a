"""The online store: what the service records while it answers (SQLAlchemy; SQLite by default, PostgreSQL elsewhere).

Here: the table of predictions and the writer that keeps it off the request's path.
Not here: the routes (``serving.routes``).
"""

import logging
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from skin_platform.storage.private_files import made_private

logger = logging.getLogger(__name__)
PENDING_MAX = 10_000  # predictions waiting for a slow database; about 10 MB

_metadata = sa.MetaData()
predictions = sa.Table(
    "predictions", _metadata,
    sa.Column("prediction_id", sa.String, primary_key=True),
    sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("image_sha256", sa.String, nullable=False),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("probabilities", sa.JSON, nullable=False),
    sa.Column("abstained", sa.Boolean, nullable=False),
    sa.Column("bundle", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("checkpoint_sha256", sa.String, nullable=False),
    sa.Column("dataset_digest", sa.String, nullable=False),
)


class OnlineStore:
    """The database at a SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        connect_args = {"timeout": 30} if url.startswith("sqlite") else {}
        self._engine = sa.create_engine(url, connect_args=connect_args, pool_pre_ping=True)

    def create_tables(self) -> None:
        """Create what is missing; two processes may do so at once. A SQLite file is nobody else's to read."""
        if self._engine.dialect.name == "sqlite" and self._engine.url.database not in (None, "", ":memory:"):
            with suppress(OSError):  # what is wrong with it SQLAlchemy tells below
                made_private(Path(str(self._engine.url.database)))
        with self._engine.begin() as connection:
            connection.execute(sa.schema.CreateTable(predictions, if_not_exists=True))

    def add_predictions(self, rows: list[dict[str, Any]]) -> None:
        """Insert ``rows`` in one transaction; a prediction id that is there already is replaced by itself."""
        with self._engine.begin() as connection:
            known = set(connection.execute(sa.select(predictions.c.prediction_id).where(
                predictions.c.prediction_id.in_([row["prediction_id"] for row in rows]))).scalars())
            fresh = [row for row in rows if row["prediction_id"] not in known]
            if fresh:
                connection.execute(predictions.insert(), fresh)

    def prediction(self, prediction_id: str) -> dict[str, Any] | None:
        """The stored prediction, or None."""
        if not sa.inspect(self._engine).has_table(predictions.name):
            return None
        query = sa.select(predictions).where(predictions.c.prediction_id == prediction_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
            return dict(row) if row else None

    def dispose(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


class PredictionWriter:
    """Writes predictions in the background, in groups; a database that is down delays them and fails no answer."""

    def __init__(self, store: OnlineStore, retry_seconds: float = 2.0) -> None:
        self._store, self._retry = store, retry_seconds
        self._pending: queue.Queue[dict[str, Any]] = queue.Queue(PENDING_MAX)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many predictions wait to be written."""
        return self._pending.qsize()

    def add(self, row: dict[str, Any]) -> None:
        """Hand over one prediction; returns at once. Beyond ``PENDING_MAX`` the prediction is logged instead."""
        try:
            self._pending.put_nowait(row)
        except queue.Full:
            logger.error("prediction not stored, %d are waiting for the database: %s", PENDING_MAX, row)

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, as far as that is possible within ``timeout`` seconds."""
        self._stop.set()
        self._thread.join(timeout)
        if not self._pending.empty():
            logger.error("%d predictions could not be stored before shutdown", self._pending.qsize())

    def _run(self) -> None:
        rows: list[dict[str, Any]] = []
        ready = False
        while not (self._stop.is_set() and self._pending.empty() and not rows):
            try:
                rows.append(self._pending.get(timeout=0.05 if rows or self._stop.is_set() else 0.5))
                if len(rows) < 100 and not self._pending.empty():
                    continue
            except queue.Empty:
                if not rows:
                    continue
            try:
                if not ready:
                    self._store.create_tables()
                    ready = True
                self._store.add_predictions(rows)
                rows = []
            except sa.exc.SQLAlchemyError as error:
                logger.warning("the online store does not take predictions, %d wait: %s", len(rows), error)
                if self._stop.wait(self._retry):
                    logger.error("%d predictions could not be stored before shutdown: %s", len(rows), rows)
                    break
