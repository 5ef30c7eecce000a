"""Decisions on images that stand under several labels, kept in the data bucket; with the batch manifests they are the truth.

    resolutions/<sha256>/<time>.json    one decision; the newest of an image counts, the others are its history
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from skin_platform.core.conflicts import Resolution
from skin_platform.storage.objects import ObjectStore


class Resolutions:
    """The decisions in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write(self, resolution: Resolution) -> str:
        """Keep a decision; returns its key."""
        key = f"resolutions/{resolution.sha256}/{resolution.resolved_at}.json"
        self._objects.upload_file(self._bucket, key, json.dumps(asdict(resolution), ensure_ascii=False).encode())
        return key

    def history(self, sha256: str = "") -> Iterator[Resolution]:
        """The decisions on one image (on all, where none is named), oldest first for each."""
        prefix = f"resolutions/{sha256}" if sha256 else "resolutions"
        for item in self._objects.list_objects(self._bucket, prefix):
            stored = json.loads(self._objects.download_file(self._bucket, item.key))
            yield Resolution(**{**stored, "labels": tuple(stored["labels"])})

    def in_force(self, sha256: str = "") -> list[Resolution]:
        """The newest decision on each image."""
        return list({item.sha256: item for item in self.history(sha256)}.values())
