"""Promises of ingest: every file has a verdict, the good ones are stored once, a replay changes nothing."""

import hashlib
import os
from pathlib import Path

import pytest

from skin_platform.core.batches import Delivery
from skin_platform.storage.batches import Batches
from skin_platform.storage.ingest import judge_delivery, reasons, store_images
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.quarantine import Quarantine
from skin_platform_tests.core.pictures import encoded, jpeg, picture, png, png_that_claims
from skin_platform_tests.storage.deliveries import BUCKET, RULES, claimed, drop, landed

BAD = {
    "nevus/empty.jpg": (b"", "the file is empty"),
    "nevus/text.jpg": (b"not a picture at all", "the content is not an image, whatever .jpg says"),
    "nevus/cut.jpg": (jpeg(1)[:-300], "truncated or corrupt JPEG"),
    "nevus/cut.png": (png(1)[:-300], "truncated or corrupt PNG"),
    "nevus/moving.jpg": (encoded(picture(), "GIF"), "GIF is not taken"),
    "nevus/png.jpg": (png(2), "the content is PNG but the name ends in .jpg"),
    "nevus/small.jpg": (jpeg(1, 60, 10), "60x10 pixels is too small to judge"),
    "nevus/bomb.png": (png_that_claims(60_000, 60_000), "too many pixels"),
    "nevus/heavy.jpg": (b"x" * 20_001, "20001 bytes is over the limit of 20000"),
    "nevus/notes.txt": (b"see attached", "the extension .txt is not one of"),
    "keratosis/a.jpg": (jpeg(3), "the label 'keratosis' is not in the configuration"),
    "lost.jpg": (jpeg(4), "no label: the file stands in no label folder"),
    "nevus/two.jpg": (jpeg(5), "two labels: the folder says 'nevus', the table says 'Mélanome à voir'"),
    "nevus/other.jpg": (jpeg(6), "the bytes are not those of the SHA-256 in the table"),
}
GOOD = {
    "nevus/a.jpg": jpeg(10), "train/nevus/b.jpeg": jpeg(11), "Training/Mélanome à voir/ü c.JPG": jpeg(12),
    "nevus/d.png": png(13), "flat.jpg": jpeg(14), "nevus/promised.jpg": jpeg(15),
}
TABLE = f"""\ufefffile,label,split,patient_id,age,sha256
flat.jpg,nevus,val,P1,40,
nevus/a.jpg,,,P1,unknown,
nevus/two.jpg,Mélanome à voir,,,,
nevus/other.jpg,nevus,,,,{'0' * 64}
nevus/promised.jpg,nevus,,,,{hashlib.sha256(jpeg(15)).hexdigest().upper()}
nevus/absent.jpg,nevus,,P3,50,
""".encode()


@pytest.fixture
def root(tmp_path):
    """An empty landing folder."""
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


@pytest.fixture
def ledger(tmp_path):
    """A ledger beside it."""
    ledger = LandingLedger(tmp_path / "landing.db")
    yield ledger
    ledger.dispose()


@pytest.fixture(params=["local folder", "s3"])
def objects(request, tmp_path):
    """An object store with the images bucket."""
    store = ObjectStore(tmp_path / "objects" if request.param == "local folder" else request.getfixturevalue("s3_access"))
    store.create_bucket(BUCKET)
    for item in store.list_objects(BUCKET):
        store.delete_object(BUCKET, item.key)
    return store


def _paths(root, judged):
    return {item.row["file_id"]: root / item.name for item in judged}


def _stored(root, judged, objects, known=()):
    return store_images([item.row for item in judged], _paths(root, judged), dict(known), objects, BUCKET)


def _good(judged):
    return {item.row["file_id"]: item.row for item in judged if not item.reason}


def test_every_bad_file_has_its_reason_and_every_good_one_lands(root, ledger, objects):
    drop(root, {name: data for name, (data, _) in BAD.items()} | GOOD | {"manifest.csv": TABLE})
    _, judged = landed(root, ledger)
    by_name = {item.name: item for item in judged}
    assert by_name.keys() == BAD.keys() | GOOD.keys() | {"nevus/absent.jpg"}
    assert {name: by_name[name].reason for name in GOOD} == dict.fromkeys(GOOD)
    for name, (_, reason) in BAD.items():
        assert (by_name[name].in_full or by_name[name].reason).startswith(reason), name
    assert by_name["nevus/absent.jpg"].reason == "listed in the table, but not delivered"
    rows = {row["file_id"]: row for row in _stored(root, judged, objects)}
    assert sum(row["reason"] is None for row in rows.values()) == len(GOOD)
    for name, data in GOOD.items():
        row = rows[by_name[name].row["file_id"]]
        key = row["s3_uri"].removeprefix(f"s3://{BUCKET}/")
        assert objects.download_file(BUCKET, key) == data
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert objects.get_object_metadata(BUCKET, key)["label"] == row["label"]
    assert len(list(objects.list_objects(BUCKET))) == len(GOOD)
    assert sum(reasons(rows.values()).values()) == len(BAD) + 1


