"""Promises of the spool: what was added is there, whoever was killed, until it is stored elsewhere."""

import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import pytest

from skin_platform.storage import spool_file
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_file import SpoolError, SpoolFullError
from skin_platform_tests.storage.recorded import feedback, prediction

MANY_BYTES = 50_000_000
ADDING = """
import itertools, sys
from pathlib import Path
from skin_platform.storage.spool import Spool
spool = Spool(Path(sys.argv[1]), 50_000_000)
for number in itertools.count():
    spool.add("prediction", {"prediction_id": f"{sys.argv[2]}{number}", "note": "é" * 200})
    sys.stdout.write(f"{sys.argv[2]}{number}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "served" / "spool.db", MANY_BYTES)
    yield spool
    spool.close()


def ids(spool: Spool) -> list[str]:
    return [item.row["prediction_id"] for item in spool.oldest(1_000_000)]


def add_each(spool: Spool, count: int) -> None:
    for number in range(count):
        spool.add("prediction", prediction(number))


@contextmanager
def adding(spool: Spool, name: str):
    """A process that adds rows and says each one's id once it was added."""
    process = subprocess.Popen([sys.executable, "-c", ADDING, str(spool.file.path), name], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_rows_come_back_in_order_as_they_were_added_and_can_be_found(spool):
    spool.add("prediction", prediction(1, label="Zeichen: é 中 \ud800 \x00 '"))
    spool.add("feedback", feedback(1))
    spool.add("prediction", prediction(2))
    first, second, third = spool.oldest(9)
    assert [item.kind for item in (first, second, third)] == ["prediction", "feedback", "prediction"]
    at = "2026-05-01T12:30:01.123456+00:00"
    assert first.row == prediction(1, label="Zeichen: é 中 \ud800 \x00 '", predicted_at=at)
    assert spool.find("feedback", "f1") == second.row
    assert spool.find("feedback", "p1") is None
    assert spool.oldest(1) == [first]
    spool.remove([first.number, third.number])
    assert (spool.oldest(9), spool.depth) == ([second], 1)
    assert spool.find("prediction", "p1") is None


def test_a_row_that_was_put_aside_is_out_of_the_way_found_and_tried_again(spool):
    for number in range(3):
        spool.add("prediction", prediction(number))
    spool.put_aside(spool.oldest(1)[0].number, "no such label: 'é'")
    assert (ids(spool), spool.depth, spool.set_aside) == (["p1", "p2"], 2, 1)
    assert spool.find("prediction", "p0")["label"] == "blau é"
    [(item, reason)] = spool.refused()
    assert (item.kind, item.row["prediction_id"], reason) == ("prediction", "p0", "no such label: 'é'")
    assert spool.retry() == 1
    assert (ids(spool), spool.set_aside) == (["p0", "p1", "p2"], 0)


def test_what_processes_added_outlives_their_being_killed(spool):
    said = []
    with adding(spool, "a") as one, adding(spool, "b") as two:
        for process in (one, two):
            said += [process.stdout.readline().strip() for _ in range(100)]
        for process in (one, two):
            process.send_signal(signal.SIGKILL)
        for process in (one, two):
            said += process.stdout.read().split("\n")[:-1]  # of the last one only a part may have been said
    assert len(said) >= 200
    found = ids(spool)
    assert set(said) <= set(found)
    assert len(found) == len(set(found)) <= len(said) + 2


def test_threads_add_at_once(spool):
    def add(start: int) -> None:
        for number in range(start, start + 100):
            spool.add("prediction", prediction(number))

    threads = [threading.Thread(target=add, args=(start,)) for start in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(spool)) == sorted(f"p{number}" for number in range(400))


def test_a_full_spool_says_so_and_takes_rows_again_when_there_is_room(tmp_path):
    spool = Spool(tmp_path / "spool.db", 1_000_000)
    with pytest.raises(SpoolFullError, match=r"spool\.db is full \(1000000 bytes\)"):
        add_each(spool, 100_000)
    depth = spool.depth
    assert depth > 300
    assert 900_000 < spool.bytes <= 1_000_000
    spool.remove([item.number for item in spool.oldest(depth - 1)])
    spool.add("prediction", prediction(100_001))
    assert ids(spool) == [f"p{depth - 1}", "p100001"]
    assert spool.bytes < 50_000
    spool.close()


def test_a_full_disk_is_told_apart_and_nothing_that_was_added_is_lost(spool):
    spool.add("prediction", prediction(1))
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, former[1]))  # EFBIG, since a test cannot fill a disk
        with pytest.raises(SpoolError, match=r"no space left on the disk of .*spool\.db, or it cannot be written") as error:
            add_each(spool, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert not isinstance(error.value, SpoolFullError)
    found = ids(spool)
    spool.add("prediction", prediction(2000))
    assert ids(spool) == [*found, "p2000"]


def test_a_spool_that_another_holds_locked_for_too_long_is_told(spool):
    with closing(sqlite3.connect(spool.file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        spool.file._connection.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(SpoolError, match="locked"):
            spool.add("prediction", prediction(1))
        other.execute("ROLLBACK")
    spool.add("prediction", prediction(1))
    assert ids(spool) == ["p1"]


def add_many(spool: Spool, start: int, end: int) -> None:
    with spool.file.transaction():
        for number in range(start, end):
            spool.add("prediction", prediction(number))


def written(tmp_path, count: int) -> tuple[bytes, bytes]:
    """The bytes of a spool with so many rows, and of the log beside it."""
    spool = Spool(tmp_path / "spool.db", MANY_BYTES)
    for start in range(0, count, 10):
        add_many(spool, start, start + 10)
    found = (tmp_path / "spool.db").read_bytes(), (tmp_path / "spool.db-wal").read_bytes()
    spool.close()  # the last one to close moves the log to the file
    return found


@pytest.mark.parametrize(("damage", "at_least"), [("no database at all", 0), ("a page in the middle", 900), ("cut short", 400)])
def test_a_damaged_spool_is_set_aside_and_what_can_be_read_is_taken_over(tmp_path, caplog, damage, at_least):
    path = tmp_path / "spool.db"
    written(tmp_path, 1000)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "no database at all":
            file.write(b"this is no database " * 100)
        elif damage == "a page in the middle":
            file.seek(size // 8192 * 4096)
            file.write(b"\xff" * 3 * 4096)
        else:
            file.truncate(size // 2)
    spool = Spool(path, MANY_BYTES)
    spool.add("prediction", prediction(5000))
    found = ids(spool)
    assert found[-1] == "p5000"
    assert len(set(found)) == len(found) > at_least
    [aside] = [entry.name for entry in tmp_path.glob("spool.db.damaged-*") if not entry.name.endswith(("-wal", "-shm"))]
    assert "was damaged (" in caplog.text
    assert f"it was set aside as {aside}; {len(found) - 1} entries" in caplog.text
    spool.close()


def test_a_spool_that_is_damaged_while_it_is_open_is_set_aside_too(spool, caplog):
    for start in range(0, 3000, 100):  # more than SQLite keeps in memory
        add_many(spool, start, start + 100)
    spool.file.checkpoint(at_once=True)
    with spool.file.path.open("r+b") as file:
        file.seek(300 * 4096)
        file.write(b"\xff" * 4096)
    assert 2900 < len(set(ids(spool))) < 3000
    spool.add("prediction", prediction(5000))
    assert ids(spool)[-1] == "p5000"
    assert "was damaged" in caplog.text


def test_of_a_log_that_was_cut_short_by_a_power_cut_the_sound_part_holds(tmp_path):
    path = tmp_path / "spool.db"
    file, log = written(tmp_path, 400)
    path.write_bytes(file)
    path.with_name("spool.db-wal").write_bytes(log[: len(log) // 2] + b"\0" * 1000)
    spool = Spool(path, MANY_BYTES)
    found = ids(spool)
    assert found == [f"p{number}" for number in range(len(found))]
    assert 100 < len(found) < 400
    spool.close()


def test_a_spool_that_was_deleted_or_set_aside_by_another_goes_on_in_a_new_file(spool, caplog, monkeypatch):
    spool.add("prediction", prediction(1))
    for path in spool.file.path.parent.iterdir():
        path.unlink()
    spool.add("prediction", prediction(2))
    monkeypatch.setattr(spool_file, "LOOK_SECONDS", 0)
    assert ids(spool) == ["p1", "p2"]
    assert "moved or deleted" in caplog.text
    with closing(Spool(spool.file.path, MANY_BYTES)) as other:
        assert ids(other) == ["p1", "p2"]


def test_a_spool_in_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "served").write_text("a file")
    with pytest.raises(SpoolError, match="cannot be opened"):
        Spool(tmp_path / "served" / "spool.db", MANY_BYTES)


def test_nobody_else_can_read_what_waits(spool):
    spool.add("prediction", prediction(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in spool.file.path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"spool.db", "spool.db-wal"} <= set(modes)


def test_the_log_beside_the_file_stays_small_when_it_is_checkpointed(spool, monkeypatch):
    monkeypatch.setattr(spool_file, "WAL_PAGES", 256)
    for start in range(0, 2000, 200):
        for first in range(start, start + 200, 10):
            add_many(spool, first, first + 10)
        spool.file.checkpoint()
        spool.remove([item.number for item in spool.oldest(1000)])
    assert spool.file.path.with_name("spool.db-wal").stat().st_size < 3_000_000
    assert spool.file.path.stat().st_size < 1_000_000


def test_the_age_of_what_waits_is_no_riddle_after_the_clock_was_set_back(spool):
    assert spool.oldest_age() == 0
    spool.add("prediction", prediction(1))
    spool.file.do("UPDATE rows SET number = number - 10000000000")
    assert 10 <= spool.oldest_age() < 60
    spool.file.do("UPDATE rows SET number = number + 3600000000000")
    assert spool.oldest_age() == 0


def test_what_cannot_be_kept_is_the_callers_mistake(spool):
    with pytest.raises(KeyError):
        spool.add("gossip", prediction(1))
    with pytest.raises(TypeError, match="bytes cannot be kept"):
        spool.add("prediction", prediction(1, label=b"x"))
    assert (spool.depth, os.path.exists(spool.file.path)) == (0, True)


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.INFO)
