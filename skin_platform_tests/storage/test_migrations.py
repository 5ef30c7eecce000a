"""Promises of the online store's migrations: whatever a database was, it comes to the newest revision, or is left alone."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import skin_platform
from skin_platform.storage.online.migrating import revision_of
from skin_platform.storage.online.reaching import OnlineStoreError
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.online.tables import METADATA, REVISIONS
from skin_platform_tests.storage.recorded import AT, prediction

FORMER_TABLE = """CREATE TABLE predictions (prediction_id VARCHAR NOT NULL, predicted_at {moment} NOT NULL,
    image_sha256 VARCHAR NOT NULL, label VARCHAR NOT NULL, probabilities JSON NOT NULL, abstained BOOLEAN NOT NULL,
    bundle VARCHAR NOT NULL, model_version VARCHAR NOT NULL, checkpoint_sha256 VARCHAR NOT NULL,
    dataset_digest VARCHAR NOT NULL, PRIMARY KEY (prediction_id))"""
FORMER_ROW = """INSERT INTO predictions VALUES ('{name}', '2026-05-01 12:30:00.123456', 'ab', 'blau é', '{{"blau é": 1.0}}',
    {abstained}, 'skin:1', '1', 'cd', 'ef')"""


def former(store: OnlineStore) -> None:
    """Make the database of before: one table, no revision."""
    postgres = store.engine.dialect.name == "postgresql"
    with store.engine.begin() as connection:
        if postgres:
            connection.execute(sa.text("SET TIME ZONE 'UTC'"))
        connection.exec_driver_sql(FORMER_TABLE.format(moment="TIMESTAMP WITH TIME ZONE" if postgres else "DATETIME"))
        for name, abstained in (("p1", "false"), ("p2", "true")):
            connection.exec_driver_sql(FORMER_ROW.format(name=name, abstained=abstained))


def test_the_migrations_lead_to_the_tables_that_the_code_knows(online):
    assert online.upgrade().state == "empty"
    with online.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": REVISIONS, "compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert revision_of(connection).state == "current"
    assert online.upgrade().state == "current"


def test_the_predictions_of_before_are_carried_over_when_they_are_first_asked_for(online, online_url):
    former(online)
    assert online.revision().state == "older"
    first = online.prediction("p1")
    assert first == dict.fromkeys(prediction(1)) | {
        "prediction_id": "p1", "predicted_at": AT, "mode": "single", "outcome": "answered", "image_sha256": "ab",
        "is_image_kept": False, "label": "blau é", "probabilities": {"blau é": 1.0}, "abstained": False, "bundle": "skin:1",
        "model_version": "1", "checkpoint_sha256": "cd", "dataset_digest": "ef"}
    assert first["predicted_at"].tzinfo is UTC
    assert online.prediction("p2")["outcome"] == "abstained"
    online.add("prediction", [prediction(1), prediction(3)])
    assert len(online.predictions()) == 3
    assert online.revision().state == "current"


def test_an_upgrade_that_fails_changes_nothing(online):
    former(online)
    with online.engine.begin() as connection:  # in the way of the second half
        connection.exec_driver_sql("CREATE TABLE feedback (feedback_id VARCHAR)")
    with pytest.raises(OnlineStoreError, match="feedback"):
        online.upgrade()
    assert sorted(sa.inspect(online.engine).get_table_names()) == ["feedback", "predictions"]
    with online.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM predictions").scalar_one() == 2
        connection.exec_driver_sql("DROP TABLE feedback")
    online.upgrade()
    assert len(online.predictions()) == 2


def test_several_may_upgrade_at_once_and_others_beside_them(online, online_url, tmp_path):
    former(online)
    stores = [*(OnlineStore(online_url) for _ in range(4)),
              *(OnlineStore(f"sqlite:///{tmp_path / name}.db") for name in ("other", "third"))]
    gate, states = threading.Barrier(6), []

    def upgrade(store: OnlineStore) -> None:
        gate.wait()
        states.append(store.upgrade().state)

    threads = [threading.Thread(target=upgrade, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["current", "current", "current", "empty", "empty", "older"]
    assert len(online.predictions()) == 2
    for store in stores:
        store.dispose()


def test_a_database_that_is_newer_than_the_code_is_refused_by_name_and_left_alone(online):
    online.upgrade()
    with online.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {REVISIONS} SET version_num = '0999'")
    later = OnlineStore(str(online.engine.url.render_as_string(hide_password=False)))
    for asked in (later.upgrade, later.predictions):
        with pytest.raises(OnlineStoreError, match="at revision 0999, and this version knows them up to 0001 only"):
            asked()
    assert later.revision().found == "0999"
    later.dispose()


def test_mlflow_may_keep_its_revisions_in_the_same_database(online):
    with online.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('1b5f0d9ad7c1')")
    online.upgrade()
    with online.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["1b5f0d9ad7c1"]


def test_packed_code_upgrades_from_whatever_folder_it_lies_in(tmp_path):
    source, packed = Path(skin_platform.__file__).parent, tmp_path / "100% é: bento" / "skin_platform"
    for name in ("__init__.py", "storage/__init__.py", "storage/private_files.py"):
        (packed / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, packed / name)
    shutil.copytree(source / "storage" / "online", packed / "storage" / "online")
    told = ("import sys, skin_platform; from skin_platform.storage.online.store import OnlineStore; "
            "print(skin_platform.__file__, OnlineStore(sys.argv[1]).upgrade().state)")
    done = subprocess.run([sys.executable, "-c", told, f"sqlite:///{tmp_path / 'online.db'}"], cwd=packed.parent,
                          capture_output=True, text=True, check=True)
    assert done.stdout.split("bento")[1] == "/skin_platform/__init__.py empty\n"
    with sqlite3.connect(tmp_path / "online.db") as connection:
        assert connection.execute(f"SELECT version_num FROM {REVISIONS}").fetchall() == [("0001",)]
