"""Ingest: from claimed files to judged rows, and from judged rows to stored objects.

Here: reading the files of a delivery, judging each, uploading the good ones under their content's name.
Not here: the rules (``storage.door``), the claim (``storage.landing``), the table (``storage.lesions``).
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.cleaning import cleaned
from skin_platform.core.delivery_tables import TableRow
from skin_platform.core.layout import Misplaced, composed
from skin_platform.core.layout import place as placed_at
from skin_platform.core.lesions import object_key
from skin_platform.core.pseudonyms import pseudonym
from skin_platform.storage.door import DoorRules, Inside, judge_bytes, rows_of
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import LandingFolder, Place, name_in
from skin_platform.storage.tables import Tables

T = TypeVar("T")
READERS = 3  # two cores measured: 2 to 4 take as long; one more than cores covers the reading
SCORE = 16  # files that a reader judges in one go: what they have in common is worked out for all at once
AT_ONCE = 256  # files that are judged ahead of whoever takes the verdicts


@dataclass(frozen=True)
class Judged:
    """One file of a delivery: its private name, its manifest row, and why it is refused where it is.

    The row's ``reason`` may be shown to all; ``in_full`` may hold delivered words, which can be names of patients. Besides
    files there are tables that cannot be read, and what is missing: listed in a table, but not delivered.
    """

    name: str
    row: dict[str, Any]
    in_full: str | None = None
    kind: Literal["file", "table", "missing"] = "file"

    @property
    def reason(self) -> str | None:
        """Why it is refused; None where it was taken."""
        reason: str | None = self.row["reason"]
        return reason


def judge_delivery(
    delivery: Delivery, rules: DoorRules, earlier: Mapping[str, dict[str, Any]], place: Place | None = None
) -> Iterator[Judged]:
    """Every file of the delivery with its verdict, in order, then what its tables promise and the delivery lacks.

    ``place`` is where the files are; the folder ``delivery.root`` where none is given. ``earlier`` holds the good rows of a
    former judgement of the same batch by file id: where a file is gone or was changed since it was claimed, its former row
    stands, so that a replay changes nothing.
    """
    place = place or LandingFolder(Path(delivery.root))
    tables = Tables(place, rules.vocabulary)
    yield from _judged_ahead(delivery.files, partial(_judge, delivery, rules, earlier, place), tables, place)
    for table in delivery.tables:
        folder = name_in(place, table).rpartition("/")[0]
        claimed = {composed(name_in(place, file.path)) for file in delivery.files}
        for name in tables.missing(folder):
            if composed(name) not in claimed:
                reason = "listed in the table, but not delivered"
                yield Judged(name, _blank_row(name, delivery, rules) | {"reason": reason}, kind="missing")
    for name, error in tables.errors.items():
        reason = f"unreadable table: {error.reason}"
        yield Judged(name, _blank_row(name, delivery, rules) | {"reason": reason}, f"unreadable table: {error}", "table")


def _judged_ahead(
    files: Sequence[SeenFile], judge: Callable[[Sequence[SeenFile], Sequence[TableRow | None]], list[Judged]],
    tables: Tables, place: Place,
) -> Iterator[Judged]:
    """The verdicts in order, of ``AT_ONCE`` files ahead; few files are shared out among all readers."""
    score = min(SCORE, -(-len(files) // READERS)) or 1
    waiting: deque[Future[list[Judged]]] = deque()
    with ThreadPoolExecutor(READERS) as readers:
        try:
            for start in range(0, len(files), score):
                some = files[start:start + score]
                rows = [tables.row(name_in(place, file.path)) for file in some]
                waiting.append(readers.submit(judge, some, rows))
                if len(waiting) * score >= AT_ONCE:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)  # the rest, where the taker stops half-way


def _judge(
    delivery: Delivery, rules: DoorRules, earlier: Mapping[str, dict[str, Any]], place: Place, files: Sequence[SeenFile],
    rows: Sequence[TableRow | None],
) -> list[Judged]:
    """Some files, each read once; no more than one is held in memory."""
    names = [name_in(place, file.path) for file in files]
    judged = rows_of([_look(delivery, rules, earlier, place, *each) for each in zip(names, files, rows, strict=True)])
    return [Judged(name, found, _in_full(name, found, row, rules))
            for name, found, row in zip(names, judged, rows, strict=True)]


def _look(
    delivery: Delivery, rules: DoorRules, earlier: Mapping[str, dict[str, Any]], place: Place, name: str, file: SeenFile,
    row: TableRow | None,
) -> Inside | dict[str, Any]:
    blank = _blank_row(name, delivery, rules)
    former = earlier.get(blank["file_id"])
    try:
        seen, data = place.read(name, rules.limits.max_bytes)
    except OSError as error:
        return former or blank | {"reason": f"unreadable: {error.strerror}"}
    if not seen.has_content_of(file):
        return former or blank | {"reason": "changed after it was claimed; its new content comes with a later batch"}
    if seen.size_bytes > rules.limits.max_bytes:
        reason = f"{seen.size_bytes} bytes is over the limit of {rules.limits.max_bytes}"
        return blank | {"reason": reason, "bytes": seen.size_bytes}
    return judge_bytes(data, PurePosixPath(name), row, blank, rules)


def _in_full(name: str, judged: Mapping[str, Any], row: TableRow | None, rules: DoorRules) -> str | None:
    """The reason with delivered words, where the file is refused for its place."""
    if not judged["reason"]:
        return None
    misplaced = placed_at(PurePosixPath(name), row, rules.vocabulary)
    return misplaced.in_full if isinstance(misplaced, Misplaced) and misplaced.reason == judged["reason"] else None


def _bytes_of(path: Any) -> bytes:
    return Path(path).read_bytes()


def store_images(
    rows: Sequence[dict[str, Any]], paths: Mapping[str, T], known: Mapping[str, str], objects: ObjectStore, bucket: str,
    read: Callable[[T], bytes] = _bytes_of,
) -> list[dict[str, Any]]:
    """``rows`` with the address of each good image, cleaned and uploaded where it is not stored yet.

    ``paths`` gives the file of each file id, for ``read``; ``known`` the address of each SHA-256 that is stored already; only
    of these the store is asked whether they are there, since a key is its content and another put of it changes nothing. A
    file whose bytes are no longer those that were judged is refused; nothing is stored under a wrong name.
    """
    alike: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        if not row["reason"]:
            alike.setdefault(row["sha256"], []).append(position)
    stored = list(rows)

    def store(sha256: str) -> None:
        first = rows[alike[sha256][0]]
        uri = known.get(sha256) or f"s3://{bucket}/{object_key(first['split'], first['label'], sha256, first['format'])}"
        key = uri.removeprefix(f"s3://{bucket}/")
        is_there = sha256 in known and objects.object_exists(bucket, key)
        for position in alike[sha256]:
            row = rows[position]
            fault = None if is_there else _put(row, partial(read, paths[row["file_id"]]), objects, bucket, key)
            is_there = fault is None
            stored[position] = row | ({"reason": fault} if fault else {"s3_uri": uri})

    with ThreadPoolExecutor(16) as uploaders:
        for _ in uploaders.map(store, alike):
            pass
    return stored


def reasons(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How often each reason of refusal occurs, most frequent first."""
    return dict(Counter(str(row["reason"]) for row in rows if row["reason"]).most_common())


def _put(row: dict[str, Any], read: Callable[[], bytes], objects: ObjectStore, bucket: str, key: str) -> str | None:
    """Upload what is stored of the file; the reason where it is not the one that was judged any more."""
    fault = "changed while it was being stored; its new content comes with a later batch"
    try:
        data = read()
    except OSError:
        data = b""
    if not data:
        fault = "gone before it could be stored"
    if hashlib.sha256(data).hexdigest() == row["delivered_sha256"]:
        clean = cleaned(data)
        if row["sha256"] == (row["delivered_sha256"] if clean is data else hashlib.sha256(clean).hexdigest()):
            objects.upload_file(bucket, key, clean, {"sha256": row["sha256"], "label": row["label"]})
            return None
    return None if objects.object_exists(bucket, key) else fault  # it may be there since a run that was killed


def _blank_row(name: str, delivery: Delivery, rules: DoorRules) -> dict[str, Any]:
    file_id = pseudonym(name.encode("utf-8", "surrogateescape").hex(), "file", rules.pseudonym_key)
    return {"file_id": file_id, "reason": None, "url_source": f"landing://{delivery.batch_id}/{file_id}",
            "batch_id": delivery.batch_id, "ingested_at": delivery.claimed_at}