def test_rows_say_what_folders_and_tables_said_and_no_original_id(root, ledger):
    drop(root, GOOD | {"manifest.csv": TABLE})
    delivery, judged = landed(root, ledger)
    rows = {item.name: item.row for item in judged}
    flat, first = rows["flat.jpg"], rows["nevus/a.jpg"]
    assert (flat["label"], flat["split"], flat["age"], first["age"]) == ("nevus", "val", "40", None)
    assert flat["patient_id"] == first["patient_id"] != "P1"
    assert rows["Training/Mélanome à voir/ü c.JPG"]["split"] == "train"
    assert rows["nevus/d.png"]["format"] == "PNG"
    assert flat["url_source"] == f"landing://{delivery.batch_id}/{flat['file_id']}"
    assert flat["ingested_at"] == delivery.claimed_at
    assert len({row["file_id"] for row in rows.values()}) == len(rows)
    told = str([{**row, "label": ""} for row in rows.values()])
    assert not any(Path(name).stem in told for name in GOOD if len(Path(name).stem) > 3)


def test_replaying_a_batch_changes_nothing(root, ledger, objects):
    drop(root, {name: data for name, (data, _) in BAD.items()} | GOOD | {"manifest.csv": TABLE})
    delivery, judged = landed(root, ledger)
    first = _stored(root, judged, objects)
    again = list(judge_delivery(delivery, RULES, _good(judged)))
    assert again == judged
    assert _stored(root, again, objects) == first


def test_a_replay_after_the_landing_folder_was_cleared_changes_nothing(root, ledger, objects):
    drop(root, GOOD | {"manifest.csv": TABLE})
    delivery, judged = landed(root, ledger)
    first = _stored(root, judged, objects)
    known = {row["sha256"]: row["s3_uri"] for row in first if not row["reason"]}
    for name in GOOD:
        (root / name).unlink()
    again = list(judge_delivery(delivery, RULES, _good(judged)))
    assert again == judged
    assert _stored(root, again, objects, known) == first


def test_a_file_changed_after_the_claim_is_refused_and_comes_with_the_next_batch(root, ledger, objects):
    drop(root, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2), "nevus/c.jpg": jpeg(3)})
    [delivery] = claimed(root, ledger)
    drop(root, {"nevus/b.jpg": jpeg(4, 99, 77)})
    (root / "nevus/c.jpg").unlink()
    judged = {item.name: item.reason for item in judge_delivery(delivery, RULES, {})}
    assert judged["nevus/a.jpg"] is None
    assert judged["nevus/b.jpg"] == "changed after it was claimed; its new content comes with a later batch"
    assert judged["nevus/c.jpg"] == "unreadable: No such file or directory"
    [later] = claimed(root, ledger)
    assert [item.name for item in judge_delivery(later, RULES, {})] == ["nevus/b.jpg"]


def test_a_file_changed_between_judging_and_storing_is_not_stored_under_a_wrong_name(root, ledger, objects):
    drop(root, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2), "nevus/c.jpg": jpeg(3)})
    _, judged = landed(root, ledger)
    drop(root, {"nevus/b.jpg": jpeg(4)})
    (root / "nevus/c.jpg").unlink()
    good, changed, gone = _stored(root, judged, objects)
    assert good["reason"] is None
    assert changed["reason"].startswith("changed while it was being stored")
    assert gone["reason"] == "gone before it could be stored"
    assert [item.key for item in objects.list_objects(BUCKET)] == [f"skin/unassigned/nevus/{good['sha256']}.jpg"]


def test_the_same_bytes_are_stored_once_whatever_they_are_called(root, ledger, objects):
    drop(root, {"train/nevus/a.jpg": jpeg(1), "val/nevus/b.jpg": jpeg(1), "Mélanome à voir/c.jpg": jpeg(1),
                "nevus/d.jpg": jpeg(2)})
    _, judged = landed(root, ledger)
    elsewhere = f"s3://{BUCKET}/skin/unassigned/nevus/stored-before.jpg"
    objects.upload_file(BUCKET, "skin/unassigned/nevus/stored-before.jpg", jpeg(2))
    rows = _stored(root, judged, objects, {hashlib.sha256(jpeg(2)).hexdigest(): elsewhere})
    assert len(list(objects.list_objects(BUCKET))) == 2
    assert len({row["s3_uri"] for row in rows}) == 2
    assert rows[[item.name for item in judged].index("nevus/d.jpg")]["s3_uri"] == elsewhere


