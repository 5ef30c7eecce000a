"""Batches: the unit in which images arrive.

Here: what a batch is, what its id may look like, which files belong in the next one.
Not here: where batches are stored (``storage.batches``), when we look (``defs.raw.sensors``).
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import NamedTuple

BATCH_ID = re.compile(r"\d{4}-\d{2}-\d{2}-[a-z0-9]+(-[a-z0-9]+)*")


class SeenFile(NamedTuple):
    """A file as its place shows it: address, bytes, times of change in ns (content, then inode), tag of an object's content.

    ``path`` is absolute or ``s3://bucket/key``. An object has one time, when it was written; a file has no tag. A plain tuple,
    since a look at a landing folder makes one for each of its files, however many they are.
    """

    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    etag: str = ""

    @property
    def stamp(self) -> tuple[int, int, int, str]:
        """What tells of a change: nothing wrote to a file that has the stamp that it had."""
        return self[1:]

    def has_content_of(self, claimed: "SeenFile") -> bool:
        """Whether nothing says that the content is another than when the file was ``claimed``; links and rights may be."""
        return (self.size_bytes, self.etag or self.modified_ns) == (claimed.size_bytes, claimed.etag or claimed.modified_ns)


@dataclass(frozen=True)
class Delivery:
    """The files of one batch, in order, as they stood when they were claimed.

    ``root`` is the place that they lie in, an absolute folder or ``s3://bucket/prefix``; ``tables`` are those (manifest.csv)
    that came with them.
    """

    batch_id: str
    root: str
    claimed_at: str
    files: tuple[SeenFile, ...]
    tables: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over root, paths, sizes and times: another delivery has another digest."""
        lines = [self.root, *(f"{f.path}\t{f.size_bytes}\t{f.etag or f.modified_ns}" for f in self.files), *self.tables]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def is_settled(file: SeenFile, now_ns: int, settle_ns: int, first_seen_ns: int | None = None) -> bool:
    """True when nothing touched the file for ``settle_ns``.

    The inode's change time counts too: ``cp -p`` sets an old modification time on a file that was written just now. A
    modification time in the future (``cp -p`` from a machine whose clock is ahead) says nothing and is passed over. Where the
    change time itself lies in the future a clock was set back: then the file must have been seen like this for ``settle_ns``,
    since ``first_seen_ns``.
    """
    if settle_ns <= 0:
        return True
    if is_from_the_future(file, now_ns):
        return first_seen_ns is not None and now_ns - first_seen_ns >= settle_ns
    modified_ns = file.modified_ns if file.modified_ns <= now_ns else file.changed_ns
    return now_ns - max(modified_ns, file.changed_ns) >= settle_ns


def is_from_the_future(file: SeenFile, now_ns: int) -> bool:
    """Whether the file was last touched later than now: a clock, ours or that of the place, was set."""
    return file.changed_ns > now_ns


def slug(text: str) -> str:
    """``text`` as the source part of a batch id: lower-case ASCII letters, digits and single hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-") or "delivery"


def first_batch_id(day: date, source: str) -> str:
    """``YYYY-MM-DD-<source>``, the id of the first batch of a source and day."""
    return f"{day.isoformat()}-{slug(source)}"


def next_batch_id(first: str, taken: Collection[str]) -> str:
    """``first``, or where that is taken ``first-<n>`` with the number after the highest that is taken, from 2 on."""
    numbers = [int(found[1] or 1) for name in taken if (found := re.fullmatch(rf"{re.escape(first)}(?:-(\d{{1,9}}))?", name))]
    return f"{first}-{max(numbers) + 1}" if numbers else first


def check_batch_id(batch_id: str) -> str:
    """``batch_id`` itself; raises ``ValueError`` with the pattern where it does not fit."""
    if not BATCH_ID.fullmatch(batch_id):
        raise ValueError(f"'{batch_id}' is no batch id: YYYY-MM-DD-<source>[-<n>], lower-case letters and digits")
    return batch_id


def in_order(files: Iterable[SeenFile]) -> tuple[SeenFile, ...]:
    """The files by path: the same delivery gives the same order on every machine."""
    return tuple(sorted(files, key=itemgetter(0)))
