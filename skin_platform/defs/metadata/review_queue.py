"""The asset ``metadata/review_queue``: images whose label or picture a person should look at, and the job that finds them."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.review import ReviewItem, ReviewReference, bad_pictures, doubted_label, ranked
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.features import configured_embedder, stored_features
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.embedder import Embedder

AT_ONCE = 20_000  # images whose features are in memory; more are gone through in blocks of whole groups
COLUMNS = ("rank", "sha256", "label", "suggested_label", "score", "kind", "reason")
Row = dict[str, Any]
USABLE = """
SELECT sha256, label, group_id, s3_uri, sharpness, exposure, blank_share
FROM lesions_data, (SELECT ?::VARCHAR[] AS labels)
WHERE exclusion IS NULL AND erased_at IS NULL AND (len(labels) = 0 OR list_contains(labels, label)) ORDER BY sha256, label
"""


@dg.asset(
    key=["metadata", "review_queue"], group_name="metadata", owners=["team:data"], kinds={"scikitlearn", "parquet"},
    deps=[dg.AssetKey(["metadata", "lesions_data"]), dg.AssetKey(["metadata", "embeddings"])], pool=TRAINING_POOL,
)
def review_queue(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[ReviewReference]:
    """Images that a person should look at, worst first: suspected label errors, and pictures that show too little.

    `skin review list` shows it, `skin resolve` decides; what was decided is not queued again.
    """
    opened = stores.open()
    state, usable = opened.catalogue.state(), opened.catalogue.query(USABLE, [opened.settings.dataset.labels])
    if state is None or usable is None:
        raise dg.Failure("the catalogue is empty: land a delivery first", allow_retries=False)
    rows: list[Row] = usable.to_pylist()
    embedder = configured_embedder(opened)
    doubts, right, asked = _doubts(rows, embedder, opened, context.log.info)
    decided = [decision.sha256 for decision in opened.resolutions.in_force()]
    items = ranked([*doubts, *bad_pictures(rows)], decided)
    key, sha256 = opened.review.write(items)
    kinds = Counter(item.kind for item in items)
    reference = ReviewReference(key, sha256, state.trainable_digest, embedder.digest, len(rows), kinds["label"],
                                kinds["quality"], right / asked if asked else 0.0)
    context.log.info("%d label(s) and %d picture(s) to look at; the probe was right in %.2f of %d images", kinds["label"],
                     kinds["quality"], reference.probe_accuracy, asked)
    return dg.MaterializeResult(value=reference, metadata={
        "queue": table([vars(item) for item in items], COLUMNS), "images": len(rows), "doubted_labels": kinds["label"],
        "bad_pictures": kinds["quality"], "probe_accuracy": round(reference.probe_accuracy, 4),
        "not_doubted": len(rows) - asked, "features_digest": embedder.digest, "object": key})


review_labels = dg.define_asset_job(
    "review_labels", selection=dg.AssetSelection.assets(["metadata", "review_queue"]),
    description="Find images whose label or picture a person should look at (`skin review make` runs it).",
)


def _doubts(
    rows: list[Row], embedder: "Embedder", stores: Stores, tell: Callable[[str], None]
) -> tuple[list[ReviewItem], int, int]:
    """The doubted labels of ``rows``; how many of the images that were asked about the probe got right, and how many those are.

    Images of a label that a block holds but once are not asked about: nothing could be learnt of it without them.
    """
    from skin_platform.ml.label_errors import doubted

    found: list[ReviewItem] = []
    right = asked = 0
    for block in _blocks(rows):
        counts = Counter(row["label"] for row in block)
        block = [row for row in block if counts[row["label"]] > 1]
        labels = sorted(label for label, count in counts.items() if count > 1)
        images = [DatasetRow(row["sha256"], row["label"], row["group_id"], "", row["s3_uri"]) for row in block]
        features = stored_features(images, embedder, stores, tell)
        targets = np.array([labels.index(row["label"]) for row in block], dtype=np.int64)
        try:
            doubts = doubted(features, targets, [row["group_id"] for row in block])
        except ValueError as error:
            tell(f"no label is doubted: {error}")
            continue
        asked += len(doubts)
        right += sum(doubt.given_probability >= doubt.suggested_probability for doubt in doubts)
        found += [doubted_label(
            block[doubt.position]["sha256"], block[doubt.position]["label"], labels[doubt.suggested], doubt.score,
            doubt.suggested_probability, doubt.given_probability) for doubt in doubts if doubt.is_issue]
    return found, right, asked


def _blocks(rows: list[Row]) -> Iterator[list[Row]]:
    """``rows`` in parts of about ``AT_ONCE`` or fewer, groups whole."""
    parts = max(1, math.ceil(len(rows) / AT_ONCE))
    for part in range(parts):
        yield [row for row in rows
               if parts == 1 or int(hashlib.sha256(row["group_id"].encode()).hexdigest()[:8], 16) % parts == part]
