"""Promises of the image cache: verified at every read, bounded, safe for several processes, and never in the way of a read."""

import hashlib
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skin_platform.storage.buckets import S3Access
from skin_platform.storage.cache import ImageCache
from skin_platform.storage.eviction import COUNTER
from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.faulty import faulty

SIZE = 10_000


def picture(number):
    """Bytes, their SHA-256 and their address."""
    data = hashlib.shake_256(str(number).encode()).digest(SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    return data, sha256, f"s3://images/skin/{sha256}.jpg"


@pytest.fixture
def objects(tmp_path):
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("images")
    for number in range(40):
        data, sha256, _ = picture(number)
        store.upload_file("images", f"skin/{sha256}.jpg", data)
    return store


def kept(root):
    """The images in a cache's folder, by name."""
    return {path.name: path for path in root.glob("??/*")}


def read(cache, number):
    data, sha256, uri = picture(number)
    assert cache.image(sha256, uri) == data
    return sha256


def unread(root, number, hours):
    """Make a cached file look as if it was used last so many hours ago."""
    path = kept(root)[picture(number)[1]]
    os.utime(path, times=(time.time() - 3600 * hours,) * 2)


def test_a_cut_file_in_the_cache_is_fetched_again(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects)
    sha256 = read(cache, 0)
    path = kept(tmp_path / "cache")[sha256]
    path.write_bytes(picture(0)[0][:-1])
    read(cache, 0)
    assert path.read_bytes() == picture(0)[0]


def test_a_byte_that_flips_in_transit_is_asked_for_again_and_no_bad_file_stays(s3_access, tmp_path):
    data, sha256, _ = picture(0)
    with faulty(s3_access.endpoint) as (address, faults):
        objects = ObjectStore(S3Access(address, s3_access.access_key, s3_access.secret_key))
        objects.create_bucket("transit")
        objects.upload_file("transit", "a.jpg", data)
        faults.plan("GET", "flip")
        cache = ImageCache(tmp_path / "cache", objects)
        assert cache.image(sha256, "s3://transit/a.jpg") == data
        assert kept(tmp_path / "cache")[sha256].read_bytes() == data
        kept(tmp_path / "cache")[sha256].write_bytes(b"")
        faults.plan("GET", "flip", "flip")
        with pytest.raises(StorageError, match=f"transit/a.jpg is damaged.*{sha256}"):
            cache.image(sha256, "s3://transit/a.jpg")
        assert kept(tmp_path / "cache") == {}


def test_many_are_fetched_in_order_each_once(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects)
    asked = [picture(number % 40) for number in range(130)]
    assert list(cache.fetch((sha256, uri) for _, sha256, uri in asked)) == [data for data, _, _ in asked]
    assert len(kept(tmp_path / "cache")) == 40
    assert list(cache.fetch([])) == []


def test_the_size_of_many_is_counted_by_the_time_they_are_fetched(objects, tmp_path):
    for start, end in ((0, 20), (20, 40)):
        list(ImageCache(tmp_path / "cache", objects).fetch(picture(number)[1:] for number in range(start, end)))
    sizes = [path.stat().st_size for path in kept(tmp_path / "cache").values()]
    assert COUNTER.unpack((tmp_path / "cache" / ".size").read_bytes()) == (sum(sizes),)


def test_fetching_many_holds_few_in_memory_and_stops_when_the_reader_does(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects)
    asked = []

    def items():
        for number in range(1000):
            asked.append(number)
            yield picture(number % 40)[1:]

    fetching = cache.fetch(items())
    next(fetching)
    fetching.close()
    assert len(asked) < 100


def test_a_damaged_object_among_many_is_named(objects, tmp_path):
    objects.upload_file("images", picture(7)[2].removeprefix("s3://images/"), b"something else")
    cache = ImageCache(tmp_path / "cache", objects)
    with pytest.raises(StorageError, match=picture(7)[1]):
        list(cache.fetch(picture(number)[1:] for number in range(40)))
    assert picture(7)[1] not in kept(tmp_path / "cache")


def test_the_cache_stays_within_its_bytes_and_the_least_recently_used_go_first(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects, max_bytes=10 * SIZE)
    for number in range(10):
        read(cache, number)
        unread(tmp_path / "cache", number, hours=20 - number)
    read(cache, 0)  # the oldest, used again
    read(cache, 10)
    names = kept(tmp_path / "cache")
    assert {picture(number)[1] for number in (0, 9, 10)} <= names.keys()
    assert not {picture(number)[1] for number in (1, 2)} & names.keys()
    for number in range(11, 40):
        read(cache, number)
        assert sum(path.stat().st_size for path in kept(tmp_path / "cache").values()) <= 10 * SIZE


def test_the_folder_is_not_looked_through_at_each_read(objects, tmp_path, monkeypatch):
    scans = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scans.append(path) or scandir(path))
    cache = ImageCache(tmp_path / "cache", objects, max_bytes=1000 * SIZE)
    read(cache, 0)
    before = len(scans)
    for number in range(1, 40):
        read(cache, number)
        read(cache, number)
    assert len(scans) == before


