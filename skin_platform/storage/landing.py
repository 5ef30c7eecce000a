"""Landing: what of a place is new, and claiming it as batches.

Here: which files have settled, which are new or changed, and cutting them into batches. Not here: listing and reading them
(``storage.places``), remembering them (``storage.ledger``), judging them (``storage.ingest``), when we look
(``defs.raw.sensors``).

Nothing in a place is moved, changed or deleted. Should the ledger be lost, everything is claimed again and found to be there
already, since objects are named by content.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from skin_platform.core.batches import (
    Delivery,
    SeenFile,
    first_batch_id,
    in_order,
    is_from_the_future,
    is_settled,
    next_batch_id,
)
from skin_platform.core.layout import is_table
from skin_platform.storage.ledger import ClaimedMeanwhileError, LandingLedger
from skin_platform.storage.places import Place, name_in

logger = logging.getLogger(__name__)
MAX_REHASHED = 500  # files touched without another size are compared by content; so many a look, the rest at the next
READERS = 4
LOOKS = 3  # where other processes claim at the same moment


@dataclass(frozen=True)
class Look:
    """What a look at a place found: settled files that are new or changed, with their tables, in order; what to remember.

    ``alike`` were touched but have the content that they had; ``waiting`` bear a time to come, with their stamp and since when
    (ns) they were seen with it; ``landed`` counts those that were claimed before.
    """

    files: list[SeenFile]
    landed: int = 0
    alike: list[SeenFile] = field(default_factory=list)
    waiting: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class ClaimRules:
    """How to claim: the end of the batches' ids, seconds to settle, files in a batch; one id for everything where it is given."""

    source: str
    settle_seconds: float
    max_files: int
    batch_id: str | None = None


class KeptDeliveries(Protocol):
    """Where claims are kept (``storage.batches``)."""

    def read_delivery(self, batch_id: str) -> Delivery | None:
        """What was claimed as this batch."""
        ...

    def write_delivery(self, delivery: Delivery) -> None:
        """Keep what was claimed."""
        ...


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
    held = _folders(path for path in unsettled if is_table(path))
    ready = [file for file in fresh if file.path not in unsettled and not file.path.startswith(held)]
    changed, alike = _by_content(ready, known, place, ledger)
    below = _folders(file.path for file in changed if is_table(file.path))
    along = [file for file in seen if file.path.startswith(below) and not file.path.startswith(held)
             and file.path not in unsettled] if below else []
    return Look(list(in_order({*changed, *along})), len(seen) - len(fresh), alike, waiting)


def claim(place: Place, ledger: LandingLedger, kept: KeptDeliveries, rules: ClaimRules, now: datetime,
          wanted: Callable[[SeenFile], bool] = lambda file: True) -> list[Delivery]:
    """Claim what is new in ``place`` as batches, for good; files that are not ``wanted`` stay unclaimed.

    Each claim is kept before the ledger has it for good, so that a process killed between the two loses nothing: the files are
    claimed again. Where another process claims at the same moment, this one looks again: nothing is claimed twice.
    """
    claimed: list[Delivery] = []
    for _ in range(LOOKS):
        mark = ledger.mark()
        found = look(place, ledger, now, rules.settle_seconds)
        ledger.touch(found.alike)
        if found.waiting or ledger.waited(place.root):
            ledger.wait(place.root, found.waiting)
        tables = [file for file in found.files if is_table(file.path)]
        images = [file for file in found.files if not is_table(file.path) and wanted(file)]
        try:
            for delivery in _cut(images, tables, place, rules, now):
                ledger.check(mark)
                named = _named(delivery, ledger, kept, rules)
                contents = {file: _table_sha256(place, file) for file in tables if file.path in delivery.tables}
                mark = ledger.record(named, contents, kept.write_delivery, mark)
                claimed.append(named)
            return claimed
        except ClaimedMeanwhileError:
            logger.info("another process claimed files at the same moment; looking again")
    return claimed


def claim_again(place: Place, names: Iterable[str], ledger: LandingLedger, kept: KeptDeliveries, rules: ClaimRules,
                now: datetime) -> list[Delivery]:
    """Claim these files of ``place`` (by name) once more, whatever the ledger says of them; those that are gone are left out.

    A table brings the files below its folder along, as it does when it is new.
    """
    found = {file for name in names if (file := place.look_at(name))}
    tables = in_order(file for file in found if is_table(file.path))
    below = _folders(file.path for file in tables)
    along = {file for file in place.scan() if file.path.startswith(below) and not is_table(file.path)} if below else set()
    images = list(in_order({file for file in found if not is_table(file.path)} | along))
    claimed, mark = [], ledger.mark()
    for delivery in _cut(images, list(tables), place, rules, now):
        named = _named(delivery, ledger, kept, rules)
        mark = ledger.record(named, {file: None for file in tables if file.path in delivery.tables}, kept.write_delivery, mark)
        claimed.append(named)
    return claimed


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


def _cut(images: list[SeenFile], tables: list[SeenFile], place: Place, rules: ClaimRules, now: datetime) -> list[Delivery]:
    """Batches of at most so many files; the tables come with the first. They have no id yet."""
    size = max(1, len(images)) if rules.batch_id else rules.max_files
    # a later batch of the same look stands later in time too: the first to bring an image keeps it
    stamps = (now.astimezone(UTC) + timedelta(microseconds=number) for number in range(len(images) // size + 1))
    return [Delivery("", place.root, stamp.isoformat(timespec="microseconds"), tuple(images[start:start + size]),
                     tuple(file.path for file in tables) if start == 0 else ())
            for start, stamp in zip(range(0, len(images), size), stamps, strict=False)]


def _named(delivery: Delivery, ledger: LandingLedger, kept: KeptDeliveries, rules: ClaimRules) -> Delivery:
    """The delivery under an id that no other one has, here or (should our ledger be lost or not the only one) in the store.

    The same delivery that was kept and never recorded, since the process was killed, gets the id and the time that it had.
    Raises ``ValueError`` where the rules give it an id that is taken.
    """
    first = rules.batch_id or first_batch_id(datetime.fromisoformat(delivery.claimed_at).date(), rules.source)
    taken = ledger.batch_ids(first)
    while True:
        name = rules.batch_id or next_batch_id(first, taken)
        stored = kept.read_delivery(name)
        if name not in taken and (stored is None or stored.digest == delivery.digest):
            return replace(delivery, batch_id=name, claimed_at=stored.claimed_at if stored else delivery.claimed_at)
        if rules.batch_id:
            raise ValueError(f"batch {name} is there already, with other files: choose another id")
        taken.add(name)


def _table_sha256(place: Place, table: SeenFile) -> str | None:
    """The SHA-256 of a table as it was seen; None where it was changed since, so that the next look takes it for new."""
    try:
        now, data = place.read(name_in(place, table.path))
    except OSError:
        return None
    return hashlib.sha256(data).hexdigest() if now.has_content_of(table) else None


def _sha256(place: Place, path: str) -> str | None:
    """The SHA-256 of a file as it is now; None where it is gone."""
    try:
        return hashlib.sha256(place.read(name_in(place, path))[1]).hexdigest()
    except OSError:
        return None


def _folders(tables: Iterable[str]) -> tuple[str, ...]:
    return tuple({table.rpartition("/")[0] + "/" for table in tables})
