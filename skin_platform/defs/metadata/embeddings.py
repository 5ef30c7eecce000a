"""The asset ``metadata/embeddings``: features of a batch's images, and the job that makes them."""

import dagster as dg

from skin_platform.core.embedding import EmbeddedBatch
from skin_platform.core.references import StoredBatch
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.features import configured_embedder, configured_recipe, embed_missing
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.resources import StoresResource

# an image in doubt waits until somebody decides, and one without consent is not looked at
USABLE = ("SELECT sha256, first(s3_uri ORDER BY label) FROM lesions_data WHERE exclusion IS NULL AND erased_at IS NULL "
          "AND sha256 IN (SELECT unnest(?::VARCHAR[])) GROUP BY sha256 ORDER BY sha256")


@dg.asset(
    key=["metadata", "embeddings"], group_name="metadata", partitions_def=BATCHES, owners=["team:data"],
    kinds={"pytorch", "parquet"}, pool=TRAINING_POOL,  # a backbone at work takes all cores, as training does
    ins={"stored": dg.AssetIn(key=["metadata", "lesions_data"])},
)
def embeddings(
    context: dg.AssetExecutionContext, stored: StoredBatch, stores: StoresResource
) -> dg.MaterializeResult[EmbeddedBatch]:
    """What the backbone of `dataset.yaml` sees in the images of a batch, as numbers: computed once an image and backbone."""
    opened = stores.open()
    embedder = configured_embedder(opened)
    taken = opened.batches.read_manifest(stored.manifest_key, stored.manifest_sha256)["sha256"].drop_null().unique().to_pylist()
    found = opened.catalogue.query(USABLE, [taken])
    images = [] if found is None else list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    done = embed_missing(images, stored.batch_id, embedder, opened, context.log.info)
    opened.embeddings.close(embedder.digest, stored.batch_id)
    reference = EmbeddedBatch(stored.batch_id, embedder.digest, done.images, done.computed, done.images - done.computed)
    return dg.MaterializeResult(value=reference, metadata={
        "digest": embedder.digest, "backbone_digest": embedder.backbone_digest, "recipe": configured_recipe(opened.settings),
        "features": embedder.size, "images": done.images, "computed": done.computed, "reused": reference.reused,
        "images_per_second": round(done.images_per_second, 1), "seconds": round(done.seconds, 1)})


embed_batch = dg.define_asset_job(
    "embed_batch", selection=dg.AssetSelection.assets(["metadata", "embeddings"]),
    description="Compute the features of a batch that are not stored for the backbone of dataset.yaml.",
)
