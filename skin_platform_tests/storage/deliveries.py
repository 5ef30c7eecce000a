"""Deliveries for tests: files dropped into a folder, claimed, judged and stored as the platform does it."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.images import Limits
from skin_platform.core.layout import Vocabulary
from skin_platform.core.lesions import MANIFEST_COLUMNS
from skin_platform.storage.claiming import ClaimRules, KeptDeliveries, claim
from skin_platform.storage.door import DoorRules
from skin_platform.storage.ingest import Judged, judge_delivery
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.places import LandingFolder, Place

LABELS = ("nevus", "Mélanome à voir")
COLUMNS = {name: [name] for name in ("file", "label", "split", "patient_id", "lesion_id", "age", "sex", "sha256")}
VOCABULARY = Vocabulary(LABELS, {"train": "train", "training": "train", "val": "val"}, COLUMNS)
RULES = DoorRules(VOCABULARY, Limits(max_bytes=20_000), "a-key")
BUCKET = "images"


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def drop(root: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` below ``root``."""
    for name, data in files.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(root), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def scan(root: Path) -> list[SeenFile]:
    """What a landing folder shows, by path."""
    return sorted(LandingFolder(root).scan())


class KeptInMemory:
    """Where claims are kept, for tests of the claim alone."""

    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}

    def read_delivery(self, batch_id: str) -> Delivery | None:
        """What was claimed as this batch."""
        return self.deliveries.get(batch_id)

    def write_delivery(self, delivery: Delivery) -> None:
        """Keep what was claimed."""
        self.deliveries[delivery.batch_id] = delivery


def claimed(root: Path | Place, ledger: LandingLedger, max_files: int = 1000, settle_seconds: float = 0,
            at: datetime | None = None, kept: KeptDeliveries | None = None, batch_id: str | None = None,
            wanted: Callable[[SeenFile], bool] = lambda file: True) -> list[Delivery]:
    """What is new in a folder or another place, claimed for good."""
    place = LandingFolder(root) if isinstance(root, Path) else root
    rules = ClaimRules("clinic", settle_seconds, max_files, batch_id)
    return claim(place, ledger, kept or KeptInMemory(), rules, at or now(), wanted)


def landed(root: Path, ledger: LandingLedger) -> tuple[Delivery, list[Judged]]:
    """The one new delivery below ``root``, judged; the ledger is told of the contents."""
    [delivery] = claimed(root, ledger)
    judged = list(judge_delivery(delivery, RULES, {}))
    ledger.note_contents({str(root / item.name): item.row.get("delivered_sha256") or item.row["sha256"]
                          for item in judged if item.row.get("sha256")})
    return delivery, judged


def manifest_row(number: int, **given: Any) -> dict[str, Any]:
    """A row of a manifest, good where nothing else is ``given``."""
    blank = dict.fromkeys(column.name for column in MANIFEST_COLUMNS)
    sha256 = f"{number:016x}".ljust(64, "0")
    return blank | {"file_id": f"f{number}", "label": "nevus", "sha256": sha256, "bytes": 10, "batch_id": "2026-05-01-x",
                    "s3_uri": f"s3://images/skin/train/nevus/{sha256}.jpg", "ingested_at": "2026-05-01T00:00:00.000000+00:00",
                    "width_px": 20, "height_px": 30, "format": "JPEG"} | given
