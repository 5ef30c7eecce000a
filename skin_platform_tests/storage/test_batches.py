"""Promises of stored batches: what was claimed and judged stays as it was written, and names stay private."""

import pytest

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.storage.batches import Batches
from skin_platform.storage.faults import StorageError
from skin_platform.storage.ingest import judge_delivery, store_images
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World
from skin_platform_tests.storage.deliveries import BUCKET, RULES, claimed, manifest_row

BATCH = "2026-05-01-x"


@pytest.fixture
def objects(tmp_path):
    """A local object store with a data and an images bucket."""
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("data")
    store.create_bucket(BUCKET)
    return store


@pytest.fixture
def batches(objects):
    """The batches of its data bucket."""
    return Batches(objects, "data")


def test_a_delivery_comes_back_as_it_was_claimed(batches):
    delivery = Delivery(BATCH, "/in ü", "2026-05-01T00:00:00+00:00",
                        (SeenFile("/in ü/\udcff 猫.jpg", 2**40, 10**18 + 1, 10**18 + 2),), ("/in ü/manifest.csv",))
    batches.write_delivery(delivery)
    assert batches.read_delivery(BATCH) == delivery
    assert batches.read_delivery(BATCH).digest == delivery.digest


def test_a_batch_that_never_was_is_none(batches):
    assert batches.read_delivery("2026-05-01-never") is None


def test_a_manifest_comes_back_row_by_row(batches):
    rows = [manifest_row(1), manifest_row(2, reason="the file is empty", sha256=None, label=None, bytes=None)]
    key, sha256 = batches.write_manifest(BATCH, "landed", rows)
    assert key == f"batches/{BATCH}/landed.parquet"
    assert batches.read_manifest(key, sha256).to_pylist() == rows
    assert batches.read_manifest(key).to_pylist() == rows


def test_columns_that_a_row_lacks_are_empty_and_a_manifest_of_nothing_is_a_manifest(batches):
    key, sha256 = batches.write_manifest(BATCH, "manifest", [{"file_id": "a"}])
    assert batches.read_manifest(key, sha256).to_pylist()[0]["label"] is None
    key, sha256 = batches.write_manifest(BATCH, "landed", [])
    assert len(batches.read_manifest(key, sha256)) == 0


def test_the_same_rows_have_the_same_digest(batches):
    first = batches.write_manifest(BATCH, "landed", [manifest_row(1)])
    assert batches.write_manifest(BATCH, "landed", [manifest_row(1)]) == first


def test_a_manifest_that_was_changed_after_it_was_written_is_refused(batches, objects):
    key, sha256 = batches.write_manifest(BATCH, "manifest", [manifest_row(1)])
    batches.write_manifest(BATCH, "manifest", [manifest_row(1, label="keratosis")])
    with pytest.raises(StorageError, match=f"{key} is damaged.*expected was {sha256}"):
        batches.read_manifest(key, sha256)
    with pytest.raises(KeyError):
        batches.read_manifest("batches/2026-05-01-never/manifest.parquet")


def test_manifests_are_listed_by_stage_in_order(batches):
    for batch in ("2026-05-02-x", BATCH):
        batches.write_manifest(batch, "landed", [])
    batches.write_manifest(BATCH, "manifest", [])
    assert batches.manifest_keys() == [f"batches/{BATCH}/manifest.parquet"]
    assert batches.manifest_keys("landed") == [f"batches/{BATCH}/landed.parquet", "batches/2026-05-02-x/landed.parquet"]


def test_original_names_are_nowhere_but_under_private(batches, objects, tmp_path):
    landing = tmp_path / "landing"
    generate(World(8, 3, ("nevus", "Mélanome à voir"), corrupt=0.25), landing)
    for number, path in enumerate(sorted(landing.rglob("*.jpg"))):
        path.rename(path.with_name(f"Mustermann_{number}_1961.jpg"))
    (landing / "manifest.csv").write_text("file,label,patient_id\nnevus/Mustermann_gone.jpg,nevus,Mustermann-7\n")
    ledger = LandingLedger(tmp_path / "landing.db")
    [delivery] = claimed(landing, ledger)
    ledger.dispose()
    judged = list(judge_delivery(delivery, RULES, {}))
    rows = [item.row for item in judged]
    paths = {item.row["file_id"]: landing / item.name for item in judged}
    batches.write_delivery(delivery)
    batches.write_names(delivery.batch_id, {item.row["file_id"]: item.name for item in judged})
    batches.write_manifest(delivery.batch_id, "landed", rows)
    batches.write_manifest(delivery.batch_id, "manifest", store_images(rows, paths, {}, objects, BUCKET))
    assert sum(item.reason is None for item in judged) == 6
    holding = [f"{bucket}/{item.key}" for bucket in ("data", BUCKET) for item in objects.list_objects(bucket)
               if b"Mustermann" in objects.download_file(bucket, item.key) or "Mustermann" in item.key]
    assert sorted(holding) == [f"data/private/batches/{delivery.batch_id}/{name}.json" for name in ("delivery", "names")]
    told = [*rows, *(objects.get_object_metadata(BUCKET, item.key) for item in objects.list_objects(BUCKET))]
    assert "Mustermann" not in str(told)
