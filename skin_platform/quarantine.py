"""Quarantine by hand: what `skin quarantine` lists, judges again and drops.

Here: choosing entries, the retry through the same job as the sensors'. Not here: the record itself (``storage.quarantine``).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from skin_platform.core.batches import Delivery
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import WalkError, instance_in, walk_batches
from skin_platform.ingesting import is_refused_whole
from skin_platform.settings import Settings
from skin_platform.storage.claiming import ClaimRules, claim_again
from skin_platform.storage.places import path_in
from skin_platform.storage.quarantine import Fate, Quarantined
from skin_platform.storage.stores import Stores, prepare_home


@dataclass(frozen=True)
class Retried:
    """What became of a refused file that was judged again: taken, refused (``why``), gone, or failed with its run."""

    entry: Quarantined
    outcome: str
    why: str = ""
    batch_id: str | None = None


def listed(stores: Stores, batch_id: str | None = None, *, closed: bool = False) -> list[Quarantined]:
    """The refused files that nothing was done about yet; with ``closed`` all, each with its fate."""
    return [entry for entry in stores.quarantine.entries(stores.ledger)
            if batch_id in (None, entry.batch_id) and (closed or entry.fate is None)]


def choose(stores: Stores, file_ids: Collection[str], batch_id: str | None = None) -> list[Quarantined]:
    """The open entries of these files (all, where none is named) and this batch; a file id may be cut short.

    Raises ``ValueError`` that names what is not in quarantine.
    """
    entries = listed(stores, batch_id)
    if not file_ids:
        if batch_id and not entries:
            raise ValueError(f"nothing of batch {batch_id} is in quarantine: `skin quarantine list` shows what is")
        return entries
    unknown = [file_id for file_id in file_ids if not any(entry.file_id.startswith(file_id) for entry in entries)]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: not in quarantine. `skin quarantine list` shows the file ids")
    for file_id in file_ids:
        if len({entry.file_id for entry in entries if entry.file_id.startswith(file_id)}) > 1:
            raise ValueError(f"several file ids begin with {file_id}: give more of it")
    return [entry for entry in entries if entry.file_id.startswith(tuple(file_ids))]


def retry(settings: Settings, entries: Sequence[Quarantined], who: str, now: datetime, tell: Callable[[Told], None]
          ) -> list[Retried]:
    """Judge refused files again, as new batches, and say what became of each.

    Raises ``WalkError`` where a run failed for another reason than that no file of it could be used.
    """
    prepare_home(settings)
    stores = Stores(settings)
    by_root: dict[str, list[Quarantined]] = defaultdict(list)
    for entry in entries:
        by_root[entry.root].append(entry)
    claimed = {root: _claimed(stores, root, found, now) for root, found in by_root.items()}
    batch_of = {file.path: delivery.batch_id for found in claimed.values() for delivery in found for file in delivery.files}
    batch_of |= {table: delivery.batch_id for found in claimed.values() for delivery in found for table in delivery.tables}
    for entry in entries:
        if path_in(entry.root, entry.file) in batch_of:
            batch_id = batch_of[path_in(entry.root, entry.file)]
            stores.quarantine.decide(entry, Fate("retried", batch_id, who, at=now.isoformat()))
    _walk(settings, sorted(set(batch_of.values())), tell)
    return [_outcome(stores, entry, batch_of.get(path_in(entry.root, entry.file))) for entry in entries]


def drop(stores: Stores, entries: Sequence[Quarantined], who: str, why: str, now: datetime) -> None:
    """Take refused files off the list, on record; the files themselves stay where they landed."""
    if not why.strip():
        raise ValueError("say why the files are dropped: --why \"…\"")
    for entry in entries:
        stores.quarantine.decide(entry, Fate("dropped", None, who, why, now.isoformat()))


def _claimed(stores: Stores, root: str, entries: Sequence[Quarantined], now: datetime) -> list[Delivery]:
    rules = ClaimRules("retry", 0, stores.settings.skin_max_batch_files)
    return claim_again(stores.place(root), {entry.file for entry in entries}, stores.ledger, stores.batches, rules, now)


def _walk(settings: Settings, batch_ids: Sequence[str], tell: Callable[[Told], None]) -> None:
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    if not batch_ids:
        return
    with instance_in(settings.home.dagster) as instance:
        try:
            walk_batches(build_definitions(default_resources(settings)), instance, batch_ids, tell)
        except WalkError as error:
            if not all(is_refused_whole(Stores(settings), batch) for batch in error.batches):  # else its files tell
                raise


def _outcome(stores: Stores, entry: Quarantined, batch_id: str | None) -> Retried:
    if batch_id is None:
        why = "it was never delivered" if entry.kind == "missing" else "it is gone from where it landed"
        return Retried(entry, "gone", f"{why}: deliver it again, or drop it from the list")
    for found in stores.quarantine.of_batch(batch_id):
        if found.file_id == entry.file_id:
            return Retried(entry, "refused", found.reason, batch_id)
    return Retried(entry, "taken", batch_id=batch_id)
