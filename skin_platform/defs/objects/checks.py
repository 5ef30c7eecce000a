"""Checks of the room ``objects``: the store that the images lie in."""

from collections.abc import Mapping

import dagster as dg

from skin_platform.defs.objects.assets import images
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.verification import verify_store


@dg.asset_check(asset=images, description="Every step of `skin verify` goes well: upload, list, download, checksum, metadata, "
                                          "presigned URL and delete, in each bucket.")
def the_store_keeps_what_it_is_given(stores: StoresResource) -> dg.AssetCheckResult:
    """The same function as `skin verify`; it leaves nothing behind."""
    opened = stores.open()
    settings = opened.settings
    found = verify_store(opened.objects, (settings.s3_bucket_models, opened.images_bucket, settings.s3_bucket_data))
    rows: list[Mapping[str, str | int | float | None]] = [
        {"step": step.name, "status": step.status, "detail": step.detail, "seconds": step.seconds} for step in found.steps]
    return dg.AssetCheckResult(
        passed=found.passed, metadata={"store": found.store, "steps": table(rows, ["step", "status", "detail", "seconds"])})


@dg.asset_check(asset=images, description="At least one image of the batch is stored (without a batch: of the newest one).")
def something_of_the_batch_was_stored(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
    """A run in which every file was refused on its last steps ends well; nothing came of it all the same."""
    batches = stores.open().batches
    batch_id = context.op_execution_context.run.tags.get("dagster/partition")
    keys = [f"batches/{batch_id}/manifest.parquet"] if batch_id else batches.manifest_keys()[-1:]
    if not keys:
        return dg.AssetCheckResult(passed=False, description="no batch was stored yet")
    rows = batches.read_manifest(keys[0]).select(["reason"])["reason"].to_pylist()
    taken = sum(not reason for reason in rows)
    return dg.AssetCheckResult(passed=taken > 0, description=f"{taken} of {len(rows)} file(s) of {keys[0].split('/')[1]} are "
                               "stored; `skin quarantine` lists the others", metadata={"stored": taken, "rows": len(rows)})
