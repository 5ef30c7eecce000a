"""Publishing the catalogue: what changed in the lesions table, as parts that are never changed and one statement.

Here: adding and merging parts, the statement.
Not here: reading them (``storage.catalogue``), a part's file (``storage.parts``).

    catalogue/parts/<table>-<revision>[-merged|-whole].parquet   rows that changed up to a revision; the first part holds all
    catalogue/state.json                                         which parts count, and what they hold

``state.json`` is replaced as a whole: a reader sees one revision. A batch costs a part of its own size; parts are merged when
they become many, all of them when they outgrow half of the first one (as in a log-structured merge tree, O'Neil et al. 1996).
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parts import Part, PartsCache, merge_parts

STATE_KEY = "catalogue/state.json"
MAX_PARTS = 16  # that a reader has to put together
KEPT = timedelta(hours=1)  # a part that was merged away stays for readers who still follow the former state


@dataclass(frozen=True)
class Published:
    """The table and its revision, the parts, the sums by label, since when former parts are out of use, and how many images
    look alike to so many patients that only sure copies join them (``core.groups``)."""

    table_id: str
    revision: int
    parts: tuple[Part, ...]
    sums: dict[str, list[int]]
    superseded: dict[str, str]
    apart: int = 0


def read_published(objects: ObjectStore, bucket: str) -> Published | None:
    """The statement in force, or None before anything was published."""
    try:
        stored = json.loads(objects.download_file(bucket, STATE_KEY))
    except KeyError:
        return None
    return Published(**{**stored, "parts": tuple(Part(**part) for part in stored["parts"])})


def publish(objects: ObjectStore, bucket: str, cache: PartsCache, lesions: LesionsTable, now: datetime) -> Published:
    """Bring the published copy up to ``lesions``; parts that are out of use for an hour are deleted."""
    former = read_published(objects, bucket)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "part.parquet"
        table_id, revision = (former.table_id, former.revision) if former else (None, -1)
        changes = lesions.changes(table_id, revision, target)
        name = f"{changes.table_id}-{changes.revision}"
        parts = former.parts if former and not changes.is_whole else ()
        if changes.rows or not parts:
            parts = (*parts, cache.put(target, name, changes.rows))
        parts = _merged(parts, name, cache, Path(folder))
    superseded = _superseded(former, parts, now)
    old = {key for key, at in superseded.items() if now - datetime.fromisoformat(at) > KEPT}
    published = Published(changes.table_id, changes.revision, parts, dict(changes.sums),
                          {key: at for key, at in superseded.items() if key not in old}, changes.apart)
    objects.upload_file(bucket, STATE_KEY, json.dumps(asdict(published)).encode())
    for key in old:
        objects.delete_object(bucket, key)
    return published


def _superseded(former: Published | None, parts: tuple[Part, ...], now: datetime) -> dict[str, str]:
    """The parts that no longer count, each with the time since when."""
    if former is None:
        return {}
    gone = {part.key for part in former.parts} - {part.key for part in parts}
    return {key: now.isoformat() for key in gone} | former.superseded


def _merged(parts: tuple[Part, ...], name: str, cache: PartsCache, folder: Path) -> tuple[Part, ...]:
    """The parts, put together where they are many or where the later ones outgrow half of the first."""
    first, later = parts[0], parts[1:]
    if sum(part.rows for part in later) > first.rows / 2:
        return (_merge(parts, f"{name}-whole", cache, folder, is_whole=True),)
    if len(parts) > MAX_PARTS:
        return first, _merge(later, f"{name}-merged", cache, folder, is_whole=False)
    return parts


def _merge(parts: tuple[Part, ...], name: str, cache: PartsCache, folder: Path, *, is_whole: bool) -> Part:
    target = folder / "merged.parquet"
    rows = merge_parts(cache.files(parts), target, is_whole=is_whole)
    return cache.put(target, name, rows)
