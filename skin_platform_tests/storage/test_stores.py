"""Promises of the stores as one: what is claimed is kept before it counts, and one claim wins."""

import pytest

from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import load_settings
from skin_platform.storage.ledger import OpenBatch
from skin_platform.storage.objects import StorageError
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import drop

MINE = "2026-05-01-mine"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of a fresh home, whatever the environment says; its landing folder settles at once."""
    for name in ("S3_ENDPOINT", "SKIN_ENV", "SKIN_DATASET_CONFIG", "DATABASE_URL", "S3_BUCKET_IMAGES", "SKIN_MAX_BATCH_FILES"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings(_env_file=None, skin_home=tmp_path / "home ü", skin_settle_seconds=0)
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(["nevus"], "clinic"), encoding="utf-8")
    return settings


def _opened(settings, **changes):
    return Stores(settings.model_copy(update=changes))


def test_preparing_a_home_again_keeps_its_configuration(settings):
    before = settings.home.dataset_config.read_bytes()
    prepare_home(settings)
    assert settings.home.dataset_config.read_bytes() == before
    assert (settings.home.dagster / "dagster.yaml").is_file()


def test_opening_creates_the_three_buckets_again_and_again(settings):
    for stores in (Stores(settings), Stores(settings)):
        assert all(stores.objects.bucket_exists(bucket) for bucket in ("skin-models", "skin-data", "skin-images"))


def test_opening_to_look_creates_nothing(settings):
    Stores(settings, create=False)
    assert not settings.home.objects.exists()


def test_opening_on_s3_keeps_the_objects_there(settings, s3_access):
    stores = _opened(settings, s3_endpoint=s3_access.endpoint, s3_access_key=s3_access.access_key,
                     s3_secret_key=type(settings.s3_secret_key)(s3_access.secret_key))
    assert not stores.objects.is_local
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1)})
    [delivery] = stores.claim()
    assert stores.batches.read_delivery(delivery.batch_id) == delivery
    assert not settings.home.objects.exists()


def test_a_wrong_secret_stops_the_opening_by_name(settings, s3_access):
    with pytest.raises(StorageError, match="S3_SECRET_KEY"):
        _opened(settings, s3_endpoint=s3_access.endpoint, s3_access_key=s3_access.access_key)


def test_a_claim_is_kept_and_remembered(settings):
    stores = Stores(settings)
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    [delivery] = stores.claim()
    assert delivery.batch_id.endswith("-clinic")
    assert stores.batches.read_delivery(delivery.batch_id) == delivery
    assert stores.ledger.open_batches() == [OpenBatch(delivery.batch_id, delivery.digest, delivery.root)]
    assert stores.claim() == []
    assert Stores(settings).claim() == []


def test_claims_are_bounded_by_the_settings(settings):
    drop(settings.home.landing, {f"nevus/{number}.jpg": b"x" for number in range(5)})
    claimed = _opened(settings, skin_max_batch_files=2).claim()
    assert [len(delivery.files) for delivery in claimed] == [2, 2, 1]


def test_a_file_that_is_not_settled_waits(settings):
    drop(settings.home.landing, {"nevus/a.jpg": b"x"})
    assert Stores(settings).claim(settle_seconds=60) == []
    assert len(Stores(settings).claim(settle_seconds=0)) == 1


def test_another_folder_and_source_can_be_claimed(settings, tmp_path):
    drop(tmp_path / "stick", {"nevus/a.jpg": b"x"})
    [delivery] = Stores(settings).claim(tmp_path / "stick", "Clinic Süd")
    assert delivery.batch_id.endswith("-clinic-sud")
    assert delivery.root == str(tmp_path / "stick")


def test_a_claim_that_cannot_be_kept_is_no_claim(settings):
    stores = Stores(settings)
    drop(settings.home.landing, {"nevus/a.jpg": b"x"})
    private = settings.home.objects / "skin-data" / "private"
    private.write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageError):
        stores.claim()
    private.unlink()
    assert len(stores.claim()) == 1


def test_of_two_claims_at_the_same_moment_one_wins_and_stays_as_it_is(settings):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    first, second = Stores(settings), Stores(settings)
    won = []

    def only_a_and_meanwhile_the_other_claims_all(file):
        won.extend(second.claim(batch_id=MINE) if not won else [])
        return file.path.endswith("a.jpg")

    assert first.claim(batch_id=MINE, keep=only_a_and_meanwhile_the_other_claims_all) == []
    assert [len(delivery.files) for delivery in won] == [2]
    assert first.batches.read_delivery(MINE) == won[0]
    assert first.claim() == []


def test_a_lost_ledger_claims_everything_again_as_the_same_delivery(settings):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1)})
    stores = Stores(settings)
    [before] = stores.claim(batch_id=MINE)
    stores.ledger.dispose()
    settings.home.ledger.unlink()
    [after] = Stores(settings).claim(batch_id=MINE)
    assert after.digest == before.digest


def test_the_rules_of_the_door_are_those_of_the_settings(settings):
    rules = _opened(settings, skin_max_image_bytes=123, skin_min_image_side_px=7).rules
    assert (rules.limits.max_bytes, rules.limits.min_side_px) == (123, 7)
    assert rules.vocabulary.labels == ("nevus",)
    assert rules.vocabulary.splits["training"] == "train"
