"""Claiming: what has landed, cut into batches, each claimed once.

Here: batches and their ids, the claim among other processes. Not here: what is new (``storage.landing``), remembering it
(``storage.ledger``).

Nothing in a place is moved, changed or deleted. Should the ledger be lost, everything is claimed again and found to be there
already, since objects are named by content.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from skin_platform.core.batches import Delivery, SeenFile, first_batch_id, in_order, next_batch_id
from skin_platform.core.delivery_tables import is_table
from skin_platform.storage.landing import folders_of, look
from skin_platform.storage.ledger import ClaimedMeanwhileError, LandingLedger
from skin_platform.storage.places import Place, name_in

logger = logging.getLogger(__name__)
LOOKS = 3  # where other processes claim at the same moment


@dataclass(frozen=True)
class ClaimRules:
    """How to claim: the end of the batches' ids, seconds to settle, files in a batch; one id for all where it is given."""

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
    below = folders_of(file.path for file in tables)
    along = {file for file in place.scan() if file.path.startswith(below) and not is_table(file.path)} if below else set()
    images = list(in_order({file for file in found if not is_table(file.path)} | along))
    claimed, mark = [], ledger.mark()
    for delivery in _cut(images, list(tables), place, rules, now):
        named = _named(delivery, ledger, kept, rules)
        mark = ledger.record(named, {file: None for file in tables if file.path in delivery.tables}, kept.write_delivery, mark)
        claimed.append(named)
    return claimed


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
