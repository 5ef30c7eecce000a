"""Ingesting by hand: the plan of `skin ingest`, and the ingest itself through the same job as the sensor's."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.delivery_tables import is_table
from skin_platform.core.layout import Placed
from skin_platform.core.layout import place as placed_at
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import instance_in, walk_batches
from skin_platform.settings import Settings
from skin_platform.storage.ingest import AT_ONCE, Judged, judge_delivery
from skin_platform.storage.landing import look
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.places import Place, name_in
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.storage.tables import Tables


@dataclass(frozen=True)
class PlannedFile:
    """A file that has landed: ``fate`` is new, already there, conflict or quarantined; ``why`` explains the last two."""

    file: str
    label: str | None
    split: str | None
    fate: str
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What an ingest of ``source`` would do; ``landed`` files there were claimed before and are as they were."""

    source: str
    files: tuple[PlannedFile, ...]
    landed: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, with the counts by fate."""
        fates = Counter(file.fate for file in self.files)
        counts = {fate: fates[fate] for fate in ("new", "already there", "conflict", "quarantined")}
        return {"source": self.source, "landed_before": self.landed, "counts": counts,
                "files": [vars(file) for file in self.files]}


def plan_ingest(settings: Settings, source: str | None, splits: Sequence[str]) -> Plan:
    """What would be done with the unclaimed files of ``source`` (the landing folder); writes nothing."""
    stores = Stores(settings, create=False)
    place = _place(stores, source)
    wanted = _wanted(stores, place, splits)
    ledger = stores.ledger if settings.home.ledger.exists() else LandingLedger(None)
    found = look(place, ledger, datetime.now(UTC), 0)
    images = tuple(file for file in found.files if not is_table(file.path) and wanted(file))
    tables = tuple(file.path for file in found.files if is_table(file.path)) if images else ()
    delivery = Delivery("plan", place.root, datetime.now(UTC).isoformat(), images, tables)
    judged = judge_delivery(delivery, stores.rules, {}, place)
    planned: list[PlannedFile] = []
    seen: dict[str, set[str]] = {}
    while part := list(islice(judged, AT_ONCE)):
        _add_catalogued(stores, part, seen)
        planned += [PlannedFile(item.name, item.row.get("label"), item.row.get("split"), *_fate(item, seen)) for item in part]
    return Plan(place.root, tuple(planned), found.landed)


def ingest_now(settings: Settings, source: str | None, splits: Sequence[str], tell: Callable[[Told], None]) -> None:
    """Claim what is new and run the ingest job on it, on the instance that the UI shows."""
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    prepare_home(settings)
    stores = Stores(settings)
    place = _place(stores, source)
    name = place.root.rstrip("/").rpartition("/")[2] if source else None
    stores.claim(place.root, name, settle_seconds=0, keep=_wanted(stores, place, splits))
    batches = [batch.batch_id for batch in stores.ledger.open_batches()]  # those of an ingest that was killed, too
    with instance_in(settings.home.dagster) as instance:
        walk_batches(build_definitions(default_resources(settings)), instance, batches, tell)


def _place(stores: Stores, source: str | None) -> Place:
    place = stores.place(source)
    if not place.root.startswith("s3://") and not Path(place.root).is_dir():
        raise FileNotFoundError(f"{place.root} is no folder: copy a delivery there, or name one with --source")
    return place


def _wanted(stores: Stores, place: Place, splits: Sequence[str]) -> Callable[[SeenFile], bool]:
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


def _add_catalogued(stores: Stores, judged: Sequence[Judged], labels: dict[str, set[str]]) -> None:
    """Add to ``labels`` what the catalogue knows of these images: the labels of each SHA-256."""
    sha256s = {item.row["sha256"] for item in judged if not item.reason} - labels.keys()
    found = stores.catalogue.rows_of(sha256s) if sha256s else None
    for row in found.select(["sha256", "label"]).to_pylist() if found is not None else ():
        labels.setdefault(row["sha256"], set()).add(row["label"])


def _fate(judged: Judged, labels: dict[str, set[str]]) -> tuple[str, str]:
    """The fate of a judged file, given the labels that each SHA-256 has so far; remembers the file's own."""
    if judged.reason:
        return "quarantined", judged.in_full or judged.reason
    row = judged.row
    held = labels.setdefault(row["sha256"], set())
    others = sorted(held - {row["label"]})
    known = row["label"] in held
    held.add(row["label"])
    if others:
        return "conflict", f"the same bytes are labelled {', '.join(others)}"
    return ("already there", "") if known else ("new", "")
