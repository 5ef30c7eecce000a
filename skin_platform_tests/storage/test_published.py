"""Promises of what is kept for others: model files, references and the image cache."""

import hashlib

import pytest

from skin_platform.storage.cache import ImageCache
from skin_platform.storage.models import ModelFiles
from skin_platform.storage.objects import ObjectStore, StorageError
from skin_platform.storage.references import References

DATA = b"the bytes of a picture"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def objects(tmp_path):
    """A local object store with a bucket named data."""
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("data")
    return store


@pytest.fixture
def cached(tmp_path, objects):
    """A cache over one stored image; with its file on disk."""
    objects.upload_file("data", "skin/a.jpg", DATA)
    return ImageCache(tmp_path / "cache", objects), tmp_path / "cache" / SHA256[:2] / SHA256


def _keys(objects):
    return [item.key for item in objects.list_objects("data")]


def test_an_image_is_fetched_once_and_then_read_from_disk(cached, objects):
    cache, path = cached
    assert cache.image(SHA256, "s3://data/skin/a.jpg") == DATA
    assert path.read_bytes() == DATA
    objects.delete_object("data", "skin/a.jpg")
    assert cache.image(SHA256, "s3://data/skin/a.jpg") == DATA


def test_a_flipped_byte_on_disk_is_thrown_away_and_fetched_again(cached):
    cache, path = cached
    cache.image(SHA256, "s3://data/skin/a.jpg")
    path.write_bytes(b"T" + DATA[1:])
    assert cache.image(SHA256, "s3://data/skin/a.jpg") == DATA
    assert path.read_bytes() == DATA


def test_a_damaged_object_raises_and_leaves_nothing(cached, objects):
    cache, path = cached
    objects.upload_file("data", "skin/a.jpg", DATA[:-1])
    with pytest.raises(StorageError, match=r"skin/a\.jpg is damaged"):
        cache.image(SHA256, "s3://data/skin/a.jpg")
    assert [file for file in path.parents[1].rglob("*") if file.is_file()] == []


def test_a_damaged_file_on_disk_over_a_damaged_object_leaves_nothing(cached, objects):
    cache, path = cached
    cache.image(SHA256, "s3://data/skin/a.jpg")
    path.write_bytes(b"")
    objects.upload_file("data", "skin/a.jpg", b"")
    with pytest.raises(StorageError, match="damaged"):
        cache.image(SHA256, "s3://data/skin/a.jpg")
    assert not path.exists()


def test_an_image_that_is_nowhere_is_a_key_error(cached):
    cache, path = cached
    with pytest.raises(KeyError):
        cache.image(SHA256, "s3://data/skin/gone.jpg")
    assert not path.exists()


def test_a_model_file_comes_back_verified(objects):
    models = ModelFiles(objects, "data")
    key, sha256 = models.write("run-1", "model.ckpt", DATA)
    assert (key, sha256) == ("skin/models/run-1/model.ckpt", SHA256)
    assert models.read(key, sha256) == DATA
    assert objects.get_object_metadata("data", key)["sha256"] == SHA256
    objects.upload_file("data", key, DATA + b"x")
    with pytest.raises(StorageError, match="is damaged"):
        models.read(key, sha256)
    with pytest.raises(KeyError):
        models.read("skin/models/run-2/model.ckpt", sha256)


def test_a_reference_is_read_by_run_else_the_newest(objects):
    references = References(objects, "data")
    path = ("raw", "images", "2026-05-01-x")
    assert references.write(path, "run-1", {"label": "Nävus"}) == "references/raw/images/2026-05-01-x/run-1.json"
    references.write(path, "run-2", {"label": "zweiter"})
    assert references.read(path) == {"label": "zweiter"}
    assert references.read(path, ["run-1"]) == {"label": "Nävus"}
    assert references.read(path, ["run-0", "run-1", "run-2"]) == {"label": "Nävus"}
    assert references.read(path, ["run-0"]) == {"label": "zweiter"}
    assert "Nävus".encode() in objects.download_file("data", "references/raw/images/2026-05-01-x/run-1.json")


def test_what_was_never_made_says_so(objects):
    with pytest.raises(KeyError, match="raw/images has never been materialized"):
        References(objects, "data").read(("raw", "images"), ["run-1"])
