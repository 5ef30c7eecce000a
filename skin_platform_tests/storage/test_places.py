"""Promises of places: a folder and a bucket prefix land alike, and neither is ever changed."""

import itertools
import time
from datetime import timedelta

import boto3
import pytest

from skin_platform.core.batches import Delivery
from skin_platform.storage.buckets import S3Access
from skin_platform.storage.faults import StorageError
from skin_platform.storage.ingest import judge_delivery
from skin_platform.storage.landing import look
from skin_platform.storage.landing_bucket import LandingBucket
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import LandingFolder, name_in
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.deployments import free_port
from skin_platform_tests.storage.deliveries import RULES, claimed, now
from skin_platform_tests.storage.landing_places import IntoBucket, IntoFolder

NUMBERS = itertools.count()
TABLE = b"file,label,patient_id\na.jpg,nevus,P1\nimg/b.jpg,nevus,P2\n"


@pytest.fixture(params=["folder", "bucket on s3", "bucket in a folder"])
def landing(request, tmp_path):
    """An empty place of each kind."""
    if request.param == "folder":
        return IntoFolder(tmp_path / "in")
    where = request.getfixturevalue("s3_access") if request.param.endswith("s3") else tmp_path / "objects"
    return IntoBucket(ObjectStore(where), f"landing-{next(NUMBERS)}")


@pytest.fixture
def ledger(tmp_path):
    ledger = LandingLedger(tmp_path / "landing.db")
    yield ledger
    ledger.dispose()


def names(landing, delivery):
    return [name_in(landing.place, file.path) for file in delivery.files]


def judged(landing, delivery, ledger=None):
    found = {item.name: item for item in judge_delivery(delivery, RULES, {}, landing.place)}
    if ledger:
        ledger.note_contents({file.path: found[name_in(landing.place, file.path)].row["delivered_sha256"]
                              for file in delivery.files})
    return found


def test_what_landed_is_claimed_once_and_judged(landing, ledger):
    for name in ("nevus/b ü.jpg", "nevus/.hidden.jpg", "__MACOSX/nevus/x.jpg", "nevus/a.jpg"):
        landing.put(name, jpeg(1))
    [delivery] = claimed(landing.place, ledger)
    assert delivery.root == landing.place.root
    assert names(landing, delivery) == ["nevus/a.jpg", "nevus/b ü.jpg"]
    assert {item.reason for item in judged(landing, delivery).values()} == {None}
    assert claimed(landing.place, ledger) == []


def test_an_empty_place_has_nothing(landing, ledger):
    assert claimed(landing.place, ledger) == []


def test_new_content_of_the_same_size_and_time_comes_with_a_later_batch(landing, ledger):
    changed = bytearray(jpeg(1))
    changed[-3] ^= 1
    landing.put("nevus/a.jpg", jpeg(1))
    [delivery] = claimed(landing.place, ledger)
    judged(landing, delivery, ledger)
    landing.put("nevus/a.jpg", bytes(changed))
    [later] = claimed(landing.place, ledger)
    assert names(landing, later) == ["nevus/a.jpg"]
    assert claimed(landing.place, ledger) == []


def test_the_same_delivery_again_changes_nothing(landing, ledger):
    for number in range(3):
        landing.put(f"nevus/{number}.jpg", jpeg(number))
    judged(landing, claimed(landing.place, ledger)[0], ledger)
    for number in range(3):
        landing.put(f"nevus/{number}.jpg", jpeg(number))
    assert claimed(landing.place, ledger) == []
    assert look(landing.place, ledger, now(), 0).landed == 3


def test_what_is_changed_between_claim_and_judgement_is_refused_and_comes_with_a_later_batch(landing, ledger):
    landing.put("nevus/a.jpg", jpeg(1))
    landing.put("nevus/b.jpg", jpeg(2))
    [delivery] = claimed(landing.place, ledger)
    landing.put("nevus/b.jpg", jpeg(4, 99, 77))
    found = judged(landing, delivery)
    assert found["nevus/a.jpg"].reason is None
    assert found["nevus/b.jpg"].reason == "changed after it was claimed; its new content comes with a later batch"
    [later] = claimed(landing.place, ledger)
    assert {name: item.reason for name, item in judged(landing, later).items()} == {"nevus/b.jpg": None}


