"""Promises of `skin verify`: every step named, what fails explained, nothing left behind."""

import itertools
import json

import dagster as dg
import pytest

from skin_platform.defs.objects.checks import the_store_keeps_what_it_is_given
from skin_platform.defs.resources import StoresResource
from skin_platform.storage.buckets import S3Access
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.verification import NEEDS, verify_store
from skin_platform_tests.deployments import free_port, skin
from skin_platform_tests.storage.faulty import faulty
from skin_platform_tests.storage.test_endpoint import keys_count, moto_user

_numbers = itertools.count()


@pytest.fixture
def objects(store):
    return store


@pytest.fixture
def buckets():
    return [f"verified-{next(_numbers)}" for _ in range(3)]


def statuses(found):
    return {step.name: step.status for step in found.steps}


def test_a_sound_store_passes_every_step_and_keeps_nothing(objects, buckets, tmp_path):
    objects.create_bucket(buckets[0])
    objects.upload_file(buckets[0], "mine", b"stays", {"label": "x"})
    found = verify_store(objects, buckets)
    assert found.passed, found.steps
    assert [step.name for step in found.steps] == list(NEEDS)
    assert set(statuses(found).values()) == {"ok", "note"}
    assert [[item.key for item in objects.list_objects(bucket)] for bucket in buckets] == [["mine"], [], []]
    assert f"{buckets[1]} (created now)" in found.steps[1].detail
    assert json.loads(json.dumps(found.as_dict()))["passed"] is True
    assert {path.name for path in tmp_path.rglob("*")} <= {"objects", *buckets, "mine", ".metadata", "mine.json"}


def test_what_only_some_stores_can_is_a_note(s3_access, moto_access, buckets, tmp_path):
    notes = [verify_store(ObjectStore(place), buckets).steps[-1] for place in (s3_access, moto_access, tmp_path)]
    assert [note.status for note in notes] == ["note"] * 3
    assert [note.detail.partition(":")[0] for note in notes] == ["not here", "yes", "yes"]


def test_a_store_that_changes_bytes_fails_by_name_and_keeps_nothing(s3_access, buckets):
    with faulty(s3_access.endpoint) as (address, faults):
        objects = ObjectStore(S3Access(address, s3_access.access_key, s3_access.secret_key))
        faults.plan("GET", *["flip"] * 40, path="skin-verify-")
        found = verify_store(objects, buckets)
    assert not found.passed
    assert statuses(found)["checksum"] == "failed"
    assert statuses(found)["presigned_url"] == "failed"
    assert statuses(found)["download"] == "ok"
    assert [list(ObjectStore(s3_access).list_objects(bucket)) for bucket in buckets] == [[], [], []]


def test_a_key_that_may_only_read_fails_at_the_upload(moto_access, buckets):
    for bucket in buckets:
        ObjectStore(moto_access).create_bucket(bucket)
    reading = moto_user(moto_access, {
        "Effect": "Allow", "Action": ["s3:ListBucket", "s3:HeadBucket", "s3:GetObject"], "Resource": "*"})
    with keys_count(moto_access):
        found = verify_store(ObjectStore(reading), buckets)
    assert statuses(found) == {"connection": "ok", "buckets": "ok", "upload": "failed"} | {
        name: "not tried" for name in list(NEEDS)[3:]}
    assert "S3_ACCESS_KEY" in found.steps[2].detail


def test_a_folder_that_cannot_be_written_fails_at_the_buckets(tmp_path, buckets):
    (tmp_path / "objects").write_bytes(b"a file where a folder should be")
    found = verify_store(ObjectStore(tmp_path / "objects"), buckets)
    assert statuses(found)["buckets"] == "failed"
    assert statuses(found)["delete"] == "not tried"


def test_the_command_says_ok_by_name_and_ends_with_0(tmp_path):
    done = skin("verify", "--home", tmp_path / "home")
    for name in ("connection", "buckets", "upload", "list", "download", "checksum", "metadata", "presigned URL", "delete"):
        assert name in done.stdout
    assert "failed" not in done.stdout
    report = json.loads(skin("verify", "--home", tmp_path / "home", "--json").stdout)
    assert report["passed"]
    assert report["store"] == str(tmp_path / "home" / "objects")
    assert not [path for path in (tmp_path / "home" / "objects").rglob("*") if path.is_file()]


@pytest.mark.parametrize("wrong", ["S3_SECRET_KEY", "S3_ENDPOINT", "S3_ENDPOINT without http"])
def test_the_command_names_what_is_wrong_and_ends_with_1(s3_access, tmp_path, wrong):
    env = {"S3_ENDPOINT": s3_access.endpoint, "S3_ACCESS_KEY": s3_access.access_key, "S3_SECRET_KEY": s3_access.secret_key} | {
        "S3_SECRET_KEY": {"S3_SECRET_KEY": "not-the-right-one-17"}, "S3_ENDPOINT": {
            "S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"}}.get(wrong, {"S3_ENDPOINT": "127.0.0.1:9000"})
    done = skin("verify", "--home", tmp_path / "home", "--json", env=env, check=False)
    assert done.returncode == 1
    first = json.loads(done.stdout)["steps"][0]
    assert (first["name"], first["status"]) == ("connection", "failed")
    assert wrong.split()[0] in first["detail"]
    assert "not-the-right-one-17" not in done.stdout + done.stderr
    assert s3_access.secret_key not in done.stdout + done.stderr


def test_the_asset_check_tells_every_step(tmp_path):
    result = the_store_keeps_what_it_is_given(stores=StoresResource(home=str(tmp_path / "home")))
    assert isinstance(result, dg.AssetCheckResult)
    assert result.passed
    steps = result.metadata["steps"]
    assert isinstance(steps, dg.TableMetadataValue)
    assert [record.data["step"] for record in steps.records] == list(NEEDS)
