"""Promises of the drain: each row is in the database exactly once, whatever happens to the database or to the drain."""

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa

from skin_platform.storage.draining import Drain
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.online.tables import REVISIONS
from skin_platform.storage.spool import Spool
from skin_platform_tests.deployments import ROOT
from skin_platform_tests.storage.recorded import AT, feedback, prediction, shadow
from skin_platform_tests.storage.test_online import count

SERVING = """
import itertools, sys
from pathlib import Path
from skin_platform.storage.draining import Drain
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform_tests.storage.recorded import prediction
spool, store = Spool(Path(sys.argv[1]), 50_000_000), OnlineStore(sys.argv[2])
store.upgrade()
drain = Drain(spool, store, 0.001)
for number in itertools.count():
    spool.add("prediction", prediction(number % 1000, prediction_id=f"{sys.argv[3]}{number}"))
    print(f"{sys.argv[3]}{number}", flush=True)
"""
SOON = 0.01  # seconds between two passes
TROUBLE = {
    "sqlite": ["CREATE TRIGGER t BEFORE INSERT ON predictions WHEN NEW.label = 'odd' BEGIN SELECT json('{'); END"],
    "postgresql": ["CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'too many' USING ERRCODE = '53400'; END $$ "
                   "LANGUAGE plpgsql",
                   "CREATE TRIGGER t BEFORE INSERT ON predictions FOR EACH ROW WHEN (NEW.label = 'odd') EXECUTE FUNCTION f()"],
}


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool.db", 50_000_000)
    yield spool
    spool.close()


