"""Assets of the room ``raw``: the files of a delivery with their verdicts."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from skin_platform.core.batches import Delivery, check_batch_id
from skin_platform.core.contact_sheet import contact_sheet
from skin_platform.core.references import LandedBatch
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import picture, table
from skin_platform.storage.ingest import Judged, judge_delivery, reasons
from skin_platform.storage.stores import Stores

SHEET_IMAGES = 32


@dg.asset(
    key=["raw", "images"], group_name="raw", partitions_def=BATCHES, owners=["team:data"], kinds={"file", "parquet"},
)
def images(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[LandedBatch]:
    """The files of one delivery, opened, hashed and judged; the refused ones with their reason."""
    opened = stores.open()
    delivery = _delivery(context.partition_key, opened)
    earlier = _earlier_rows(delivery.batch_id, opened)
    judged = list(judge_delivery(delivery, opened.rules, earlier))
    rows = [item.row for item in judged]
    opened.batches.write_names(delivery.batch_id, {item.row["file_id"]: item.name for item in judged})
    key, sha256 = opened.batches.write_manifest(delivery.batch_id, "landed", rows)
    _note_contents(delivery, judged, opened)
    good = [row for row in rows if not row["reason"]]
    context.log.info("%s: %d files, %d taken, %d refused", delivery.batch_id, len(rows), len(good), len(rows) - len(good))
    report = _report(delivery, judged, sha256)
    if not good:
        opened.ledger.close_batch(delivery.batch_id, datetime.now(UTC))
        raise dg.Failure(_nothing_usable(rows), metadata=report, allow_retries=False)
    landed = LandedBatch(delivery.batch_id, key, sha256, len(good), len(rows) - len(good))
    return dg.MaterializeResult(value=landed, metadata=report)


def _delivery(batch_id: str, stores: Stores) -> Delivery:
    """What was claimed as this batch; for a batch that a person named in the UI, what lies unclaimed now."""
    found = stores.batches.read_delivery(batch_id)
    if found:
        return found
    try:
        claimed = stores.claim(batch_id=check_batch_id(batch_id))
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if not claimed:
        raise dg.Failure(
            f"nothing new has landed in {stores.settings.home.landing} for batch {batch_id}: copy files there (a file is "
            f"left alone until it was untouched for {stores.settings.skin_settle_seconds:g} s)", allow_retries=False)
    return claimed[0]


def _earlier_rows(batch_id: str, stores: Stores) -> dict[str, dict[str, Any]]:
    """The good rows of a former run of this batch, by file id."""
    key = f"batches/{batch_id}/landed.parquet"
    if key not in stores.batches.manifest_keys("landed"):
        return {}
    return {row["file_id"]: row for row in stores.batches.read_manifest(key).to_pylist() if not row["reason"]}


def _note_contents(delivery: Delivery, judged: list[Judged], stores: Stores) -> None:
    """Tell the ledger what was in the files, so that a second copy of the same bytes is recognized."""
    sha256s = {item.name: item.row["sha256"] for item in judged if item.row.get("sha256")}
    root = Path(delivery.root)
    stores.ledger.note_contents({str(root / name): sha256 for name, sha256 in sha256s.items()})


def _nothing_usable(rows: list[dict[str, Any]]) -> str:
    why = "; ".join(f"{count} x {reason}" for reason, count in reasons(rows).items())
    return f"no usable image among {len(rows)} file(s): {why}. `skin quarantine` lists each by name"


def _report(delivery: Delivery, judged: list[Judged], sha256: str) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a delivery: counts, a contact sheet, the quarantine. No original name is in it."""
    rows = [item.row for item in judged]
    good = [item for item in judged if not item.reason]
    refused = [{"file_id": row["file_id"], "reason": row["reason"], "bytes": row.get("bytes")}
               for row in rows if row["reason"]]
    counts = [{"label": label, "images": count} for label, count in sorted(Counter(i.row["label"] for i in good).items())]
    report: dict[str, dg.MetadataValue] = {
        "files": dg.MetadataValue.int(len(rows)), "taken": dg.MetadataValue.int(len(good)),
        "quarantined": dg.MetadataValue.int(len(refused)), "labels": table(counts, ["label", "images"]),
        "quarantine": table(refused, ["file_id", "reason", "bytes"]),
        "delivery_digest": dg.MetadataValue.text(delivery.digest), "manifest_sha256": dg.MetadataValue.text(sha256),
    }
    sample = random.Random(delivery.digest).sample(good, min(SHEET_IMAGES, len(good)))
    pictures = [(item.row["label"], path.read_bytes()) for item in sorted(sample, key=lambda item: item.row["label"])
                if (path := Path(delivery.root) / item.name).is_file()]
    if pictures:
        report["contact_sheet"] = picture(contact_sheet(pictures))
    return report
