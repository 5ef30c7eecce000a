"""The contract of the object store: the same nine operations over a local folder and over two S3 endpoints."""

import hashlib
import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse

import httpx
import pytest

from skin_platform.storage.buckets import S3Access
from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore, StoredObject, parse_uri

KEYS = ["a/b.txt", "skin/ü ñ/猫 x.jpg", "a/50%/%20", "a/q?#&+=.jpg", "a/it's~(1) [2].jpg", "a/..b/c"]
SECRET = "a-secret-that-nobody-may-see"
_numbers = itertools.count()


@pytest.fixture
def bucket(store):
    """A bucket of the test's own."""
    name = f"contract-{next(_numbers)}"
    store.create_bucket(name)
    return name


def test_a_bucket_is_created_once_and_again_without_harm(store, bucket):
    store.upload_file(bucket, "a", b"kept")
    store.create_bucket(bucket)
    assert store.bucket_exists(bucket)
    assert store.download_file(bucket, "a") == b"kept"
    assert not store.bucket_exists("nobody-made-this")


@pytest.mark.parametrize("key", KEYS)
def test_what_is_stored_comes_back_under_any_key(store, bucket, key):
    store.upload_file(bucket, key, b"\x00\xff bytes")
    assert store.download_file(bucket, key) == b"\x00\xff bytes"
    assert store.object_exists(bucket, key)
    assert list(store.list_objects(bucket)) == [StoredObject(key, 8)]
    store.delete_object(bucket, key)
    assert not store.object_exists(bucket, key)


def test_an_empty_object_is_an_object(store, bucket):
    store.upload_file(bucket, "empty", b"")
    assert store.download_file(bucket, "empty") == b""
    assert store.object_exists(bucket, "empty")


def test_a_file_is_stored_as_its_bytes(store, bucket, tmp_path):
    (tmp_path / "ü.bin").write_bytes(bytes(range(256)) * 5000)
    store.upload_file(bucket, "big", tmp_path / "ü.bin", {"label": "x"})
    assert store.download_file(bucket, "big") == bytes(range(256)) * 5000
    assert store.get_object_metadata(bucket, "big") == {"label": "x", "size_bytes": "1280000"}


def test_storing_again_replaces_the_object_and_what_was_said_of_it(store, bucket):
    store.upload_file(bucket, "a", b"first", {"label": "x", "sha256": "1"})
    store.upload_file(bucket, "a", b"second", {"label": "y"})
    assert store.get_object_metadata(bucket, "a") == {"label": "y", "size_bytes": "6"}
    store.upload_file(bucket, "a", b"third")
    assert store.get_object_metadata(bucket, "a") == {"size_bytes": "5"}
    assert store.download_file(bucket, "a") == b"third"


@pytest.mark.parametrize("value", ["nevus", "Mélanome à voir", "皮膚 / 50%; a,b", "100%25"])
def test_metadata_of_any_script_comes_back(store, bucket, value):
    store.upload_file(bucket, "ü/a", b"x", {"label": value})
    assert store.get_object_metadata(bucket, "ü/a") == {"label": value, "size_bytes": "1"}


@pytest.mark.parametrize("from_a_path", [False, True], ids=["bytes", "path"])
def test_what_is_over_16_mb_goes_up_in_parts_and_comes_back_whole(store, bucket, tmp_path, from_a_path):
    data = hashlib.shake_256(b"seed").digest(17_000_003)
    (tmp_path / "big").write_bytes(data)
    store.upload_file(bucket, "big ü", tmp_path / "big" if from_a_path else data, {"label": "ü"})
    assert store.download_file(bucket, "big ü") == data
    assert store.get_object_metadata(bucket, "big ü") == {"label": "ü", "size_bytes": "17000003"}


