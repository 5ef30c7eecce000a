"""Promises of judging and storing when they are killed or done twice at once: the same end as undisturbed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skin_platform.storage.batches import Batches
from skin_platform.storage.ingest import judge_delivery, store_images
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import BUCKET, RULES, claimed, drop

ROOT = Path(__file__).parents[2]
KILLED = """
import sys, time
from pathlib import Path
from skin_platform.storage.batches import Batches
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import LandingFolder
from skin_platform_tests.storage.test_ingest_together import ingest

class Halting(LandingFolder):
    left = int(sys.argv[3])

    def read(self, name, max_bytes=None):
        Halting.left -= 1
        if Halting.left == 0:
            print("here", flush=True)
        if Halting.left <= 0:
            time.sleep(60)
        return super().read(name, max_bytes)

objects = ObjectStore(Path(sys.argv[2]))
delivery = Batches(objects, "data").read_delivery(sys.argv[1])
ingest(delivery, objects, Halting(Path(delivery.root)))
"""


def ingest(delivery, objects, place=None):
    """What the assets do with a delivery; returns the final rows and the digests of both manifests."""
    batches = Batches(objects, "data")
    judged = list(judge_delivery(delivery, RULES, {}, place))
    rows = [item.row for item in judged]
    paths = {item.row["file_id"]: Path(delivery.root) / item.name for item in judged}
    landed = batches.write_manifest(delivery.batch_id, "landed", rows)
    stored = store_images(rows, paths, {}, objects, BUCKET,
                          (lambda path: place.read(path.relative_to(place.root).as_posix())[1]) if place else Path.read_bytes)
    return stored, landed, batches.write_manifest(delivery.batch_id, "manifest", stored)


def opened(folder):
    objects = ObjectStore(folder)
    for bucket in ("data", BUCKET):
        objects.create_bucket(bucket)
    return objects


def held(objects):
    """Every object with its bytes, but what was claimed."""
    return {(bucket, item.key): objects.download_file(bucket, item.key) for bucket in ("data", BUCKET)
            for item in objects.list_objects(bucket) if not item.key.startswith("private/")}


@pytest.fixture
def delivery(tmp_path):
    (tmp_path / "in").mkdir()
    drop(tmp_path / "in", {f"nevus/{number:02}.jpg": jpeg(number % 20) for number in range(24)} | {"nevus/bad.jpg": b"x"})
    ledger = LandingLedger(None)
    [delivery] = claimed(tmp_path / "in", ledger)
    ledger.dispose()
    return delivery


@pytest.mark.parametrize("reads", [3, 20, 30, 44],  # of 25 files that are judged and 20 pictures that are stored
                         ids=["early in judging", "late in judging", "early in storing", "late in storing"])
def test_a_process_killed_while_it_judges_or_stores_is_simply_run_again(delivery, tmp_path, reads):
    calm, killed = opened(tmp_path / "calm"), opened(tmp_path / "killed")
    expected = ingest(delivery, calm)
    Batches(killed, "data").write_delivery(delivery)
    process = subprocess.Popen([sys.executable, "-c", KILLED, delivery.batch_id, str(tmp_path / "killed"), str(reads)],
                               stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert held(killed).keys() < held(calm).keys()
    assert ingest(delivery, killed) == expected
    assert held(killed) == held(calm)


def test_two_runs_of_a_batch_at_once_end_as_one(delivery, tmp_path, s3_access):
    objects = ObjectStore(s3_access)
    for bucket in ("data", BUCKET):
        objects.create_bucket(bucket)
        for item in objects.list_objects(bucket):
            objects.delete_object(bucket, item.key)
    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(lambda _: ingest(delivery, objects), range(2))
    assert first == second
    calm = opened(tmp_path / "calm")
    assert ingest(delivery, calm) == first
    assert held(objects) == held(calm)