def test_what_is_deleted_before_judgement_says_so_and_after_it_stays_judged(landing, ledger):
    for number in range(2):
        landing.put(f"nevus/{number}.jpg", jpeg(number))
    [delivery] = claimed(landing.place, ledger)
    landing.remove("nevus/0.jpg")
    first = judged(landing, delivery)
    assert first["nevus/0.jpg"].reason == "unreadable: No such file or directory"
    landing.remove("nevus/1.jpg")
    earlier = {item.row["file_id"]: item.row for item in first.values() if not item.reason}
    again = {item.name: item for item in judge_delivery(delivery, RULES, earlier, landing.place)}
    assert again == first
    assert claimed(landing.place, ledger) == []


@pytest.mark.parametrize("table_at", [0, 1, 2], ids=["table first", "table between", "table last"])
def test_a_delivery_that_grows_over_several_looks_ends_with_every_label(landing, ledger, table_at):
    steps = [("a.jpg", jpeg(1)), ("img/b.jpg", jpeg(2))]
    steps.insert(table_at, ("manifest.csv", TABLE))
    verdicts = {}
    for name, data in steps:
        landing.put(name, data)
        for delivery in claimed(landing.place, ledger):
            verdicts |= judged(landing, delivery)
    assert [verdicts[name].row.get("label") for name in ("a.jpg", "img/b.jpg")] == ["nevus", "nevus"]
    assert {item.reason for item in verdicts.values() if item.kind == "file"} == {None}
    assert claimed(landing.place, ledger) == []


def test_a_table_tells_labels_to_files_whatever_the_case_or_folder_it_writes(landing, ledger):
    landing.put("sub/METADATA.csv", b"file,label\nC:\\photos\\A.JPG,nevus\ngone.jpg,nevus\n")
    landing.put("sub/img/a.jpg", jpeg(1))
    [delivery] = claimed(landing.place, ledger)
    found = judged(landing, delivery)
    assert found["sub/img/a.jpg"].row["label"] == "nevus"
    assert [item.name for item in found.values() if item.kind == "missing"] == ["sub/gone.jpg"]


def test_a_file_over_the_limit_is_not_read(landing, ledger):
    landing.put("nevus/heavy.jpg", b"x" * 20_001)
    [delivery] = claimed(landing.place, ledger)
    assert judged(landing, delivery)["nevus/heavy.jpg"].reason == "20001 bytes is over the limit of 20000"
    assert landing.place.read("nevus/heavy.jpg", 20_000)[1] == b""


def test_looking_and_judging_changes_nothing_there(landing, ledger):
    landing.put("nevus/a.jpg", jpeg(1))
    landing.put("manifest.csv", TABLE)
    before = sorted(landing.place.scan())
    judged(landing, claimed(landing.place, ledger)[0])
    assert sorted(landing.place.scan()) == before


def test_objects_settle_by_the_clock_of_their_endpoint_whatever_ours_says(s3_access, ledger):
    landing = IntoBucket(ObjectStore(s3_access), f"landing-{next(NUMBERS)}")
    landing.put("nevus/a.jpg", jpeg(1))
    assert claimed(landing.place, ledger, settle_seconds=600, at=now() + timedelta(days=400)) == []
    time.sleep(2.1)  # the endpoint tells whole seconds
    landing.put("nevus/b.jpg", jpeg(2))
    [delivery] = claimed(landing.place, ledger, settle_seconds=2, at=now() - timedelta(days=400))
    assert names(landing, delivery) == ["nevus/a.jpg"]


