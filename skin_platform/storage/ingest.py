"""Ingest: from claimed files to judged rows, and from judged rows to stored objects.

Here: reading the files of a delivery, judging each, uploading the good ones under their content's name.
Not here: the rules (``storage.door``), the claim (``storage.landing``), the table (``storage.lesions``).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from skin_platform.core.batches import Delivery
from skin_platform.core.layout import composed
from skin_platform.core.lesions import object_key
from skin_platform.core.pseudonyms import pseudonym
from skin_platform.storage.door import DoorRules, judge_bytes
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.tables import Tables

READERS = 4  # Pillow decodes outside the GIL; more readers only queue on two cores


@dataclass(frozen=True)
class Judged:
    """One file of a delivery: its private name, its manifest row, and a reason where it is refused."""

    name: str
    row: dict[str, Any]

    @property
    def reason(self) -> str | None:
        """Why it is refused; None where it was taken."""
        reason: str | None = self.row["reason"]
        return reason


def judge_delivery(delivery: Delivery, rules: DoorRules, earlier: Mapping[str, dict[str, Any]]) -> Iterator[Judged]:
    """Every file of the delivery with its verdict, in order, then what its tables promise and the delivery lacks.

    ``earlier`` holds the good rows of a former judgement of the same batch by file id: where a file is gone or was changed
    since it was claimed, its former row stands, so that a replay changes nothing.
    """
    root = Path(delivery.root)
    tables = Tables(root, rules.vocabulary)

    def judge(position: int) -> Judged:
        file = delivery.files[position]
        path = Path(file.path)
        name = path.relative_to(root).as_posix()
        blank = _blank_row(name, delivery, rules)
        try:
            seen = path.stat()
            data = path.read_bytes() if seen.st_size <= rules.limits.max_bytes else b""
        except OSError as error:
            return Judged(name, earlier.get(blank["file_id"], blank | {"reason": f"unreadable: {error.strerror}"}))
        if (seen.st_size, seen.st_mtime_ns) != (file.size_bytes, file.modified_ns):
            changed = blank | {"reason": "changed after it was claimed; its new content comes with a later batch"}
            return Judged(name, earlier.get(blank["file_id"], changed))
        if seen.st_size > rules.limits.max_bytes:
            reason = f"{seen.st_size} bytes is over the limit of {rules.limits.max_bytes}"
            return Judged(name, blank | {"reason": reason, "bytes": seen.st_size})
        return Judged(name, judge_bytes(data, PurePosixPath(name), tables.row(path), blank, rules))

    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(judge, range(len(delivery.files)))
    claimed = {composed(file.path) for file in delivery.files}
    for table in delivery.tables:
        folder = Path(table).parent
        for file in tables.rows(folder):
            if composed(str(folder / file)) not in claimed and not tables.is_delivered(folder, file):
                name = (folder.relative_to(root) / file).as_posix()
                yield Judged(name, _blank_row(name, delivery, rules) | {"reason": "listed in the table, but not delivered"})
    for name, reason in tables.errors.items():
        yield Judged(name, _blank_row(name, delivery, rules) | {"reason": reason})


def store_images(
    rows: Sequence[dict[str, Any]], paths: Mapping[str, Path], known: Mapping[str, str], objects: ObjectStore, bucket: str
) -> list[dict[str, Any]]:
    """``rows`` with the address of each good image, uploaded where its bytes are not stored yet.

    ``paths`` gives the file of each file id, ``known`` the address of each SHA-256 that is stored already. A file whose
    bytes are no longer those that were judged is refused; nothing is stored under a wrong name.
    """
    first: dict[str, str] = dict(known)
    for row in rows:
        if not row["reason"]:
            key = object_key(row["split"], row["label"], row["sha256"], row["format"])
            first.setdefault(row["sha256"], f"s3://{bucket}/{key}")

    def store(row: dict[str, Any]) -> dict[str, Any]:
        if row["reason"]:
            return row
        uri = first[row["sha256"]]
        key = uri.removeprefix(f"s3://{bucket}/")
        if not objects.object_exists(bucket, key):
            try:
                data = paths[row["file_id"]].read_bytes()
            except (OSError, KeyError):
                return row | {"reason": "gone before it could be stored"}
            if hashlib.sha256(data).hexdigest() != row["sha256"]:
                return row | {"reason": "changed while it was being stored; its new content comes with a later batch"}
            objects.upload_file(bucket, key, data, {"sha256": row["sha256"], "label": row["label"]})
        return row | {"s3_uri": uri}

    with ThreadPoolExecutor(16) as uploaders:
        return list(uploaders.map(store, rows))


def reasons(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How often each reason of refusal occurs, most frequent first."""
    return dict(Counter(str(row["reason"]) for row in rows if row["reason"]).most_common())


def _blank_row(name: str, delivery: Delivery, rules: DoorRules) -> dict[str, Any]:
    file_id = pseudonym(name.encode("utf-8", "surrogateescape").hex(), "file", rules.pseudonym_key)
    return {"file_id": file_id, "reason": None, "url_source": f"landing://{delivery.batch_id}/{file_id}",
            "batch_id": delivery.batch_id, "ingested_at": delivery.claimed_at}
