"""Checks of the room ``metadata``: what is wrong with the table fails here (what is wrong with a batch never enters it)."""

import dagster as dg

from skin_platform.core.lesions import KEY, LESIONS_DATA
from skin_platform.defs.metadata.assets import lesions_data
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.lesions import conflicts


@dg.asset_check(asset=lesions_data, blocking=True, description="Columns, order and key are those of the one schema.")
def table_is_as_declared(stores: StoresResource) -> dg.AssetCheckResult:
    """The published table has the declared columns and one row for each image and label."""
    published = stores.open().catalogue.read()
    declared = [column.name for column in LESIONS_DATA]
    if published is None or published.column_names != declared:
        found = None if published is None else published.column_names
        return dg.AssetCheckResult(passed=False, description=f"columns are {found}, declared are {declared}")
    keys = len(published.group_by(list(KEY), use_threads=False).aggregate([]))
    return dg.AssetCheckResult(passed=keys == len(published), metadata={"rows": len(published), "keys": keys})


@dg.asset_check(asset=lesions_data, description="No image was delivered under two labels; such images are left out.")
def no_image_has_two_labels(stores: StoresResource) -> dg.AssetCheckResult:
    """The same bytes under two labels are kept out of datasets until a person decides."""
    published = stores.open().catalogue.read()
    found = sorted(conflicts(published)) if published is not None else []
    return dg.AssetCheckResult(
        passed=not found, severity=dg.AssetCheckSeverity.WARN,
        metadata={"conflicts": table([{"sha256": sha256} for sha256 in found], ["sha256"])})