def test_a_use_is_noted_once_an_hour(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects)
    sha256 = read(cache, 0)
    path = kept(tmp_path / "cache")[sha256]
    for hours, is_noted in ((0.5, False), (2, True)):
        unread(tmp_path / "cache", 0, hours)
        before = path.stat().st_mtime
        read(cache, 0)
        assert (path.stat().st_mtime > before) is is_noted


def test_a_cache_of_an_earlier_version_is_counted_and_abandoned_files_go(objects, tmp_path):
    root = tmp_path / "cache"
    old = ImageCache(root, objects)
    for number in range(20):
        read(old, number)
        unread(root, number, hours=9)
    (root / ".size").unlink()
    abandoned, fresh = root / "partial" / ".abandoned-1", root / "partial" / ".fresh-1"
    for path, hours in ((abandoned, 2), (fresh, 0)):
        path.write_bytes(b"half")
        os.utime(path, times=(time.time() - 3600 * hours,) * 2)
    read(ImageCache(root, objects, max_bytes=10 * SIZE), 20)
    assert len(kept(root)) <= 11
    assert picture(20)[1] in kept(root)
    assert not abandoned.exists()


def test_a_bound_of_nothing_keeps_nothing(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects, max_bytes=0)
    read(cache, 0)
    assert kept(tmp_path / "cache") == {}


def test_a_full_disk_loses_no_read_and_is_told_once(objects, tmp_path, caplog):
    cache = ImageCache(tmp_path / "cache", objects)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, hard))  # a write beyond fails, as on a full disk
    try:
        with caplog.at_level(logging.WARNING):
            for number in (0, 1, 0):
                read(cache, number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len([record for record in caplog.records if "cache" in record.message]) == 1
    assert kept(tmp_path / "cache") == {}
    assert list((tmp_path / "cache" / "partial").iterdir()) == []
    read(cache, 0)
    assert set(kept(tmp_path / "cache")) == {picture(0)[1]}


def test_a_cache_that_cannot_be_made_loses_no_read(objects, tmp_path):
    (tmp_path / "cache").write_bytes(b"a file where a folder should be")
    cache = ImageCache(tmp_path / "cache", objects)
    assert list(cache.fetch(picture(number)[1:] for number in range(20))) == [picture(number)[0] for number in range(20)]


def test_a_file_that_is_evicted_under_a_readers_hands_is_fetched_again(objects, tmp_path):
    cache = ImageCache(tmp_path / "cache", objects)
    stop = threading.Event()

    def evict():
        while not stop.is_set():
            for path in kept(tmp_path / "cache").values():
                path.unlink(missing_ok=True)

    thief = threading.Thread(target=evict)
    thief.start()
    try:
        with ThreadPoolExecutor(8) as readers:
            list(readers.map(lambda number: read(cache, number % 40), range(400)))
    finally:
        stop.set()
        thief.join()


READER = """
import hashlib, random, sys
from pathlib import Path
from skin_platform.storage.cache import ImageCache
from skin_platform.storage.objects import ObjectStore
cache = ImageCache(Path(sys.argv[2]), ObjectStore(Path(sys.argv[1])), max_bytes=int(sys.argv[3]))
names = [path.stem for path in (Path(sys.argv[1]) / "images" / "skin").iterdir()]
chosen = random.Random(sys.argv[4]).choices(names, k=600)
for name, data in zip(chosen, cache.fetch((name, f"s3://images/skin/{name}.jpg") for name in chosen), strict=True):
    assert hashlib.sha256(data).hexdigest() == name
print("whole")
"""


def test_several_processes_share_one_bounded_cache(objects, tmp_path):
    command = [sys.executable, "-c", READER, tmp_path / "objects", tmp_path / "cache", str(10 * SIZE)]
    readers = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for seed in range(3)]
    told = [reader.communicate(timeout=60) for reader in readers]
    assert [output for output, _ in told] == ["whole\n"] * 3, told
    assert all(errors == "" for _, errors in told)
    assert sum(path.stat().st_size for path in kept(tmp_path / "cache").values()) <= 10 * SIZE + 3 * 16 * SIZE
    assert list((tmp_path / "cache" / "partial").iterdir()) == []
    for name, path in kept(tmp_path / "cache").items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name
