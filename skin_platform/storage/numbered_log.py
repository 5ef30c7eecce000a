"""Numbered log: entries under ascending numbers, one object each, never changed or deleted.

    <folder>/<number:08d>.json    {…, "sha256": of the rest}, or {"passed_over": true, …}

Here: reading an entry, or saying that it is damaged; writing one where there is none. Not here: what an entry means and who may
write the next number (``storage.moves``).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.sealed import seal, unseal

PASSED_OVER = "passed_over"


class NumberedLog:
    """The log in one folder of a bucket. Every method raises ``StorageError`` where the store or an entry is not sound."""

    def __init__(self, objects: ObjectStore, bucket: str, folder: str) -> None:
        self._objects, self._bucket, self._folder = objects, bucket, folder

    def numbers(self) -> list[int]:
        """All numbers that are written, ascending, those included that were passed over."""
        keys = [item.key for item in self._objects.list_objects(self._bucket, self._folder)]
        for key in keys:
            if not re.fullmatch(r"\d{8}\.json", key.removeprefix(f"{self._folder}/")):
                raise StorageError(f"s3://{self._bucket}/{key} is no entry of the log that it lies in: take it away from there")
        return [int(key[-13:-5]) for key in keys]

    def read(self, number: int) -> dict[str, Any] | None:
        """What was written under ``number``; None where it was passed over."""
        key = self._key(number)
        try:
            told = unseal(key, self._objects.download_file(self._bucket, key))
        except KeyError:
            raise self.damaged(number, "it is not there") from None
        except ValueError as error:
            raise self.damaged(number, str(error)) from None
        return None if told.get(PASSED_OVER) else told

    def write(self, number: int, told: Mapping[str, Any]) -> None:
        """Write an entry; raises ``FileExistsError`` where there is one (see ``ObjectStore.upload_file``)."""
        key = self._key(number)
        self._objects.upload_file(self._bucket, key, seal(key, told), only_if_absent=True)

    def pass_over(self, number: int) -> None:
        """Say that nobody is to write ``number`` any more; does nothing where somebody has."""
        with suppress(FileExistsError):
            self.write(number, {PASSED_OVER: True})

    def damaged(self, number: int, what: str) -> StorageError:
        """The error that says so, with the remedy: entries can be deleted from the last one down, never out of the middle."""
        written = self.numbers()
        surplus = [self._key(item) for item in written if item >= number]
        former = max((item for item in written if item < number), default=0)
        keys = " to ".join(dict.fromkeys([*surplus[:1], *surplus[-1:]]))
        counts = f"the entry before it ({self._key(former)})" if former else "none"
        return StorageError(
            f"s3://{self._bucket}/{self._key(number)} is damaged: {what}. Nobody can say what counts: put the object back as "
            f"it was, from a backup of the bucket; or delete {keys}, if {counts} is to count")

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"
