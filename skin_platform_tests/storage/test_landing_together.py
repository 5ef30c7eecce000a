"""Promises of the landing folder while others are at work on it: writers, other processes, kills, clocks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from skin_platform.storage.batches import Batches
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.deliveries import KeptInMemory, claimed, drop, now

ROOT = Path(__file__).parents[2]
SETTLE = 0.4
CLAIMING = """
import json, sys
from pathlib import Path
from skin_platform.storage.ledger import LandingLedger
from skin_platform_tests.storage.deliveries import claimed
ledger = LandingLedger(Path(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    for delivery in claimed(Path(sys.argv[1]), ledger, max_files=7):
        print(json.dumps([delivery.batch_id, [file.path for file in delivery.files]]), flush=True)
"""
KILLED_IN_A_CLAIM = """
import sys, time
from pathlib import Path
from skin_platform.storage.batches import Batches
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.deliveries import claimed

class Kept(Batches):
    def write_delivery(self, delivery):
        super().write_delivery(delivery)
        if delivery.batch_id.endswith("-2"):
            print("kept, not recorded", flush=True)
            time.sleep(60)

objects = ObjectStore(Path(sys.argv[3]))
objects.create_bucket("data")
claimed(Path(sys.argv[1]), LandingLedger(Path(sys.argv[2])), max_files=2, kept=Kept(objects, "data"))
"""
APPENDING = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b"more")
        print("wrote", flush=True)
        time.sleep(0.05)
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


@pytest.fixture
def ledger(tmp_path):
    ledger = LandingLedger(tmp_path / "landing.db")
    yield ledger
    ledger.dispose()


@contextmanager
def running(code, *arguments):
    """A Python process that is killed when the block ends; the block begins once it has printed a line."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def names(deliveries):
    return [Path(file.path).name for delivery in deliveries for file in delivery.files]


def test_a_file_that_a_process_appends_to_waits_until_it_is_through(root, ledger):
    drop(root, {"nevus/whole.jpg": b"x"})
    with running(APPENDING, root / "nevus/growing.jpg"):
        time.sleep(SETTLE + 0.1)
        assert names(claimed(root, ledger, settle_seconds=SETTLE)) == ["whole.jpg"]
    time.sleep(SETTLE + 0.1)
    assert names(claimed(root, ledger, settle_seconds=SETTLE)) == ["growing.jpg"]


def test_a_file_that_is_renamed_into_place_is_claimed_under_its_own_name_only(root, ledger):
    drop(root, {"nevus/.a.jpg.part": b"x"})
    time.sleep(SETTLE + 0.1)
    os.rename(root / "nevus/.a.jpg.part", root / "nevus/a.jpg")
    assert claimed(root, ledger, settle_seconds=SETTLE) == []  # its inode was touched just now
    time.sleep(SETTLE + 0.1)
    assert names(claimed(root, ledger, settle_seconds=SETTLE)) == ["a.jpg"]


def test_a_file_copied_with_its_old_time_settles_like_any_other(root, ledger, tmp_path):
    drop(tmp_path / "stick", {"a.jpg": b"x"})
    os.utime(tmp_path / "stick/a.jpg", (10**9, 10**9))
    subprocess.run(["cp", "-p", tmp_path / "stick/a.jpg", root / "a.jpg"], check=True)
    assert (root / "a.jpg").stat().st_mtime == 10**9
    assert claimed(root, ledger, settle_seconds=SETTLE) == []
    time.sleep(SETTLE + 0.1)
    assert names(claimed(root, ledger, settle_seconds=SETTLE)) == ["a.jpg"]
    (tmp_path / "stick/a.jpg").write_bytes(b"y")
    os.utime(tmp_path / "stick/a.jpg", (10**9, 10**9))
    subprocess.run(["cp", "-p", tmp_path / "stick/a.jpg", root / "a.jpg"], check=True)  # other content, same size and time
    assert names(claimed(root, ledger)) == ["a.jpg"]


def test_files_whose_rights_or_links_change_are_not_claimed_again(root, ledger):
    drop(root, {"a.jpg": b"x"})
    [delivery] = claimed(root, ledger)
    ledger.note_contents({delivery.files[0].path: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"})
    (root / "a.jpg").chmod(0o600)
    os.link(root / "a.jpg", root / "b.jpg")
    assert names(claimed(root, ledger)) == ["b.jpg"]


def test_ten_thousand_files_in_one_drop_are_bounded_batches(root, ledger):
    for folder in range(10):
        (root / f"{folder}").mkdir()
        for number in range(1000):
            os.close(os.open(root / f"{folder}" / f"{number:04}.jpg", os.O_CREAT))
    started = time.monotonic()
    deliveries = claimed(root, ledger, max_files=2000)
    assert [len(delivery.files) for delivery in deliveries] == [2000] * 5
    assert len(set(names(deliveries))) == 1000
    assert claimed(root, ledger) == []
    assert time.monotonic() - started < 10


def test_of_processes_that_claim_at_the_same_moment_each_file_has_one(root, tmp_path):
    drop(root, {f"nevus/{number:03}.jpg": b"x" for number in range(60)})
    claimers = [subprocess.Popen([sys.executable, "-c", CLAIMING, str(root), str(tmp_path / "shared.db"), "6"],
                                 stdout=subprocess.PIPE, cwd=ROOT) for _ in range(3)]
    for number in range(60, 120):
        drop(root, {f"nevus/{number:03}.jpg": b"x"})
        time.sleep(0.02)
    told = [json.loads(line) for process in claimers for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in claimers] == [0, 0, 0]
    last = LandingLedger(tmp_path / "shared.db")
    told += [[delivery.batch_id, [file.path for file in delivery.files]] for delivery in claimed(root, last, max_files=7)]
    assert len({batch for batch, _ in told}) == len(told)
    assert sorted(path for _, paths in told for path in paths) == sorted(map(str, root.rglob("*.jpg")))
    assert {batch.batch_id for batch in last.open_batches()} == {batch for batch, _ in told}
    last.dispose()


def test_a_process_killed_in_the_middle_of_a_claim_loses_nothing_and_claims_nothing_twice(root, tmp_path):
    drop(root, {f"nevus/{number}.jpg": b"x" for number in range(5)})
    with running(KILLED_IN_A_CLAIM, root, tmp_path / "landing.db", tmp_path / "objects") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    ledger = LandingLedger(tmp_path / "landing.db")
    batches = Batches(ObjectStore(tmp_path / "objects"), "data")
    [first] = [batch.batch_id for batch in ledger.open_batches()]
    orphan = batches.read_delivery(f"{first}-2")
    rest = claimed(root, ledger, max_files=2, kept=batches)
    assert rest[0] == orphan  # the claim that was kept and never recorded, as it was
    kept = [batches.read_delivery(batch.batch_id) for batch in ledger.open_batches()]
    assert sorted(names(kept)) == [f"{number}.jpg" for number in range(5)]
    assert [delivery.batch_id for delivery in kept] == [first, f"{first}-2", f"{first}-3"]
    ledger.dispose()


def test_a_ledger_that_was_lost_never_takes_the_id_of_another_delivery(root, tmp_path):
    kept = KeptInMemory()
    drop(root, {"a.jpg": b"x"})
    for number in range(2):
        ledger = LandingLedger(tmp_path / f"{number}.db")
        claimed(root, ledger, kept=kept)
        ledger.dispose()
    assert len(kept.deliveries) == 1  # the same delivery is the same batch
    shutil.rmtree(root)
    drop(root, {"b.jpg": b"x"})
    ledger = LandingLedger(tmp_path / "new.db")
    [other] = claimed(root, ledger, kept=kept)
    assert other.batch_id.endswith("-clinic-2")
    with pytest.raises(ValueError, match="is there already"):
        claimed(root, LandingLedger(None), kept=kept, batch_id=next(iter(kept.deliveries)))
    ledger.dispose()


def test_a_clock_that_jumps_ahead_claims_early_and_nothing_is_lost(root, ledger):
    drop(root, {"a.jpg": b"half"})
    [early] = claimed(root, ledger, settle_seconds=60, at=now() + timedelta(days=1))
    drop(root, {"a.jpg": b"the whole"})
    assert claimed(root, ledger, settle_seconds=60) == []
    [later] = claimed(root, ledger, settle_seconds=60, at=now() + timedelta(seconds=61))
    assert names([early, later]) == ["a.jpg", "a.jpg"]
    assert [batch.batch_id for batch in ledger.open_batches()] == [early.batch_id, later.batch_id]


def test_a_clock_that_is_set_back_delays_a_file_by_its_time_to_settle_and_no_longer(root, ledger):
    drop(root, {"a.jpg": b"x", "b.jpg": b"x"})
    past = now() - timedelta(days=300)
    assert claimed(root, ledger, settle_seconds=60, at=past) == []  # it bears a time to come
    assert claimed(root, ledger, settle_seconds=60, at=past + timedelta(seconds=50)) == []
    drop(root, {"b.jpg": b"more"})  # still being written
    [delivery] = claimed(root, ledger, settle_seconds=60, at=past + timedelta(seconds=61))
    assert names([delivery]) == ["a.jpg"]
    earlier = past - timedelta(days=2)  # set back once more
    assert claimed(root, ledger, settle_seconds=60, at=earlier) == []
    [other] = claimed(root, ledger, settle_seconds=60, at=earlier + timedelta(seconds=60))
    assert names([other]) == ["b.jpg"]
    assert [batch.batch_id for batch in ledger.open_batches()] == [delivery.batch_id, other.batch_id]  # in order of claiming


def test_a_modification_time_to_come_neither_holds_a_file_up_nor_claims_it_twice(root, ledger):
    drop(root, {"a.jpg": b"x"})
    os.utime(root / "a.jpg", (time.time() + 10**7,) * 2)
    assert len(claimed(root, ledger, settle_seconds=60, at=now() + timedelta(seconds=61))) == 1
    assert claimed(root, ledger, settle_seconds=60, at=now() + timedelta(days=365)) == []


def test_a_thousand_batches_of_one_day_are_numbered_without_delay(root, ledger):
    drop(root, {f"{number:04}.jpg": b"" for number in range(1000)})
    started = time.monotonic()
    deliveries = claimed(root, ledger, max_files=1)
    assert len({delivery.batch_id for delivery in deliveries}) == 1000
    assert time.monotonic() - started < 30
