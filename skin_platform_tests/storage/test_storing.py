"""Promises of storing: what is stored is the cleaned picture, once, and the store is asked no more than it has to be."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest

from skin_platform.core.cleaning import cleaned
from skin_platform.storage.door import judge_bytes, rows_of
from skin_platform.storage.ingest import store_images
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.core.pictures import jpeg, orientation, png
from skin_platform_tests.storage.deliveries import BUCKET, RULES


class CountingStore(ObjectStore):
    """A local store that remembers which keys it was asked for."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.asked: list[str] = []

    def object_exists(self, bucket: str, key: str) -> bool:
        self.asked.append(key)
        return super().object_exists(bucket, key)


@pytest.fixture
def objects(tmp_path):
    store = CountingStore(tmp_path / "objects")
    store.create_bucket(BUCKET)
    return store


def _judged(root, files):
    """The row of each file and its path, by name."""
    rows, paths = [], {}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        paths[name] = root / name
        rows += rows_of([judge_bytes(data, PurePosixPath(name), None, {"file_id": name, "reason": None}, RULES)])
    return rows, paths


def _stored(objects):
    return {item.key: objects.download_file(BUCKET, item.key) for item in objects.list_objects(BUCKET)}


def test_what_is_stored_is_the_cleaned_picture_under_its_own_digest(tmp_path, objects):
    sent = {"nevus/a.jpg": jpeg(1, exif=orientation(1), comment=b"at home"), "nevus/b.jpg": jpeg(2, exif=orientation(6)),
            "nevus/c.png": png(3, exif=orientation(8)), "nevus/d.jpg": jpeg(4)}
    rows, paths = _judged(tmp_path, sent)
    for row, (name, data) in zip(store_images(rows, paths, {}, objects, BUCKET), sent.items(), strict=True):
        assert row["delivered_sha256"] == hashlib.sha256(data).hexdigest(), name
        stored = objects.download_file(BUCKET, row["s3_uri"].removeprefix(f"s3://{BUCKET}/"))
        assert stored == cleaned(data)
        assert hashlib.sha256(stored).hexdigest() == row["sha256"]
        assert row["bytes"] == len(stored)


def test_two_files_that_differ_in_their_metadata_alone_are_one_object(tmp_path, objects):
    rows, paths = _judged(tmp_path, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(1, exif=orientation(1))})
    store_images(rows, paths, {}, objects, BUCKET)
    assert list(_stored(objects).values()) == [jpeg(1)]


def test_the_store_is_only_asked_for_what_the_catalogue_says_it_holds(tmp_path, objects):
    rows, paths = _judged(tmp_path, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    first = store_images(rows, paths, {}, objects, BUCKET)
    assert objects.asked == []
    known = {first[0]["sha256"]: first[0]["s3_uri"]}
    assert store_images(rows, paths, known, objects, BUCKET) == first
    assert objects.asked == [first[0]["s3_uri"].removeprefix(f"s3://{BUCKET}/")]


def test_the_same_bytes_under_two_labels_are_put_once_with_the_label_of_the_first(tmp_path, objects):
    rows, paths = _judged(tmp_path, {"Mélanome à voir/a.jpg": jpeg(1), "nevus/a.jpg": jpeg(1)})
    first, second = store_images(rows, paths, {}, objects, BUCKET)
    assert first["s3_uri"] == second["s3_uri"]
    [key] = _stored(objects)
    assert objects.get_object_metadata(BUCKET, key)["label"] == "Mélanome à voir"


def test_what_a_killed_run_stored_is_found_though_its_file_is_gone(tmp_path, objects):
    rows, paths = _judged(tmp_path, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2, exif=orientation(3))})
    before = store_images(rows, paths, {}, objects, BUCKET)
    (tmp_path / "nevus/a.jpg").unlink()
    (tmp_path / "nevus/b.jpg").write_bytes(jpeg(3))
    assert store_images(rows, paths, {}, objects, BUCKET) == before


def test_another_picture_or_a_bomb_in_the_place_of_a_judged_file_is_never_decoded_nor_stored(tmp_path, objects):
    rows, paths = _judged(tmp_path, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    (tmp_path / "nevus/a.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (tmp_path / "nevus/b.jpg").unlink()
    changed, gone = store_images(rows, paths, {}, objects, BUCKET)
    assert changed["reason"].startswith("changed while it was being stored")
    assert gone["reason"] == "gone before it could be stored"
    assert _stored(objects) == {}
