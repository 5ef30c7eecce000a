"""Ingest killed at any moment and run again comes to the same end as if nothing had happened."""

import os
import random
import signal
import subprocess
import time

import pytest

from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import SKIN, small_delivery

pytestmark = pytest.mark.slow
HOMES, KILLS = 4, 5
WHEN = {"ingested_at"}  # the one thing that may differ: a claim that never came about is made anew, later


def ingest(home, delivery, kill_after=None):
    """`skin ingest`; killed with all its children after so many seconds, unless it is through before. Returns its seconds."""
    started = time.monotonic()
    process = subprocess.Popen([SKIN, "ingest", "--home", str(home), "--source", str(delivery)], start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        told, _ = process.communicate(timeout=kill_after or 240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    else:
        assert process.returncode == 0, told.decode()[-3000:]
    return time.monotonic() - started


def outcome(home):
    """Catalogue, objects and manifests, without the time of the claim."""
    stores = Stores(load_settings(skin_home=home))
    catalogue = [{k: v for k, v in row.items() if k not in WHEN} for row in stores.catalogue.read().to_pylist()]
    images = {item.key: stores.objects.download_file(stores.images_bucket, item.key)
              for item in stores.objects.list_objects(stores.images_bucket)}
    manifests = {(stage, key): [{k: v for k, v in row.items() if k not in WHEN} for row in
                                stores.batches.read_manifest(key).to_pylist()]
                 for stage in ("landed", "manifest") for key in stores.batches.manifest_keys(stage)}
    assert stores.ledger.open_batches() == []
    assert stores.catalogue.recount() == stores.catalogue.state()
    return catalogue, images, manifests


@pytest.fixture(scope="module")
def delivery(tmp_path_factory):
    """Images with duplicates, broken files and turned ones."""
    folder = tmp_path_factory.mktemp("lab") / "delivery"
    return small_delivery(folder, images=36, duplicates=0.1, corrupt=0.1, near_duplicates=0.1, exif=0.2)


def prepared(home):
    settings = load_settings(skin_home=home)
    prepare_home(settings)
    config = settings.dataset_config_path
    config.write_text(config.read_text(encoding="utf-8").replace("labels: [irregular, mottled, plain]", "labels: []"),
                      encoding="utf-8")
    return home


def test_ingest_killed_at_twenty_moments_ends_as_an_uninterrupted_one(tmp_path, delivery):
    seconds = ingest(prepared(tmp_path / "calm"), delivery)
    expected = outcome(tmp_path / "calm")
    assert len(expected[0]) >= 25
    moments = random.Random(20)
    for number in range(HOMES):
        home = prepared(tmp_path / f"killed-{number}")
        for _ in range(KILLS):
            ingest(home, delivery, kill_after=moments.uniform(0.2, 1.0) * seconds)
        ingest(home, delivery)
        assert outcome(home) == expected
