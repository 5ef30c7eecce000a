"""Noted files: files under a name of their own that may be written again, and yet are verified by what was written.

    <folder>/<name>                      the file
    <folder>/written/<name>/<sha256>     what was ever written as <name>, noted before it was

Here: writing and reading them. Whoever is killed between the two leaves the former file, which was noted too; of two who write
at once either file is sound. Not here: what the files are (``storage.versions``).
"""

import hashlib

from skin_platform.storage.faults import DamagedError
from skin_platform.storage.objects import ObjectStore


def write_noted(objects: ObjectStore, bucket: str, folder: str, name: str, data: bytes) -> str:
    """Store a file in place of a former one; returns its SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    objects.upload_file(bucket, f"{folder}/written/{name}/{sha256}", sha256.encode())
    objects.upload_file(bucket, f"{folder}/{name}", data)
    return sha256


def read_noted(objects: ObjectStore, bucket: str, folder: str, name: str, sha256: str = "") -> bytes:
    """A file as it was written once, and that of ``sha256`` where one is named; fetched once more where it came damaged.

    Raises ``KeyError`` where there is none, ``DamagedError`` for a damaged or other one.
    """
    found = ""
    for _ in range(2):
        data = objects.download_file(bucket, f"{folder}/{name}")
        found = hashlib.sha256(data).hexdigest()
        if sha256 in ("", found) and objects.object_exists(bucket, f"{folder}/written/{name}/{found}"):
            return data
    raise DamagedError(f"s3://{bucket}/{folder}/{name} is damaged, or is not the one that is meant: its SHA-256 is {found}, "
                       f"{f'expected was {sha256}' if sha256 else 'and nothing like it was ever written there'}")