UPLOAD = """
import resource, sys
from pathlib import Path
from skin_platform.storage.buckets import S3Access
from skin_platform.storage.objects import ObjectStore
store = ObjectStore(S3Access(sys.argv[1], "test-access-key", "test-secret-key"))
store.create_bucket("memory")
for megabytes in (100, 400):
    path = Path(sys.argv[2]) / str(megabytes)
    with path.open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    store.upload_file("memory", "big", path)
    assert store.get_object_metadata("memory", "big")["size_bytes"] == str(megabytes * 1_000_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file_that_is_uploaded(s3_access, tmp_path):
    done = subprocess.run([sys.executable, "-c", UPLOAD, s3_access.endpoint, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    small, large = (int(kilobytes) for kilobytes in done.stdout.split())
    assert large < small * 1.3


def test_many_threads_do_not_get_in_each_others_way(store, bucket):
    def there_and_back(number):
        key, data = f"{number % 7}/{number}", f"{number}".encode() * 2000
        store.upload_file(bucket, key, data, {"label": f"ü{number}"})
        assert store.download_file(bucket, key) == data
        assert store.get_object_metadata(bucket, key)["label"] == f"ü{number}"
        if number % 2:
            store.delete_object(bucket, key)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(there_and_back, range(120)))
    assert len(list(store.list_objects(bucket))) == 60


def test_what_is_created_once_is_not_created_again(store, bucket):
    store.upload_file(bucket, "ü/once", b"first", {"label": "x"}, only_if_absent=True)
    with pytest.raises(FileExistsError, match="ü/once is there already"):
        store.upload_file(bucket, "ü/once", b"second", {"label": "y"}, only_if_absent=True)
    assert store.download_file(bucket, "ü/once") == b"first"
    assert store.get_object_metadata(bucket, "ü/once") == {"label": "x", "size_bytes": "5"}
    store.delete_object(bucket, "ü/once")
    store.upload_file(bucket, "ü/once", b"third", only_if_absent=True)


def test_of_many_who_create_at_the_same_moment_one_wins_where_the_store_can(store, bucket):
    can = store.refuses_second_creation(bucket, "probe")
    assert list(store.list_objects(bucket)) == []

    def create(number):
        try:
            store.upload_file(bucket, "a", f"{number}".encode(), {"label": str(number)}, only_if_absent=True)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as threads:
        won = [number for number in threads.map(create, range(8)) if number is not None]
    assert can is (_kind(store) != "rclone")
    assert len(won) == 1 or not can
    assert int(store.download_file(bucket, "a")) in won


def test_bytes_are_verified_by_their_sha256(store, bucket):
    store.upload_file(bucket, "a", b"the bytes")
    sha256 = hashlib.sha256(b"the bytes").hexdigest()
    assert store.download_verified(bucket, "a", sha256) == b"the bytes"
    store.upload_file(bucket, "a", b"the bytez")
    found = hashlib.sha256(b"the bytez").hexdigest()
    with pytest.raises(StorageError, match=rf"/a is damaged: its SHA-256 is {found}, expected was {sha256}"):
        store.download_verified(bucket, "a", sha256)
    with pytest.raises(KeyError):
        store.download_verified(bucket, "b", sha256)


def test_a_file_that_is_not_there_is_not_taken_for_a_missing_bucket(store, bucket, tmp_path):
    for path in (tmp_path / "no such file", tmp_path):
        with pytest.raises(FileNotFoundError, match="no file"):
            store.upload_file(bucket, "a", path)
    assert not store.object_exists(bucket, "a")


def test_a_listing_is_ordered_takes_whole_folders_and_hides_the_metadata(store, bucket):
    for key in ("b/2", "b/1", "a/x", "bb/3", "ü ñ/猫"):
        store.upload_file(bucket, key, b"x", {"label": "y"})
    assert [item.key for item in store.list_objects(bucket)] == ["a/x", "b/1", "b/2", "bb/3", "ü ñ/猫"]
    assert [item.key for item in store.list_objects(bucket, "b")] == ["b/1", "b/2"]
    assert [item.key for item in store.list_objects(bucket, "ü ñ")] == ["ü ñ/猫"]
    assert list(store.list_objects(bucket, "nothing")) == []


def test_an_object_that_is_not_there_is_a_key_error(store, bucket):
    for ask in (store.download_file, store.get_object_metadata):
        with pytest.raises(KeyError, match="missing"):
            ask(bucket, "a/missing")
    assert not store.object_exists(bucket, "a/missing")


def test_a_folder_is_no_object(store, bucket):
    store.upload_file(bucket, "a/b", b"x")
    assert not store.object_exists(bucket, "a")
    with pytest.raises(KeyError):
        store.download_file(bucket, "a")


def test_a_bucket_that_is_not_there_is_a_key_error(store):
    for ask in (lambda: store.download_file("no-such-bucket", "a"), lambda: store.upload_file("no-such-bucket", "a", b""),
                lambda: list(store.list_objects("no-such-bucket"))):
        with pytest.raises(KeyError):
            ask()
    assert not store.object_exists("no-such-bucket", "a")


def test_deleting_twice_is_deleting_once_and_takes_the_metadata_along(store, bucket):
    store.upload_file(bucket, "a", b"x", {"label": "y"})
    store.delete_object(bucket, "a")
    store.delete_object(bucket, "a")
    assert list(store.list_objects(bucket)) == []
    store.upload_file(bucket, "a", b"x")
    assert store.get_object_metadata(bucket, "a") == {"size_bytes": "1"}


@pytest.mark.parametrize("key", ["a", "ü ñ/猫 %20.jpg"])
def test_a_presigned_url_reads_the_object_without_a_key(store, bucket, key):
    store.upload_file(bucket, key, b"for all to read")
    url = store.get_presigned_url(bucket, key, timedelta(minutes=1))
    if store.is_local:
        assert Path(unquote(urlparse(url).path)).read_bytes() == b"for all to read"
    else:
        assert httpx.get(url).content == b"for all to read"
        assert _kind(store) == "moto" or httpx.get(url.partition("?")[0]).is_client_error  # moto lets everyone in
        assert "test-secret-key" not in url


@pytest.mark.parametrize("wrong", ["secret", "key"])
def test_a_wrong_key_is_named_and_the_secret_is_not(s3_access, wrong):
    ObjectStore(s3_access).create_bucket("guarded")
    access = (S3Access(s3_access.endpoint, s3_access.access_key, SECRET) if wrong == "secret"
              else S3Access(s3_access.endpoint, "nobody", SECRET))
    for message in _refusals(ObjectStore(access)):
        assert "S3_ACCESS_KEY" in message
        assert "S3_SECRET_KEY" in message
        assert s3_access.endpoint in message
        assert SECRET not in message


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid:403"])
def test_a_wrong_endpoint_is_named_and_the_secret_is_not(endpoint):
    for message in _refusals(ObjectStore(S3Access(endpoint, "some-key", SECRET)), every=False):
        assert "S3_ENDPOINT" in message
        assert "S3_SECRET_KEY" not in message
        assert endpoint in message
        assert SECRET not in message


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "minio", "", "ftp://minio"])
def test_an_endpoint_that_is_no_url_is_refused_by_name(endpoint):
    with pytest.raises(StorageError, match=r"S3_ENDPOINT.*http://"):
        S3Access(endpoint, "some-key", SECRET)


def test_a_folder_that_cannot_be_used_is_no_matter_of_credentials(tmp_path):
    store = ObjectStore(tmp_path)
    store.create_bucket("bucket")
    (tmp_path / "bucket" / "403").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageError, match="cannot use bucket 'bucket'"):
        store.upload_file("bucket", "403/a", b"x")


def test_a_local_object_is_a_plain_file_and_its_metadata_lies_beside(tmp_path):
    store = ObjectStore(tmp_path)
    store.create_bucket("bucket")
    store.upload_file("bucket", "ü/a.jpg", b"x", {"label": "Nävus"})
    assert (tmp_path / "bucket" / "ü" / "a.jpg").read_bytes() == b"x"
    assert json.loads((tmp_path / "bucket" / ".metadata" / "ü" / "a.jpg.json").read_bytes()) == {"label": "Nävus"}


def test_the_last_object_of_a_folder_takes_the_folder_along(tmp_path):
    store = ObjectStore(tmp_path)
    store.create_bucket("bucket")
    store.upload_file("bucket", "a/b/c", b"x", {"label": "y"})
    store.delete_object("bucket", "a/b/c")
    assert [path.name for path in tmp_path.rglob("*")] == ["bucket"]


def test_a_bucket_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "bucket").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageError, match="cannot make bucket 'bucket'"):
        ObjectStore(tmp_path).create_bucket("bucket")


def test_the_keys_of_an_endpoint_are_in_no_repr(s3_access):
    assert "test-secret-key" not in repr(s3_access)
    assert "test-access-key" not in repr(s3_access)


def test_an_address_is_taken_apart():
    assert parse_uri("s3://bucket/ü/a b.jpg") == ("bucket", "ü/a b.jpg")


@pytest.mark.parametrize("bad", ["", "s3://", "s3://bucket", "s3://bucket/", "http://bucket/key", "bucket/key", "s3:///key"])
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(ValueError, match="no object's address"):
        parse_uri(bad)


def _kind(store: ObjectStore) -> str:
    """Which of the three it is."""
    if store.is_local:
        return "local folder"
    return "moto" if "Werkzeug" in httpx.get(store.address).headers.get("Server", "") else "rclone"


def _refusals(store: ObjectStore, *, every: bool = True) -> list[str]:
    """What the store says when it refuses each operation."""
    asks = [lambda: store.create_bucket("other"), lambda: list(store.list_objects("guarded")),
            lambda: store.download_file("guarded", "a")]
    if every:
        asks += [lambda: store.bucket_exists("guarded"), lambda: store.upload_file("guarded", "a", b"x"),
                 lambda: store.object_exists("guarded", "a"), lambda: store.delete_object("guarded", "a"),
                 lambda: store.get_object_metadata("guarded", "a")]
    messages = []
    for ask in asks:
        with pytest.raises(StorageError) as caught:
            ask()
        messages.append(str(caught.value))
    return messages
