"""Jobs of the room ``metadata``: the table made anew from the batch manifests, and decisions taken over into it."""

from datetime import UTC, datetime

import dagster as dg

from skin_platform.defs.metadata.assets import LESIONS_POOL
from skin_platform.defs.resources import StoresResource
from skin_platform.storage.catalogue import CatalogueState


@dg.op(pool=LESIONS_POOL)
def rebuild_lesions_data(context: dg.OpExecutionContext, stores: StoresResource) -> None:
    """Replace the table by what the manifests of all batches and all decisions say, in one transaction."""
    opened = stores.open()
    before = opened.catalogue.state()
    keys = opened.batches.manifest_keys()
    opened.lesions.rebuild((opened.batches.read_manifest(key) for key in keys), opened.resolutions.in_force())
    after = opened.catalogue.publish(opened.lesions, datetime.now(UTC))
    same = before is not None and before.content_digest == after.content_digest
    context.log.info("rebuilt from %d manifests: %d rows, digest %s (%s)", len(keys), after.rows, after.content_digest,
                     "same content as before" if same else "content differs from what was published")
    _observe(context, after, same_as_before=same)


@dg.op(pool=LESIONS_POOL)
def take_over_resolutions(context: dg.OpExecutionContext, stores: StoresResource) -> None:
    """Bring what people decided on conflicting labels into the table."""
    opened = stores.open()
    decisions = opened.resolutions.in_force()
    opened.lesions.resolve(decisions)
    after = opened.catalogue.publish(opened.lesions, datetime.now(UTC))
    context.log.info("%d decision(s) in force, %d image(s) may be trained on", len(decisions), after.trainable)
    _observe(context, after, decisions=len(decisions))


@dg.job(description="Rebuild the lesions table from the batch manifests; the content stays the same.")
def rebuild_metadata() -> None:
    """The one op."""
    rebuild_lesions_data()


@dg.job(description="Take over what people decided on images under several labels (`skin resolve` runs it).")
def apply_resolutions() -> None:
    """The one op."""
    take_over_resolutions()


def _observe(context: dg.OpExecutionContext, state: CatalogueState, **told: bool | int) -> None:
    context.log_event(dg.AssetObservation(["metadata", "lesions_data"], metadata={
        "dagster/row_count": state.rows, "content_digest": state.content_digest, "trainable": state.trainable, **told}))
