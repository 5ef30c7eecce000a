"""Assets of the room ``raw``: the files of a delivery with their verdicts."""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from skin_platform.core.batches import Delivery, check_batch_id
from skin_platform.core.consent import NO_CONSENT, UNCLEAR, ConsentWords
from skin_platform.core.contact_sheet import contact_sheet
from skin_platform.core.references import LandedBatch
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import picture, table
from skin_platform.settings import WEAK_KEY
from skin_platform.storage.ingest import Judged, judge_delivery, reasons
from skin_platform.storage.places import Place, path_in
from skin_platform.storage.stores import Stores

SHEET_IMAGES = 32


@dg.asset(
    key=["raw", "images"], group_name="raw", partitions_def=BATCHES, owners=["team:data"], kinds={"file", "parquet"},
)
def images(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[LandedBatch]:
    """The files of one delivery, opened, hashed and judged; the refused ones with their reason."""
    opened = stores.open()
    delivery = _delivery(context.partition_key, opened)
    place = opened.place(delivery.root)
    judged = list(judge_delivery(delivery, opened.rules, _earlier_rows(delivery.batch_id, opened), place))
    rows = [item.row for item in judged]
    opened.batches.write_names(delivery.batch_id, {item.row["file_id"]: item.name for item in judged})
    opened.quarantine.write(delivery, judged)
    key, sha256 = opened.batches.write_manifest(delivery.batch_id, "landed", rows)
    _note_contents(delivery, judged, opened)
    files = [item for item in judged if item.kind == "file"]
    good = sum(not item.reason for item in files)
    context.log.info("%s: %d files, %d taken, %d refused", delivery.batch_id, len(files), good, len(files) - good)
    if opened.settings.has_weak_pseudonym_key and any(row.get("patient_id") or row.get("lesion_id") for row in rows):
        context.log.warning(WEAK_KEY)
    report = _report(delivery, judged, sha256, place) | _consent(judged, opened.settings.dataset.consent.words)
    if not good:
        opened.ledger.close_batch(delivery.batch_id, datetime.now(UTC))
        raise dg.Failure(_nothing_usable(judged), metadata=report, allow_retries=False)
    return dg.MaterializeResult(value=LandedBatch(delivery.batch_id, key, sha256, good, len(files) - good), metadata=report)


def _delivery(batch_id: str, stores: Stores) -> Delivery:
    """What was claimed as this batch; for a batch that a person named in the UI, what lies unclaimed now."""
    found = stores.batches.read_delivery(batch_id)
    if found:
        return found
    try:
        claimed = stores.claim(batch_id=check_batch_id(batch_id))
        if not claimed and stores.landing_bucket:
            claimed = stores.claim(stores.landing_bucket.root, batch_id=batch_id)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if not claimed:
        raise dg.Failure(
            f"nothing new has landed in {stores.settings.home.landing} for batch {batch_id}: copy files there (a file is "
            f"left alone until it was untouched for {stores.settings.skin_settle_seconds:g} s)", allow_retries=False)
    return claimed[0]


def _earlier_rows(batch_id: str, stores: Stores) -> dict[str, dict[str, Any]]:
    """The good rows of a former run of this batch, by file id."""
    found = stores.batches.find_manifest(batch_id, "landed")
    return {} if found is None else {row["file_id"]: row for row in found.to_pylist() if not row["reason"]}


def _note_contents(delivery: Delivery, judged: list[Judged], stores: Stores) -> None:
    """Tell the ledger what was in the files as delivered, so that the same bytes written again are recognized."""
    contents = {item.name: item.row.get("delivered_sha256") or item.row.get("sha256") for item in judged if item.kind == "file"}
    stores.ledger.note_contents({path_in(delivery.root, name): sha256 for name, sha256 in contents.items() if sha256})


def _nothing_usable(judged: list[Judged]) -> str:
    files = sum(item.kind == "file" for item in judged)
    why = "; ".join(f"{count} x {reason}" for reason, count in reasons(item.row for item in judged).items())
    return f"no usable image among {files} file(s): {why}. `skin quarantine` lists each by name"


def _report(delivery: Delivery, judged: list[Judged], sha256: str, place: Place) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a delivery: counts, a contact sheet, the quarantine. No original name is in it."""
    kinds = Counter(item.kind for item in judged)
    good = [item for item in judged if not item.reason]
    refused = [{"file_id": item.row["file_id"], "reason": item.reason, "bytes": item.row.get("bytes")}
               for item in judged if item.reason]
    counts = [{"label": label, "images": count} for label, count in sorted(Counter(i.row["label"] for i in good).items())]
    report: dict[str, dg.MetadataValue] = {
        "files": dg.MetadataValue.int(kinds["file"]), "taken": dg.MetadataValue.int(len(good)),
        "quarantined": dg.MetadataValue.int(kinds["file"] - len(good)),
        "listed_but_not_delivered": dg.MetadataValue.int(kinds["missing"]),
        "unreadable_tables": dg.MetadataValue.int(kinds["table"]), "labels": table(counts, ["label", "images"]),
        "quarantine": table(refused, ["file_id", "reason", "bytes"]),
        "delivery_digest": dg.MetadataValue.text(delivery.digest), "manifest_sha256": dg.MetadataValue.text(sha256),
    }
    sample = random.Random(delivery.digest).sample(good, min(SHEET_IMAGES, len(good)))
    pictures = [(item.row["label"], data) for item in sorted(sample, key=lambda item: str(item.row["label"]))
                if (data := _bytes_of(item, place))]
    if pictures:
        report["contact_sheet"] = picture(contact_sheet(pictures))
    return report


def _consent(judged: list[Judged], words: ConsentWords) -> dict[str, dg.MetadataValue]:
    """How many of the files that were taken are kept out of training for what the table says of consent."""
    said = Counter(words.exclusion(item.row.get("consent")) for item in judged if not item.reason)
    counts: list[Mapping[str, str | int | float | None]] = [
        {"kept out": why, "images": said[why]} for why in (NO_CONSENT, UNCLEAR) if said[why]]
    return {"consent": table(counts, ["kept out", "images"])} if counts else {}


def _bytes_of(item: Judged, place: Place) -> bytes:
    """The bytes of a file that was taken; none where it is gone or holds something else by now."""
    try:
        data = place.read(item.name)[1]
    except OSError:
        return b""
    return data if hashlib.sha256(data).hexdigest() in (item.row.get("delivered_sha256"), item.row["sha256"]) else b""
