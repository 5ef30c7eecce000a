"""Landing: what of a place is new.

Here: which files have settled, which are new or changed. Not here: listing and reading them (``storage.places``), claiming them
as batches (``storage.claiming``), judging them (``storage.ingest``), when we look (``defs.raw.sensors``).
"""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from skin_platform.core.batches import SeenFile, in_order, is_from_the_future, is_settled
from skin_platform.core.delivery_tables import is_table
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.places import Place, name_in

MAX_REHASHED = 500  # files touched without another size are compared by content; so many a look, the rest at the next
READERS = 4


@dataclass(frozen=True)
class Look:
    """What a look at a place found: settled files that are new or changed, with their tables, in order; what to remember.

    ``alike`` were touched but have the content that they had; ``waiting`` bear a time to come, with their stamp and since when
    (ns) they were seen with it; ``seen`` are all files, ``fresh`` those that the ledger does not know as they are now.
    """

    files: list[SeenFile]
    alike: list[SeenFile] = field(default_factory=list)
    waiting: dict[str, tuple[str, int]] = field(default_factory=dict)
    seen: list[SeenFile] = field(default_factory=list)
    fresh: list[SeenFile] = field(default_factory=list)

    @property
    def landed(self) -> int:
        """How many were claimed before and were not touched since."""
        return len(self.seen) - len(self.fresh)


def look(place: Place, ledger: LandingLedger, now: datetime, settle_seconds: float) -> Look:
    """What is new in ``place`` against the ledger; changes neither.

    A table (manifest.csv) that is new brings every file below its folder along: it may give them labels or patients.
    Files below a table that is still being written wait with it.
    """
    known = ledger.stamps(place.root)
    seen = list(place.scan())
    fresh = [file for file in seen if known.get(file[0]) != file[1:]]
    now_ns = int(place.clock(now).timestamp() * 1e9)
    waiting = _waiting(fresh, ledger.waited(place.root), now_ns)
    settle_ns = int(settle_seconds * 1e9)
    unsettled = {file.path for file in fresh
                 if not is_settled(file, now_ns, settle_ns, waiting.get(file.path, ("", None))[1])}
    held = folders_of(path for path in unsettled if is_table(path))
    ready = [file for file in fresh if file.path not in unsettled and not file.path.startswith(held)]
    changed, alike = _by_content(ready, known, place, ledger)
    below = folders_of(file.path for file in changed if is_table(file.path))
    along = [file for file in seen if file.path.startswith(below) and not file.path.startswith(held)
             and file.path not in unsettled] if below else []
    return Look(list(in_order({*changed, *along})), alike, waiting, seen, fresh)


def _waiting(files: Iterable[SeenFile], before: Mapping[str, tuple[str, int]], now_ns: int) -> dict[str, tuple[str, int]]:
    """The files that bear a time to come, and since when they were seen like this; since now where our clock went back."""
    found = {}
    for file in files:
        if is_from_the_future(file, now_ns):
            stamp, first = before.get(file.path, ("", now_ns))
            found[file.path] = (str(file.stamp), min(first, now_ns) if stamp == str(file.stamp) else now_ns)
    return found


def _by_content(files: list[SeenFile], known: Mapping[str, object], place: Place, ledger: LandingLedger
                ) -> tuple[list[SeenFile], list[SeenFile]]:
    """The files whose content is new, and those that were only touched or written again with the content that they had."""
    sha256s = ledger.sha256s([file.path for file in files if file.path in known])
    doubtful = sorted((file for file in files if file.path in sha256s), key=lambda file: (not is_table(file.path), file.path))
    budget = {file.path for file in doubtful[:MAX_REHASHED]}
    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(sorted(budget), readers.map(lambda path: _sha256(place, path), sorted(budget)), strict=True))
    gone_or_alike = {path: (None, sha256) for path, sha256 in sha256s.items()}
    changed = [file for file in files if file.path not in sha256s
               or (file.path in budget and found[file.path] not in gone_or_alike[file.path])]
    return changed, [file for file in doubtful if found.get(file.path) == sha256s[file.path]]


def _sha256(place: Place, path: str) -> str | None:
    """The SHA-256 of a file as it is now; None where it is gone."""
    try:
        return hashlib.sha256(place.read(name_in(place, path))[1]).hexdigest()
    except OSError:
        return None


def folders_of(tables: Iterable[str]) -> tuple[str, ...]:
    """The folders that these tables speak of, as beginnings of paths."""
    return tuple({table.rpartition("/")[0] + "/" for table in tables})