def test_a_stored_object_that_is_gone_is_stored_again_where_it_was(root, ledger, objects):
    drop(root, {"nevus/a.jpg": jpeg(1)})
    _, judged = landed(root, ledger)
    [row] = _stored(root, judged, objects)
    key = row["s3_uri"].removeprefix(f"s3://{BUCKET}/")
    objects.delete_object(BUCKET, key)
    assert _stored(root, judged, objects, {row["sha256"]: row["s3_uri"]}) == [row]
    assert objects.download_file(BUCKET, key) == jpeg(1)


def test_a_table_names_its_files_from_its_own_folder_and_the_nearest_counts(root, ledger):
    drop(root, {"one/img/a.jpg": jpeg(1), "two/a.jpg": jpeg(2), "one/manifest.csv": b"file,label\nimg/a.jpg,nevus\n",
                "two/METADATA.CSV": b"file,label,age\na.jpg,nevus,3\n", "manifest.csv": b"file,label\nx.jpg,nevus\n"})
    _, judged = landed(root, ledger)
    assert {item.name: item.reason for item in judged} == {
        "one/img/a.jpg": None, "two/a.jpg": None, "x.jpg": "listed in the table, but not delivered"}


@pytest.mark.parametrize("table", [
    b"\xff\xfe\x00f\x00i", b"datei,befund\n", b"file,label\na.jpg," + b"x" * 200_000],
    ids=["UTF-16", "no file column", "a cell beyond measure"])
def test_a_table_that_cannot_be_read_is_quarantined_and_stops_nobody(root, ledger, table):
    drop(root, {"nevus/a.jpg": jpeg(1), "manifest.csv": table})
    _, judged = landed(root, ledger)
    assert [item.name for item in judged if not item.reason] == ["nevus/a.jpg"]
    assert [item.reason.partition(":")[0] for item in judged if item.name == "manifest.csv"] == ["unreadable table"]


def test_no_cell_of_a_table_breaks_the_batch(root, ledger):
    cells = ["/nowhere/a.jpg", "../up.jpg", "C:\\x\\a.jpg", "x" * 300, "a/" * 3000, "nul\x00", "nevus", "."]
    table = "file,label\n" + "".join(f'"{cell}",nevus\n' for cell in cells)
    drop(root, {"nevus/a.jpg": jpeg(1), "manifest.csv": table.encode()})
    _, judged = landed(root, ledger)
    assert next(item for item in judged if item.name == "nevus/a.jpg").reason is None
    assert {item.reason for item in judged if item.reason} == {"listed in the table, but not delivered"}


def test_names_that_are_not_utf8_are_judged_and_fit_a_manifest(root, ledger, objects):
    odd = {os.fsdecode(name): jpeg(number) for number, name in enumerate(
        [b"nevus/caf\xe9.jpg", b"nevus/b.\xff", b"n\xe9vus/c.jpg"])}
    drop(root, odd)
    delivery, judged = landed(root, ledger)
    by_name = {item.name: item.reason for item in judged}
    assert by_name[os.fsdecode(b"nevus/caf\xe9.jpg")] is None
    assert "the extension is not one of" in by_name[os.fsdecode(b"nevus/b.\xff")]
    rows = _stored(root, judged, objects)
    objects.create_bucket("odd-data")
    batches = Batches(objects, "odd-data")
    batches.write_delivery(delivery)
    batches.write_names(delivery.batch_id, {item.row["file_id"]: item.name for item in judged})
    key, sha256 = batches.write_manifest(delivery.batch_id, "landed", rows)
    assert len(batches.read_manifest(key, sha256)) == 3
    assert batches.read_delivery(delivery.batch_id) == delivery
    quarantine = Quarantine(objects, "odd-data")
    quarantine.write(delivery, judged)
    assert {found.file for found in quarantine.entries(ledger)} == {name for name, reason in by_name.items() if reason}
    assert all(found.as_dict()["file"].isascii() for found in quarantine.entries(ledger))


def test_an_empty_delivery_has_no_rows(root):
    assert list(judge_delivery(Delivery("2026-05-01-x", str(root), "", ()), RULES, {})) == []


def test_reasons_are_counted_most_frequent_first():
    assert reasons([{"reason": "a"}, {"reason": "b"}, {"reason": None}, {"reason": "b"}]) == {"b": 2, "a": 1}
    assert list(reasons([{"reason": "a"}, {"reason": "b"}, {"reason": "b"}])) == ["b", "a"]
