"""Places under test: a real folder and a real bucket prefix, written to as those who deliver do."""

import os
from abc import ABC, abstractmethod
from pathlib import Path

from skin_platform.storage.landing_bucket import LandingBucket
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import LandingFolder, Place


class Delivering(ABC):
    """A place with what lands in it."""

    place: Place

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Let a file land, or land again with other content at the same moment as before, as far as its times tell."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take a file away."""


class IntoFolder(Delivering):
    """Files in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir()
        self.place = LandingFolder(root)

    def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if path.exists() else None
        path.write_bytes(data)
        if before:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def remove(self, name: str) -> None:
        (self._root / name).unlink()


class IntoBucket(Delivering):
    """Objects below a prefix of a bucket; beside it lies what is none of ours."""

    PREFIX = "from the clinic/é"

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket
        objects.create_bucket(bucket)
        objects.upload_file(bucket, "elsewhere/nevus/x.jpg", b"not ours")
        objects.upload_file(bucket, "from the clinic/élan/x.jpg", b"not ours either")
        self.place = LandingBucket(objects, bucket, self.PREFIX)

    def put(self, name: str, data: bytes) -> None:
        self._objects.upload_file(self._bucket, f"{self.PREFIX}/{name}", data)

    def remove(self, name: str) -> None:
        self._objects.delete_object(self._bucket, f"{self.PREFIX}/{name}")