def until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def fill(spool: Spool, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        spool.add("prediction", prediction(number))


def test_every_kind_of_row_is_moved_once_and_the_tables_are_made(spool, online):
    fill(spool, 250)
    spool.add("shadow", shadow(1))
    spool.add("feedback", feedback(1))
    drain = Drain(spool, online, SOON)
    until(lambda: spool.depth == 0)
    spool.add("feedback", feedback(2))
    assert drain.close()
    assert drain.fault is None
    assert [count(online, name) for name in ("predictions", "shadow_predictions", "feedback")] == [250, 1, 2]
    assert online.prediction("p249") == prediction(249)


def test_feedback_that_is_said_again_has_its_latest_time_and_note(online):
    online.upgrade()
    first, note, again = ({"given_at": AT + timedelta(minutes=minute), "note": note, "key_name": key}
                          for minute, note, key in ((1, "by eye", "ward"), (3, "histology", "clinic"), (5, None, "ward")))
    online.add("feedback", [feedback(1, **first), feedback(2, prediction_id="p1", given_at=AT + timedelta(minutes=2)),
                            feedback(1, **note), feedback(1, **first)])  # the same row again, as after a kill
    assert [(row["feedback_id"], row["note"], row["key_name"]) for row in online.feedback("p1")] == [
        ("f2", None, "Klinik Süd"), ("f1", "histology", "clinic")]
    online.add("feedback", [feedback(1, **again)])
    assert online.feedback("p1")[1] == feedback(1, **again) | {"note": "histology"}


def test_rows_that_were_stored_before_the_drain_was_killed_are_not_stored_twice(spool, online):
    online.upgrade()
    fill(spool, 20)
    online.add("prediction", [prediction(number) for number in range(10)])
    assert Drain(spool, online, SOON).close()
    assert count(online, "predictions") == 20


def test_a_process_that_answers_and_drains_may_be_killed_at_any_time(spool, postgres_url):
    said: list[str] = []
    online = OnlineStore(postgres_url)
    for name in ("a", "b"):
        process = subprocess.Popen([sys.executable, "-c", SERVING, str(spool.file.path), postgres_url, name], text=True,
                                   stdout=subprocess.PIPE, cwd=ROOT)
        said += [process.stdout.readline().strip() for _ in range(150)]
        until(lambda name=name: online.prediction(f"{name}0"))  # it drains, too
        process.kill()
        said += process.communicate()[0].split("\n")[:-1]
    assert Drain(spool, online, SOON).close()
    stored = [row["prediction_id"] for row in online.predictions()]
    assert set(said) <= set(stored)
    assert len(stored) == len(set(stored)) <= len(said) + 2
    online.dispose()


def test_two_drains_of_one_spool_store_each_row_once(spool, online, online_url):
    other_spool, other = Spool(spool.file.path, 50_000_000), OnlineStore(online_url)
    drains = [Drain(spool, online, SOON), Drain(other_spool, other, SOON)]
    threads = [threading.Thread(target=fill, args=(which, 150, start)) for which, start in ((spool, 0), (other_spool, 150))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all([drain.close() for drain in drains])
    assert (count(online, "predictions"), spool.set_aside) == (300, 0)
    other_spool.close()
    other.dispose()


def test_rows_that_the_database_refuses_for_ever_are_set_aside_and_the_others_go_on(spool, online, caplog):
    bad = {"p1": {"label": "\ud800"}, "p3": {"mode": None}, "p5": {"predicted_at": "yesterday"}, "p7": {"of_tomorrow": 1}}
    for number in range(9):
        spool.add("prediction", prediction(number) | bad.get(f"p{number}", {}))
    assert Drain(spool, online, SOON).close()
    assert count(online, "predictions") == 5
    told = {item.row["prediction_id"]: reason for item, reason in spool.refused()}
    assert set(told) == set(bad)
    assert "of_tomorrow" in told["p7"]
    assert caplog.text.count("was set aside") == 4
    assert spool.retry() == 4
    assert Drain(spool, online, SOON).close()
    assert (count(online, "predictions"), spool.set_aside) == (5, 4)


def test_a_row_that_fails_while_others_go_through_is_set_aside_in_the_end(spool, online):
    online.upgrade()
    with online.engine.begin() as connection:  # errors of the kind that a database gives when it is not well
        for statement in TROUBLE[online.engine.dialect.name]:
            connection.exec_driver_sql(statement)
    spool.add("prediction", prediction(0, label="odd"))
    drain = Drain(spool, online, SOON)
    until(lambda: drain.fault)
    assert spool.set_aside == 0
    for number in range(1, 6):
        spool.add("prediction", prediction(number))
        until(lambda number=number: count(online, "predictions") == number)
    until(lambda: spool.set_aside == 1)
    assert drain.close()


def test_a_database_that_is_away_delays_rows_and_loses_none(spool, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "later").write_text("no folder yet")
    store = OnlineStore(f"sqlite:///{tmp_path / 'later' / 'online.db'}")
    drain = Drain(spool, store, SOON)
    fill(spool, 120)
    until(lambda: drain.fault)
    assert f"there is no folder {tmp_path / 'later'}" in drain.fault
    assert spool.oldest_age() > 0
    assert caplog.text.count("rows wait in") == 1
    (tmp_path / "later").unlink()
    (tmp_path / "later").mkdir()
    until(lambda: spool.depth == 0)
    assert drain.close()
    assert "takes rows again" in caplog.text
    assert count(store, "predictions") == 120


def test_what_could_not_be_moved_before_the_end_is_moved_by_the_next(spool, tmp_path):
    place = tmp_path / "online.db"
    fill(spool, 5)
    store = OnlineStore(f"sqlite:///{place}")
    store.upgrade()
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        drain = Drain(spool, store, SOON)
        assert not drain.close(timeout=0.1)
        assert spool.depth == 5
        other.execute("ROLLBACK")
    drain = Drain(spool, store, SOON)
    assert drain.close()
    assert count(store, "predictions") == 5


def test_rows_wait_for_who_knows_a_newer_database(spool, online):
    online.upgrade()
    with online.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {REVISIONS} SET version_num = '0999'")
    later = OnlineStore(online.engine.url.render_as_string(hide_password=False))
    fill(spool, 3)
    drain = Drain(spool, later, SOON)
    until(lambda: drain.fault)
    assert "at revision 0999" in drain.fault
    assert not drain.close()
    assert (spool.depth, count(online, "predictions")) == (3, 0)
    later.dispose()


def test_a_database_that_was_emptied_gets_its_tables_again(spool, online):
    drain = Drain(spool, online, SOON)
    fill(spool, 3)
    until(lambda: spool.depth == 0)
    with online.engine.begin() as connection:
        for table in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
    fill(spool, 3, start=3)
    until(lambda: spool.depth == 0)
    assert drain.close()
    assert count(online, "predictions") == 3


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_postgresql_may_go_and_come_back_while_rows_arrive(spool, postgres, postgres_url, sign):
    store = OnlineStore(postgres_url)
    drain = Drain(spool, store, SOON)
    arriving = threading.Thread(target=fill, args=(spool, 400))
    arriving.start()
    try:
        until(lambda: spool.depth == 0 and store.is_ready)
        postgres.stop(sign)
        fill(spool, 50, start=400)
        until(lambda: drain.fault)
    finally:
        arriving.join()
        postgres.start()
    until(lambda: spool.depth == 0)
    assert drain.close()
    assert count(store, "predictions") == 450
    store.dispose()
