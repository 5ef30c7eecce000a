"""Planning an ingest: what `skin ingest` would do with each file that has landed; nothing is written.

Here: the fate of every file of the place, so that the counts add up to what lies there. Not here: doing it (``ingesting``),
judging a file (``storage.ingest``).
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.consent import NO_CONSENT
from skin_platform.core.delivery_tables import is_table
from skin_platform.core.layout import Placed
from skin_platform.core.layout import place as placed_at
from skin_platform.settings import WEAK_KEY, Settings
from skin_platform.storage.ingest import AT_ONCE, Judged, judge_delivery
from skin_platform.storage.landing import Look, look
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.places import Place, name_in, path_in
from skin_platform.storage.stores import Stores
from skin_platform.storage.tables import Tables

JUDGED = ("new", "already there", "conflict", "kept out", "quarantined")  # fates of files that would be judged now
ELSE = ("landed before", "in quarantine, unchanged", "claimed by an unfinished batch", "of other splits", "still changing",
        "tables", "hidden or special, left alone")


@dataclass(frozen=True)
class PlannedFile:
    """A file that would be judged now and its fate (``JUDGED``), or what its table lacks; ``why`` explains it."""

    file: str
    label: str | None
    split: str | None
    fate: str
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What an ingest of ``source`` would do: ``files`` to judge now, ``others`` counts the rest, ``remarks`` on the tables."""

    source: str
    files: tuple[PlannedFile, ...]
    others: dict[str, int]
    remarks: tuple[PlannedFile, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Files by fate; they add up to the files of the place."""
        fates = Counter(file.fate for file in self.files)
        return {fate: fates[fate] for fate in JUDGED} | self.others

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form; names that are not UTF-8 are escaped."""
        def shown(file: PlannedFile) -> dict[str, Any]:
            return vars(file) | {"file": file.file.encode("utf-8", "backslashreplace").decode()}

        return {"source": self.source, "counts": self.counts, "files_there": sum(self.counts.values()),
                "files": [shown(file) for file in self.files], "remarks": [shown(file) for file in self.remarks],
                "warnings": list(self.warnings)}


def plan_ingest(settings: Settings, source: str | None, splits: Sequence[str]) -> Plan:
    """What would be done with the unclaimed files of ``source`` (the landing folder); writes nothing."""
    stores = Stores(settings, create=False)
    place = landing_place(stores, source)
    wanted = wanted_files(stores, place, splits)
    ledger = stores.ledger if settings.home.ledger.exists() else LandingLedger(None)
    found = look(place, ledger, datetime.now(UTC), 0)
    images = tuple(file for file in found.files if not is_table(file.path) and wanted(file))
    tables = tuple(file.path for file in found.files if is_table(file.path)) if images else ()
    delivery = Delivery("plan", place.root, datetime.now(UTC).isoformat(), images, tables)
    planned, has_ids = _planned(stores, delivery, place)
    files = tuple(file for kind, file in planned if kind == "file")
    remarks = tuple(file for kind, file in planned if kind != "file")
    others = _others(stores, ledger, place, found, {file.path for file in images})
    return Plan(place.root, files, others, remarks, (WEAK_KEY,) if has_ids and settings.has_weak_pseudonym_key else ())


def landing_place(stores: Stores, source: str | None) -> Place:
    """The place to ingest from; raises ``FileNotFoundError`` where the folder is not there."""
    place = stores.place(source)
    if not place.root.startswith("s3://") and not Path(place.root).is_dir():
        raise FileNotFoundError(f"{place.root} is no folder: copy a delivery there, or name one with --source")
    return place


def wanted_files(stores: Stores, place: Place, splits: Sequence[str]) -> Callable[[SeenFile], bool]:
    """Whether a file was delivered into one of ``splits`` (every file, where none is named)."""
    vocabulary = stores.settings.dataset.vocabulary
    unknown = [split for split in splits if split.lower() not in vocabulary.splits]
    if unknown:
        raise ValueError(f"no split {', '.join(unknown)} in {stores.settings.dataset_config_path}: it names "
                         f"{', '.join(stores.settings.dataset.splits)}")
    names = {vocabulary.splits[split.lower()] for split in splits}
    tables = Tables(place, vocabulary)

    def wanted(file: SeenFile) -> bool:
        name = name_in(place, file.path)
        placed = placed_at(PurePosixPath(name), tables.row(name), vocabulary)
        return isinstance(placed, Placed) and placed.split in names

    return wanted if names else lambda file: True


def _planned(stores: Stores, delivery: Delivery, place: Place) -> tuple[list[tuple[str, PlannedFile]], bool]:
    """The files of a delivery with their fates (and kinds), and whether a patient or lesion is named."""
    judged = judge_delivery(delivery, stores.rules, {}, place)
    planned: list[tuple[str, PlannedFile]] = []
    known = _Known(stores)
    has_ids = False
    while part := list(islice(judged, AT_ONCE)):
        known.look_up(part)
        has_ids |= any(item.row.get("patient_id") or item.row.get("lesion_id") for item in part)
        planned += [(item.kind, PlannedFile(item.name, item.row.get("label"), item.row.get("split"), *known.fate(item)))
                    for item in part]
    return planned, has_ids


def _others(stores: Stores, ledger: LandingLedger, place: Place, found: Look, judged: Collection[str]) -> dict[str, int]:
    """The files of the place that would not be judged now, counted by why."""
    images = {file.path for file in found.seen if not is_table(file.path)}
    counts = Counter({"tables": len(found.seen) - len(images)})
    counts["hidden or special, left alone"] = place.count() - len(found.seen)
    new = {file.path for file in found.files if file.path in images}
    counts["of other splits"] = len(new - set(judged))
    left = images - new - ({file.path for file in found.fresh} - {file.path for file in found.alike})
    batch_of = ledger.batches_of(left)
    unfinished = {batch.batch_id for batch in ledger.open_batches()}
    refused = {path_in(entry.root, entry.file) for entry in stores.quarantine.entries(ledger)
               if entry.kind == "file" and (entry.fate is None or entry.fate.fate == "dropped")} if left else set()
    for path in left:
        counts["claimed by an unfinished batch" if batch_of.get(path) in unfinished else
               "in quarantine, unchanged" if path in refused else "landed before"] += 1
    counts["still changing"] = len(images - new - left)
    return {why: counts[why] for why in ELSE}


class _Known:
    """What the catalogue, and the plan so far, know of images: labels, and whether a refusal stands."""

    def __init__(self, stores: Stores) -> None:
        self._stores, self._words = stores, stores.settings.dataset.consent.words
        self._labels: dict[str, set[str]] = {}
        self._refused: set[str] = set()

    def look_up(self, judged: Sequence[Judged]) -> None:
        """Ask the catalogue about these images."""
        sha256s = {item.row["sha256"] for item in judged if not item.reason} - self._labels.keys()
        found = self._stores.catalogue.rows_of(sha256s) if sha256s else None
        for row in found.select(["sha256", "label", "exclusion"]).to_pylist() if found is not None else ():
            self._labels.setdefault(row["sha256"], set()).add(row["label"])
            if row["exclusion"] == NO_CONSENT:
                self._refused.add(row["sha256"])

    def fate(self, judged: Judged) -> tuple[str, str]:
        """The fate of a judged file and why, given what is known so far; remembers the file's own label."""
        if judged.reason:
            return "quarantined", judged.in_full or judged.reason
        row = judged.row
        held = self._labels.setdefault(row["sha256"], set())
        others, is_known = sorted(held - {row["label"]}), row["label"] in held
        held.add(row["label"])
        said = (row.get("consent") or "").strip()
        exclusion = self._words.exclusion(said)
        if exclusion:
            return "kept out", f"{exclusion}: the table says '{said}'; catalogued, never trained on"
        if row["sha256"] in self._refused and said.lower() not in self._words.renewed:
            return "kept out", f"{NO_CONSENT}: refused in an earlier delivery, and not renewed in so many words"
        if others:
            return "conflict", f"the same bytes are labelled {', '.join(others)}"
        return ("already there", "") if is_known else ("new", "")
