"""Promises of the S3 endpoint where something goes wrong: what is passing is repeated, what is not is one clear error."""

import hashlib
import itertools
import json
import time
from contextlib import contextmanager

import httpx
import pytest

from skin_platform.storage.buckets import S3Access, S3Buckets
from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.deployments import free_port
from skin_platform_tests.storage.faulty import faulty

DATA = hashlib.shake_256(b"seed").digest(300_000)
BIG = hashlib.shake_256(b"big").digest(12_000_000)
SECRET = "a-secret-that-nobody-may-see"
_numbers = itertools.count()


def moto_user(access, *statements):
    """The access of a new user with these statements in its policy; counts only where ``keys_count``."""
    import boto3

    iam = boto3.client("iam", endpoint_url=access.endpoint, region_name=access.region, aws_access_key_id=access.access_key,
                       aws_secret_access_key=access.secret_key)
    name = f"user-{next(_numbers)}"
    iam.create_user(UserName=name)
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return S3Access(access.endpoint, key["AccessKeyId"], key["SecretAccessKey"])


@contextmanager
def keys_count(access):
    """Moto judges keys by their signatures and policies, until the block ends."""
    httpx.post(f"{access.endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
    try:
        yield
    finally:
        httpx.post(f"{access.endpoint}/moto-api/reset-auth", content=b"inf").raise_for_status()


@pytest.fixture(params=["rclone", "moto"])
def access(request):
    return request.getfixturevalue({"rclone": "s3_access", "moto": "moto_access"}[request.param])


@pytest.fixture
def shaky(access):
    """A store behind an endpoint that fails as told, with a bucket of its own that holds ``a``."""
    with faulty(access.endpoint) as (address, faults):
        store = ObjectStore(S3Access(address, access.access_key, access.secret_key))
        bucket = f"shaky-{next(_numbers)}"
        store.create_bucket(bucket)
        store.upload_file(bucket, "a", DATA, {"label": "ü"})
        faults.seen.clear()
        yield store, bucket, faults
        assert faults.is_spent


@pytest.mark.parametrize("faults", [["503", "500"], ["429"], ["reset"], ["lost"], ["cut"], ["short"], ["cut", "503", "cut"]],
                         ids="-".join)
def test_a_download_comes_through_whole(shaky, faults):
    store, bucket, planned = shaky
    planned.plan("GET", *faults)
    assert store.download_file(bucket, "a") == DATA
    assert planned.seen == ["GET"] * (len(faults) + 1)


@pytest.mark.parametrize("faults", [["503", "500"], ["429"], ["reset"], ["lost"]], ids="-".join)
def test_an_upload_comes_through_whole(shaky, faults):
    store, bucket, planned = shaky
    planned.plan("PUT", *faults)
    store.upload_file(bucket, "b", DATA, {"label": "ü"})
    assert planned.seen == ["PUT"] * (len(faults) + 1)
    assert store.download_file(bucket, "b") == DATA
    assert store.get_object_metadata(bucket, "b") == {"label": "ü", "size_bytes": "300000"}


@pytest.mark.parametrize(("method", "path", "faults"), [
    ("PUT", "partNumber", ["503", "reset", "429", "lost"]), ("POST", "uploads", ["503", "reset"]),
    ("POST", "uploadId", ["503", "reset"]), ("POST", "uploadId", ["cut"]), ("POST", "uploadId", ["lost"]),
], ids=["parts", "beginning", "end", "end cut", "end lost"])
def test_an_upload_in_parts_comes_through_whole(shaky, method, path, faults):
    store, bucket, planned = shaky
    planned.plan(method, *faults, path=path)
    store.upload_file(bucket, "big", BIG)
    assert store.download_file(bucket, "big") == BIG


def test_looking_listing_and_deleting_come_through(shaky):
    store, bucket, planned = shaky
    planned.plan("HEAD", "503", "reset", "429", "503")
    assert store.object_exists(bucket, "a")
    assert store.get_object_metadata(bucket, "a")["label"] == "ü"
    planned.plan("GET", "503", "cut", "reset")
    assert [item.key for item in store.list_objects(bucket)] == ["a"]
    planned.plan("POST", "503", "reset", "cut")
    store.delete_object(bucket, "a")
    assert not store.object_exists(bucket, "a")


def test_the_administration_of_buckets_comes_through(shaky):
    store, bucket, planned = shaky
    planned.plan("HEAD", "503", "reset")
    assert store.bucket_exists(bucket)
    planned.plan("PUT", "503")
    store.create_bucket(f"{bucket}-other")
    assert store.bucket_exists(f"{bucket}-other")


def test_a_creation_whose_answer_was_lost_is_known_as_ones_own(shaky):
    store, bucket, planned = shaky
    planned.plan("PUT", "lost")
    store.upload_file(bucket, "once", b"mine", {"label": "x"}, only_if_absent=True)
    assert store.get_object_metadata(bucket, "once") == {"label": "x", "size_bytes": "4"}
    with pytest.raises(FileExistsError):
        store.upload_file(bucket, "once", b"mine", {"label": "x"}, only_if_absent=True)


def test_a_byte_that_flips_on_the_way_is_asked_for_again(shaky):
    store, bucket, planned = shaky
    planned.plan("GET", "flip")
    assert store.download_verified(bucket, "a", hashlib.sha256(DATA).hexdigest()) == DATA
    planned.plan("GET", "flip", "flip")
    with pytest.raises(StorageError, match=r"/a is damaged"):
        store.download_verified(bucket, "a", hashlib.sha256(DATA).hexdigest())


def test_what_fails_for_good_is_one_clear_error(shaky):
    store, bucket, planned = shaky
    planned.plan("GET", *["503"] * 6)
    with pytest.raises(StorageError, match=r"cannot be used .*S3_ENDPOINT") as caught:
        store.download_file(bucket, "a")
    assert len(planned.seen) == 6
    assert "\n" not in str(caught.value)


def test_a_store_that_is_down_says_so_soon():
    access = S3Access(f"http://127.0.0.1:{free_port()}", "some-key", SECRET)
    store = ObjectStore(access)
    for ask in (lambda: store.create_bucket("any"), lambda: store.bucket_exists("any"), lambda: store.download_file("any", "a"),
                lambda: store.upload_file("any", "a", DATA), lambda: store.upload_file("any", "a", b"", only_if_absent=True),
                lambda: list(store.list_objects("any")), lambda: store.delete_object("any", "a")):
        started = time.monotonic()
        with pytest.raises(StorageError, match="S3_ENDPOINT") as caught:
            ask()
        assert time.monotonic() - started < 15
        assert access.endpoint in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_bucket_that_is_refused_is_not_taken_for_missing(moto_access):
    """With a policy that lets a key see nothing, and one that lets it see its own bucket but not list all of them."""
    bucket = f"guarded-{next(_numbers)}"
    ObjectStore(moto_access).create_bucket(bucket)
    blind = ObjectStore(moto_user(moto_access))
    seeing = ObjectStore(moto_user(
        moto_access, {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:HeadBucket", "s3:GetObject"], "Resource": "*"}))
    with keys_count(moto_access):
        with pytest.raises(StorageError, match="S3_ACCESS_KEY and S3_SECRET_KEY"):
            blind.bucket_exists(bucket)
        assert seeing.bucket_exists(bucket)
        assert not seeing.bucket_exists("nobody-made-this")
        with pytest.raises(StorageError, match="S3_ACCESS_KEY and S3_SECRET_KEY"):
            seeing.upload_file(bucket, "a", b"x")


def test_a_bucket_is_created_in_the_region_that_is_set(moto_access):
    import boto3

    access = S3Access(moto_access.endpoint, moto_access.access_key, moto_access.secret_key, "eu-central-1")
    S3Buckets(access).create("in-frankfurt")
    client = boto3.client("s3", endpoint_url=access.endpoint, region_name=access.region,
                          aws_access_key_id=access.access_key, aws_secret_access_key=access.secret_key)
    assert client.get_bucket_location(Bucket="in-frankfurt")["LocationConstraint"] == "eu-central-1"
    ObjectStore(access).create_bucket("in-frankfurt")
