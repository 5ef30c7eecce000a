"""Openings: each time the locked images of a dataset were looked at, by whom and why, in the data bucket.

    openings/<locked digest>/<time>-<token>.json    one opening; nothing is ever overwritten or deleted

A score on locked images is worth most at the first look: who looks often and keeps the best has chosen by them after all.
Counted are the openings of the split in all versions, since one that grew was opened before, in part; and those of the very
same images.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from skin_platform.storage.objects import ObjectStore


@dataclass(frozen=True)
class Opening:
    """One look at the locked images: ``locked_digest`` says which, ``by`` is the Dagster run, ``at`` is ISO 8601 UTC."""

    dataset_digest: str
    split: str
    locked_digest: str
    checkpoint_sha256: str
    by: str
    why: str
    at: str


class Openings:
    """The openings in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def record(self, opening: Opening) -> int:
        """Keep an opening, before the images are looked at; returns how often the split was opened so far, this included.

        Raises ``ValueError`` where the opening does not say which images are opened.
        """
        if not opening.locked_digest:
            raise ValueError("an opening needs the digest of the locked images: where none are locked, nothing is opened")
        name = f"{opening.at.replace(':', '')}-{uuid.uuid4().hex[:8]}.json"
        data = json.dumps(asdict(opening), ensure_ascii=False, indent=1).encode()
        self._objects.upload_file(self._bucket, f"openings/{opening.locked_digest}/{name}", data)
        return len(self.all())

    def of_images(self, locked_digest: str) -> list[Opening]:
        """The openings of these very images in whatever version, oldest first."""
        return sorted(self._found(f"openings/{locked_digest}"), key=lambda opening: opening.at) if locked_digest else []

    def all(self) -> list[Opening]:
        """All openings, oldest first."""
        return sorted(self._found("openings"), key=lambda opening: opening.at)

    def _found(self, prefix: str) -> Iterator[Opening]:
        for item in self._objects.list_objects(self._bucket, prefix):
            yield Opening(**json.loads(self._objects.download_file(self._bucket, item.key)))
