"""Ingesting by hand: the plan of `skin ingest`, and the ingest itself through the same job as the sensor's."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.layout import Placed, place
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import instance_in, walk_batches
from skin_platform.settings import Settings
from skin_platform.storage.ingest import judge_delivery
from skin_platform.storage.landing import is_table, unclaimed
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
    """What an ingest of ``source`` would do."""

    source: str
    files: tuple[PlannedFile, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, with the counts by fate."""
        counts = {fate: sum(file.fate == fate for file in self.files)
                  for fate in ("new", "already there", "conflict", "quarantined")}
        return {"source": self.source, "counts": counts, "files": [asdict(file) for file in self.files]}


def plan_ingest(settings: Settings, source: Path | None, splits: Sequence[str]) -> Plan:
    """What would be done with the unclaimed files of ``source`` (the landing folder); writes nothing."""
    root = _root(settings, source)
    stores = Stores(settings, create=False)
    known = stores.ledger.known() if settings.home.ledger.exists() else {}
    wanted = _wanted(stores, root, splits)
    files = unclaimed(root, known, datetime.now(UTC), 0, lambda file: None)
    images = tuple(file for file in files if not is_table(file.path) and wanted(file))
    tables = tuple(file.path for file in files if is_table(file.path))
    delivery = Delivery("plan", str(root), datetime.now(UTC).isoformat(), images, tables)
    published = stores.catalogue.read()
    labels: dict[str, set[str]] = {}
    if published is not None:
        for sha256, label in zip(published["sha256"].to_pylist(), published["label"].to_pylist(), strict=True):
            labels.setdefault(sha256, set()).add(label)
    planned = []
    for judged in judge_delivery(delivery, stores.rules, {}):
        row = judged.row
        fate, why = _fate(row, labels)
        planned.append(PlannedFile(judged.name, row.get("label"), row.get("split"), fate, why))
    return Plan(str(root), tuple(planned))


def ingest_now(settings: Settings, source: Path | None, splits: Sequence[str], tell: Callable[[Told], None]) -> None:
    """Claim what is new and run the ingest job on it, on the instance that the UI shows."""
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    prepare_home(settings)
    stores = Stores(settings)
    root = _root(settings, source)
    stores.claim(root, root.name if source else None, settle_seconds=0, keep=_wanted(stores, root, splits))
    batches = [batch_id for batch_id, _ in stores.ledger.open_batches()]  # those of an ingest that was killed, too
    with instance_in(settings.home.dagster) as instance:
        walk_batches(build_definitions(default_resources(settings)), instance, batches, tell)


def _root(settings: Settings, source: Path | None) -> Path:
    root = (source or settings.home.landing).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: copy a delivery there, or name one with --source")
    return root


def _wanted(stores: Stores, root: Path, splits: Sequence[str]) -> Callable[[SeenFile], bool]:
    """Whether a file was delivered into one of ``splits`` (every file, where none is named)."""
    vocabulary = stores.settings.dataset.vocabulary
    unknown = [split for split in splits if split.lower() not in vocabulary.splits]
    if unknown:
        raise ValueError(f"no split {', '.join(unknown)} in {stores.settings.dataset_config_path}: it names "
                         f"{', '.join(stores.settings.dataset.splits)}")
    names = {vocabulary.splits[split.lower()] for split in splits}
    tables = Tables(root, vocabulary)

    def wanted(file: SeenFile) -> bool:
        path = Path(file.path)
        placed = place(PurePosixPath(path.relative_to(root).as_posix()), tables.row(path), vocabulary)
        return isinstance(placed, Placed) and placed.split in names

    return wanted if names else lambda file: True


def _fate(row: dict[str, Any], labels: dict[str, set[str]]) -> tuple[str, str]:
    """The fate of a judged row, given the labels that each SHA-256 has so far; remembers the row's own."""
    if row["reason"]:
        return "quarantined", row["reason"]
    held = labels.setdefault(row["sha256"], set())
    others = sorted(held - {row["label"]})
    known = row["label"] in held
    held.add(row["label"])
    if others:
        return "conflict", f"the same bytes are labelled {', '.join(others)}"
    return ("already there", "") if known else ("new", "")
