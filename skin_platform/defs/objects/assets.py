"""Assets of the room ``objects``: a batch's images in the images bucket."""

import dagster as dg

from skin_platform.core.references import LandedBatch, StoredBatch
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.ingest import reasons, store_images
from skin_platform.storage.places import path_in


@dg.asset(
    key=["objects", "images"], group_name="objects", partitions_def=BATCHES, owners=["team:data"], kinds={"s3"},
    ins={"landed": dg.AssetIn(key=["raw", "images"])},
)
def images(
    context: dg.AssetExecutionContext, landed: LandedBatch, stores: StoresResource
) -> dg.MaterializeResult[StoredBatch]:
    """The good images of a batch as objects `skin/<split>/<label>/<sha256>.<ext>`; equal bytes are stored once."""
    opened = stores.open()
    rows = opened.batches.read_manifest(landed.manifest_key, landed.manifest_sha256).to_pylist()
    delivery = opened.batches.read_delivery(landed.batch_id)
    if delivery is None:
        raise dg.Failure(f"the record of what was claimed as batch {landed.batch_id} is gone", allow_retries=False)
    place = opened.place(delivery.root)
    names = opened.batches.read_names(landed.batch_id)
    sha256s = {row["sha256"] for row in rows if not row["reason"]}
    stored = store_images(rows, names, opened.catalogue.addresses(sha256s), opened.objects, opened.images_bucket,
                          lambda name: place.read(name)[1])
    key, sha256 = opened.batches.write_manifest(landed.batch_id, "manifest", stored)
    good = [row for row in stored if not row["reason"]]
    late = [{"file_id": row["file_id"], "reason": row["reason"]}
            for row, before in zip(stored, rows, strict=True) if row["reason"] and not before["reason"]]
    opened.quarantine.add(delivery, [(row["file_id"], names[row["file_id"]], row["reason"]) for row in late])
    opened.ledger.forget([path_in(delivery.root, names[str(row["file_id"])]) for row in late])  # back again: judged again
    context.log.info("%s: %d images in bucket %s", landed.batch_id, len(good), opened.images_bucket)
    return dg.MaterializeResult(
        value=StoredBatch(landed.batch_id, key, sha256, len(good)),
        metadata={
            "images": len(good), "bucket": opened.images_bucket, "store": opened.objects.address,
            "bytes": sum(row["bytes"] for row in good), "landed_manifest_sha256": landed.manifest_sha256,
            "manifest_sha256": sha256, "refused_here": table(late, ["file_id", "reason"]),
            "reasons": dg.MetadataValue.json(reasons(stored)),
        },
    )
