"""Landing: the folder that deliveries are dropped into.

Here: scanning the folder, claiming settled new files as batches. Not here: remembering them (``storage.ledger``), judging
files (``storage.ingest``), when we look (``defs.raw.sensors``).

Nothing in the folder is moved, changed or deleted. Should the ledger be lost, everything is claimed again and found to
be there already, since objects are named by content.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from skin_platform.core.batches import Delivery, SeenFile, in_order, is_settled, next_batch_id
from skin_platform.core.layout import TABLE_NAMES
from skin_platform.storage.ledger import LandingLedger, sha256_of

MAX_REHASHED = 500  # files rewritten with the same size are compared by content; so many a look, the rest at the next


def scan(root: Path) -> Iterator[SeenFile]:
    """Every file below ``root`` but hidden ones; a file that vanishes while we look, or a broken link, is left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = os.path.join(folder, name)
            try:
                seen = os.stat(path)
            except OSError:  # gone, or a link that leads nowhere or to itself
                continue
            if stat.S_ISREG(seen.st_mode):  # a pipe would block its reader for ever
                yield SeenFile(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def unclaimed(
    root: Path, known: Mapping[str, tuple[int, int, str | None]], now: datetime, settle_seconds: float,
    touch: Callable[[SeenFile], None],
) -> list[SeenFile]:
    """The settled files and tables below ``root`` that are new or changed against ``known``, in order.

    A table (manifest.csv) that is new brings every file below its folder along: it may give them labels or patients.
    Files below a table that is still being written wait with it. ``touch`` is told of files rewritten with equal content.
    """
    now_ns, settle_ns = int(now.timestamp() * 1e9), int(settle_seconds * 1e9)
    seen = list(scan(root))
    unsettled = {file.path for file in seen if not is_settled(file, now_ns, settle_ns)}
    waiting = tuple(os.path.dirname(path) + os.sep for path in unsettled if is_table(path))
    ready = [file for file in seen if file.path not in unsettled and not file.path.startswith(waiting)]
    changed = [file for file in ready if (file.size_bytes, file.modified_ns) != known.get(file.path, ())[:2]]
    changed = list(_really_changed(changed, known, touch))
    new_tables = tuple(os.path.dirname(file.path) + os.sep for file in changed if is_table(file.path))
    below = [file for file in ready if new_tables and file.path.startswith(new_tables)]
    return list(in_order({*changed, *below}))


def claim(
    root: Path, source: str, ledger: LandingLedger, now: datetime, settle_seconds: float, max_files: int,
    batch_id: str | None = None, keep: Callable[[SeenFile], bool] = lambda file: True,
) -> list[Delivery]:
    """What is new below ``root`` as batches of at most ``max_files``; not yet recorded in the ledger.

    With ``batch_id`` everything goes into that one batch. Files that ``keep`` refuses stay unclaimed.
    """
    files = [file for file in unclaimed(root, ledger.known(), now, settle_seconds, ledger.touch)
             if is_table(file.path) or keep(file)]
    tables = tuple(file.path for file in files if is_table(file.path))
    images = [file for file in files if not is_table(file.path)]
    size = max(1, len(images)) if batch_id else max_files
    taken = ledger.batch_ids()
    deliveries = []
    for start in range(0, len(images), size):
        name = batch_id or next_batch_id(now.astimezone(UTC).date(), source, taken)
        taken.add(name)
        part = tuple(images[start:start + size])
        # a later batch of the same look stands later in time too: the first to bring an image keeps it
        stamp = now.astimezone(UTC) + timedelta(microseconds=start // size)
        deliveries.append(Delivery(name, str(root), stamp.isoformat(timespec="microseconds"), part,
                                   tables if start == 0 else ()))
    return deliveries


def _really_changed(
    changed: Iterable[SeenFile], known: Mapping[str, tuple[int, int, str | None]], touch: Callable[[SeenFile], None]
) -> Iterator[SeenFile]:
    """The files whose content is new; those rewritten with the same content are only noted as such."""
    budget = MAX_REHASHED
    for file in changed:
        size, _, sha256 = known.get(file.path, (None, None, None))
        if sha256 is None or size != file.size_bytes:
            yield file
        elif budget > 0:
            budget -= 1
            if sha256_of(file.path) == sha256:
                touch(file)
            else:
                yield file


def is_table(path: str) -> bool:
    """True for a delivery's own table (manifest.csv, metadata.csv)."""
    return os.path.basename(path).lower() in TABLE_NAMES
