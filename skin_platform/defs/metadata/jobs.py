"""Jobs of the room ``metadata``: the table made anew from the batch manifests."""

import dagster as dg

from skin_platform.defs.metadata.assets import LESIONS_POOL, publish
from skin_platform.defs.resources import StoresResource


@dg.op(pool=LESIONS_POOL)
def rebuild_lesions_data(context: dg.OpExecutionContext, stores: StoresResource) -> None:
    """Replace the table by what the manifests of all batches say, in one transaction."""
    opened = stores.open()
    before = opened.catalogue.state()
    keys = opened.batches.manifest_keys()
    opened.lesions.rebuild(opened.batches.read_manifest(key) for key in keys)
    after = publish(opened)
    same = before is not None and before.content_digest == after.content_digest
    context.log.info("rebuilt from %d manifests: %d rows, digest %s (%s)", len(keys), after.rows, after.content_digest,
                     "same content as before" if same else "content differs from what was published")
    context.log_event(dg.AssetObservation(["metadata", "lesions_data"], metadata={
        "dagster/row_count": after.rows, "content_digest": after.content_digest, "same_as_before": same}))


@dg.job(description="Rebuild the lesions table from the batch manifests; the content stays the same.")
def rebuild_metadata() -> None:
    """The one op."""
    rebuild_lesions_data()