def test_a_bucket_that_is_not_there_is_one_clear_error(s3_access, tmp_path, ledger):
    for where in (s3_access, tmp_path / "objects"):
        with pytest.raises(StorageError, match=r"there is no bucket 'nowhere' in .*: create it"):
            claimed(LandingBucket(ObjectStore(where), "nowhere", "in"), ledger)


def test_an_endpoint_that_is_down_is_told_of_without_any_name(ledger):
    nobody = S3Access(f"http://127.0.0.1:{free_port()}", "an-access-key", "a-secret-key")
    place = LandingBucket(ObjectStore(nobody), "clinic", "in")
    for action in (lambda: place.read("Muster mann/x.jpg"), lambda: place.tables("Mustermann"),
                   lambda: place.look_at("Mustermann/x.jpg"), lambda: claimed(place, ledger)):
        with pytest.raises(StorageError, match="check S3_ENDPOINT") as caught:
            action()
        assert "Muster" not in str(caught.value)


@pytest.fixture
def console(moto_access):
    """boto3, as consoles and other programs use it: any key goes."""
    return boto3.client("s3", endpoint_url=moto_access.endpoint, aws_access_key_id=moto_access.access_key,
                        aws_secret_access_key=moto_access.secret_key, region_name=moto_access.region)


def test_the_objects_that_show_folders_are_no_files(console, moto_access, ledger):
    landing = IntoBucket(ObjectStore(moto_access), f"landing-{next(NUMBERS)}")
    bucket = landing.place.root.removeprefix("s3://").partition("/")[0]
    for key in (f"{IntoBucket.PREFIX}/", f"{IntoBucket.PREFIX}/nevus/", f"{IntoBucket.PREFIX}/empty/"):
        console.put_object(Bucket=bucket, Key=key, Body=b"")
    landing.put("nevus/a%20b+c é #?.jpg", jpeg(1))
    landing.put("nevus/empty.jpg", b"")
    [delivery] = claimed(landing.place, ledger)
    assert {name: item.reason for name, item in judged(landing, delivery).items()} == {
        "nevus/a%20b+c é #?.jpg": None, "nevus/empty.jpg": "the file is empty"}


def test_a_key_that_is_no_path_is_one_clear_error_without_the_key(console, moto_access, ledger):
    landing = IntoBucket(ObjectStore(moto_access), f"landing-{next(NUMBERS)}")
    bucket = landing.place.root.removeprefix("s3://").partition("/")[0]
    console.put_object(Bucket=bucket, Key=f"{IntoBucket.PREFIX}/Mustermann//x.jpg", Body=b"x")
    with pytest.raises(StorageError, match=r"has a key that is no path .*: rename it") as caught:
        claimed(landing.place, ledger)
    assert "Mustermann" not in str(caught.value)


def test_many_objects_are_listed_in_pages(s3_access, ledger):
    objects = ObjectStore(s3_access)
    landing = IntoBucket(objects, f"landing-{next(NUMBERS)}")
    for number in range(1050):  # one page of a listing holds a thousand
        landing.put(f"nevus/{number:04}.jpg", b"x")
    deliveries = claimed(landing.place, ledger, max_files=500)
    assert [len(delivery.files) for delivery in deliveries] == [500, 500, 50]
    assert claimed(landing.place, ledger) == []


def test_a_folder_that_cannot_be_read_is_told_of_without_its_name(tmp_path, caplog):
    (tmp_path / "in").mkdir()
    folder = tmp_path / "in" / "Mustermann"
    folder.symlink_to(folder)  # root may read every folder, but not this one
    (tmp_path / "in" / "a file").write_bytes(b"")
    assert [file.size_bytes for file in LandingFolder(tmp_path / "in").scan()] == [0]
    assert list(LandingFolder(tmp_path / "in" / "a file").scan()) == []
    assert "cannot be read: Not a directory" in caplog.text
    assert "Mustermann" not in caplog.text


def test_an_empty_delivery_of_a_place_has_no_rows(landing):
    assert list(judge_delivery(Delivery("2026-05-01-x", landing.place.root, "", ()), RULES, {}, landing.place)) == []
