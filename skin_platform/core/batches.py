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

BATCH_ID = re.compile(r"\d{4}-\d{2}-\d{2}-[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, order=True)
class SeenFile:
    """A file as the landing folder shows it: absolute path, bytes, times of change in ns (content, then inode)."""

    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Delivery:
    """The files of one batch, in order, as they stood when they were claimed; ``root`` is the folder they came in."""

    batch_id: str
    root: str
    claimed_at: str
    files: tuple[SeenFile, ...]
    tables: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over root, paths, sizes and times: another delivery has another digest."""
        lines = [self.root, *(f"{f.path}\t{f.size_bytes}\t{f.modified_ns}" for f in self.files), *self.tables]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def is_settled(file: SeenFile, now_ns: int, settle_ns: int) -> bool:
    """True when nothing touched the file for ``settle_ns``.

    The inode's change time counts too: ``cp -p`` sets an old modification time on a file that was written just now. A
    modification time in the future (``cp -p`` from a machine whose clock is ahead) says nothing and is passed over.
    """
    modified_ns = file.modified_ns if file.modified_ns <= now_ns else file.changed_ns
    return now_ns - max(modified_ns, file.changed_ns) >= settle_ns


def slug(text: str) -> str:
    """``text`` as the source part of a batch id: lower-case ASCII letters, digits and single hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-") or "delivery"


def next_batch_id(day: date, source: str, taken: Collection[str]) -> str:
    """``YYYY-MM-DD-<source>``, or with the first free ``-<n>`` from 2 on where that is taken."""
    first = f"{day.isoformat()}-{slug(source)}"
    candidates = (first if n == 1 else f"{first}-{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def check_batch_id(batch_id: str) -> str:
    """``batch_id`` itself; raises ``ValueError`` with the pattern where it does not fit."""
    if not BATCH_ID.fullmatch(batch_id):
        raise ValueError(f"'{batch_id}' is no batch id: YYYY-MM-DD-<source>[-<n>], lower-case letters and digits")
    return batch_id


def in_order(files: Iterable[SeenFile]) -> tuple[SeenFile, ...]:
    """The files by path: the same delivery gives the same order on every machine."""
    return tuple(sorted(files, key=lambda file: file.path))
