"""Assets of the room ``metadata``: the lesions table in DuckDB."""

from datetime import UTC, datetime

import dagster as dg

from skin_platform.core.lesions import LESIONS_DATA
from skin_platform.core.references import StoredBatch
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table

LESIONS_POOL = "lesions"  # DuckDB has one writer: whoever opens the file stands in this queue
COLUMN_SCHEMA = dg.TableSchema([dg.TableColumn(c.name, c.type, description=c.description) for c in LESIONS_DATA])
SAMPLE = ("sha256", "label", "split", "group_id", "width_px", "height_px", "format", "batch_id")


@dg.asset(
    key=["metadata", "lesions_data"], group_name="metadata", partitions_def=BATCHES, owners=["team:data"],
    kinds={"duckdb", "table"}, pool=LESIONS_POOL, metadata={"dagster/column_schema": COLUMN_SCHEMA},
    ins={"stored": dg.AssetIn(key=["objects", "images"])},
)
def lesions_data(
    context: dg.AssetExecutionContext, stored: StoredBatch, stores: StoresResource
) -> dg.MaterializeResult[StoredBatch]:
    """One row an image and label: where it is, what it shows, whom it groups with. Rebuilt by `rebuild_metadata`."""
    opened = stores.open()
    manifest = opened.batches.read_manifest(stored.manifest_key, stored.manifest_sha256)
    opened.lesions.replace_batch(stored.batch_id, manifest)
    state = opened.catalogue.publish(opened.lesions, datetime.now(UTC))
    opened.ledger.close_batch(stored.batch_id, datetime.now(UTC))
    context.log.info("%s: catalogue holds %d rows, %d may be trained on", stored.batch_id, state.rows, state.trainable)
    sample = opened.catalogue.query(f"SELECT {', '.join(SAMPLE)} FROM lesions_data WHERE batch_id = ? LIMIT 8",
                                    [stored.batch_id])
    return dg.MaterializeResult(value=stored, metadata={
        "dagster/row_count": state.rows, "dagster/column_schema": COLUMN_SCHEMA, "trainable": state.trainable,
        "content_digest": state.content_digest, "trainable_digest": state.trainable_digest,
        "manifest_sha256": stored.manifest_sha256, "sample": table(sample.to_pylist() if sample else [], SAMPLE),
    })
