"""Promises of the online store, on SQLite and on PostgreSQL: what was recorded comes back as it was made."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from skin_platform.storage.keys import issued
from skin_platform.storage.online.reaching import OnlineStoreError, RefusedRowsError
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.online.tables import METADATA
from skin_platform_tests.storage.recorded import AT, feedback, prediction, shadow


def count(store: OnlineStore, table: str) -> int:
    with store.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(METADATA.tables[table])).scalar_one()


@pytest.fixture
def ready(online):
    """The store with its tables."""
    online.upgrade()
    return online


def test_rows_come_back_as_they_were_made_and_a_second_time_changes_nothing(ready):
    refused = prediction(2, outcome="refused", code="empty", image_sha256=None, label=None, probabilities=None, is_ood=None,
                         prediction_set=None, abstained=None, ood_score=None, ood_p_value=None)
    for _ in range(2):
        ready.add("prediction", [prediction(1), refused])
        ready.add("shadow", [shadow(1), shadow(1, model_version="3")])
        ready.add("feedback", [feedback(1)])
        ready.add("feedback", [])
    assert ready.prediction("p1") == prediction(1)
    assert ready.prediction("p2") == refused
    assert ready.prediction("never") is None
    assert ready.shadows("p1") == [shadow(1), shadow(1, model_version="3")]
    assert ready.feedback("p1") == [feedback(1)]
    assert [count(ready, name) for name in ("predictions", "shadow_predictions", "feedback")] == [2, 2, 1]


def test_times_are_utc_and_aware_whatever_zone_they_came_in(ready):
    ready.add("prediction", [prediction(1, predicted_at=AT.astimezone(timezone(timedelta(hours=-11))))])
    found = ready.prediction("p1")["predicted_at"]
    assert (found, found.tzinfo) == (AT, UTC)
    with pytest.raises(RefusedRowsError, match="no time zone"):
        ready.add("prediction", [prediction(2, predicted_at=datetime(2026, 5, 1))])


def test_predictions_are_found_by_image_and_newest_first(ready):
    ready.add("prediction", [prediction(n, image_sha256=f"{n % 2}" * 64, is_image_kept=n > 2) for n in range(6)])
    assert [row["prediction_id"] for row in ready.predictions(last=2)] == ["p5", "p4"]
    assert [row["prediction_id"] for row in ready.predictions(image_sha256="1" * 64)] == ["p5", "p3", "p1"]
    assert [row["prediction_id"] for row in ready.predictions(last=9, only_kept=True)] == ["p5", "p4", "p3"]


def test_rows_that_can_never_be_stored_are_told_from_a_database_that_is_not_well(ready):
    ready.add("prediction", [prediction(0)])
    for bad in ({"label": "\ud800"}, {"mode": None}, {"predicted_at": datetime(2026, 5, 1)}):
        with pytest.raises(RefusedRowsError):
            ready.add("prediction", [prediction(1), prediction(2, **bad)])
    assert count(ready, "predictions") == 1
    with ready.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE predictions"))
    with pytest.raises(OnlineStoreError):
        ready.add("prediction", [prediction(3)])


def test_an_error_tells_no_values(ready):
    with pytest.raises(RefusedRowsError) as refused:
        ready.add("feedback", [feedback(1, correct_label=None, note="geheim")])
    assert "correct_label" in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_reading_makes_nothing(tmp_path):
    store = OnlineStore(f"sqlite:///{tmp_path / 'no such' / 'online.db'}")
    assert store.prediction("p1") is None
    assert (store.predictions(), store.api_keys(), store.revision().state) == ([], [], "empty")
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_file_that_was_deleted_is_made_anew(tmp_path):
    store = OnlineStore(f"sqlite:///{tmp_path / 'online.db'}")
    store.upgrade()
    (tmp_path / "online.db").unlink()
    with pytest.raises(OnlineStoreError):
        store.add("prediction", [prediction(1)])
    store.upgrade()
    store.add("prediction", [prediction(1)])
    assert store.prediction("p1") == prediction(1)
    assert (tmp_path / "online.db").stat().st_mode & 0o777 == 0o600


def test_a_key_is_kept_by_its_hash_and_revoked_once(ready):
    secret, row = issued("Klinik Süd", ["feedback", "predict"], 60)
    ready.add_key(row)
    assert ready.api_keys() == [row]
    assert secret not in str(ready.api_keys())
    with pytest.raises(ValueError, match="there is a key 'Klinik Süd' already"):
        ready.add_key(issued("Klinik Süd", ["predict"])[1])
    assert [ready.revoke_key("Klinik Süd") for _ in range(2)] == [True, False]
    assert ready.api_keys()[0]["revoked_at"].tzinfo is UTC
    with pytest.raises(ValueError, match="there was a key"):
        ready.add_key(issued("Klinik Süd", ["predict"])[1])
    with pytest.raises(KeyError, match="there is no key 'nobody'"):
        ready.revoke_key("nobody")


@pytest.mark.parametrize(("url", "said"), [
    ("mysql://a:secret@host/b", "sqlite or postgresql"), ("postgres//host", "looks like postgresql://"),
    ("postgresql+psycopg2://skin:secret@127.0.0.1:1/skin", r"postgresql\+psycopg://skin:\*\*\*@127.0.0.1:1/skin: .*refused")])
def test_an_address_that_leads_nowhere_is_told_without_its_password(url, said):
    with pytest.raises(OnlineStoreError, match=said) as error:
        OnlineStore(url).prediction("p1")
    assert "secret" not in str(error.value)
