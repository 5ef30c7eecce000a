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
