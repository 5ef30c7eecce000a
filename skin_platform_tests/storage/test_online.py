"""Promises of the online store: a prediction comes back as it was made, and none is lost while the database is away."""

import logging
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from skin_platform.storage.online import OnlineStore, PredictionWriter

AT = datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)


def _row(number, **given):
    return {"prediction_id": f"p{number}", "predicted_at": AT + timedelta(seconds=number), "image_sha256": "ab" * 32,
            "label": "Mélanome à voir", "probabilities": {"Mélanome à voir": 0.75, "nevus": 0.25}, "abstained": False,
            "bundle": "skin:1", "model_version": "1", "checkpoint_sha256": "cd" * 32, "dataset_digest": "ef" * 32} | given


@pytest.fixture
def store(tmp_path):
    """A database whose folder is not there yet."""
    store = OnlineStore(f"sqlite:///{tmp_path / 'later' / 'online.db'}")
    yield store
    store.dispose()


@pytest.fixture
def ready(store, tmp_path):
    """The same database, with its tables."""
    (tmp_path / "later").mkdir()
    store.create_tables()
    return store


def _until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def _count(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(*) FROM predictions").fetchone()[0]


def test_a_prediction_comes_back_as_it_was_made(ready):
    ready.add_predictions([_row(1), _row(2, abstained=True)])
    found = ready.prediction("p1")
    assert found | {"predicted_at": None} == _row(1) | {"predicted_at": None}
    assert found["predicted_at"].replace(tzinfo=UTC) == _row(1)["predicted_at"]
    assert ready.prediction("p2")["abstained"] is True
    assert ready.prediction("never") is None


def test_adding_a_prediction_again_changes_nothing(ready, tmp_path):
    ready.add_predictions([_row(1)])
    ready.add_predictions([_row(1), _row(2)])
    ready.add_predictions([])
    assert _count(tmp_path / "later" / "online.db") == 2


def test_creating_the_tables_again_keeps_what_is_in_them(ready):
    ready.add_predictions([_row(1)])
    ready.create_tables()
    assert ready.prediction("p1")


def test_predictions_are_written_in_the_background(ready):
    writer = PredictionWriter(ready)
    writer.add(_row(1))
    _until(lambda: ready.prediction("p1"))
    writer.close()
    assert writer.pending == 0


def test_a_database_that_is_away_delays_predictions_and_loses_none(store, tmp_path, caplog):
    writer = PredictionWriter(store, retry_seconds=0.02)
    for number in range(150):
        writer.add(_row(number))
    _until(lambda: "does not take predictions" in caplog.text)
    (tmp_path / "later").mkdir()
    for number in range(150, 250):
        writer.add(_row(number))
    _until(lambda: (tmp_path / "later" / "online.db").exists())
    writer.close()
    assert _count(tmp_path / "later" / "online.db") == 250
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_closing_writes_what_waits(ready, tmp_path):
    writer = PredictionWriter(ready)
    for number in range(300):
        writer.add(_row(number))
    writer.close()
    assert _count(tmp_path / "later" / "online.db") == 300


def test_closing_without_a_database_ends_and_logs_every_prediction_that_is_lost(store, caplog):
    writer = PredictionWriter(store, retry_seconds=0.02)
    writer.add(_row(7))
    _until(lambda: "does not take predictions" in caplog.text)
    started = time.monotonic()
    writer.close(timeout=3)
    assert time.monotonic() - started < 3
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert any("1 predictions could not be stored before shutdown" in message and "p7" in message for message in errors)


def test_adding_never_waits_for_the_database(store):
    writer = PredictionWriter(store, retry_seconds=0.02)
    started = time.monotonic()
    for number in range(500):
        writer.add(_row(number))
    assert time.monotonic() - started < 1
    writer.close(timeout=3)
