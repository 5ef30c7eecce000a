"""The asset ``datasets/split_report``: what a random split would have promised, and the job that finds out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import numpy as np

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import DatasetReference
from skin_platform.core.split_comparison import Figure
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.features import configured_embedder, stored_features
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table

MAX_IMAGES = 5000  # of a larger dataset so many in whole groups; the intervals are then narrow enough


@dataclass(frozen=True)
class SplitReport:
    """How the probe scored under each way of splitting; figures with intervals at 95 %."""

    dataset_digest: str
    features_digest: str
    images: int
    groups: int
    random: Figure
    grouped: Figure
    difference: Figure
    verdict: str


@dg.asset(
    key=["datasets", "split_report"], group_name="datasets", owners=["team:data"], kinds={"scikitlearn"}, pool=TRAINING_POOL,
    ins={"dataset": dg.AssetIn(key=["datasets", "version"])},
)
def split_report(
    context: dg.AssetExecutionContext, dataset: DatasetReference, stores: StoresResource
) -> dg.MaterializeResult[SplitReport]:
    """By how much a split that ignores patients and copies would flatter: a cheap probe under random and under group splits.

    The locked split is left out of it.
    """
    from skin_platform.ml.split_comparison import compare_splits

    opened = stores.open()
    open_rows = [row for row in opened.datasets.read(dataset.digest) if row.split != opened.settings.dataset.locked_split]
    rows = _some(open_rows)
    embedder = configured_embedder(opened)
    features = stored_features(rows, embedder, opened, context.log.info)
    targets = np.array([dataset.labels.index(row.label) for row in rows], dtype=np.int64)
    try:
        found = compare_splits(features, targets, [row.group_id for row in rows])
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info(found.verdict)
    figures = {name: getattr(found, name) for name in ("random", "grouped", "difference")}
    report = SplitReport(dataset.digest, embedder.digest, found.images, found.groups, found.random, found.grouped,
                         found.difference, found.verdict)
    shown = [{"split": name, "accuracy": round(figure.value, 4), "low": round(figure.interval.low, 4),
              "high": round(figure.interval.high, 4)} for name, figure in figures.items()]
    return dg.MaterializeResult(value=report, metadata={
        "verdict": dg.MetadataValue.md(f"**{found.verdict}**"), "accuracy": table(shown, ["split", "accuracy", "low", "high"]),
        "images": found.images, "groups": found.groups, "largest_label": round(found.chance, 4),
        "images_of_the_dataset": len(open_rows), "dataset_digest": dataset.digest, "features_digest": embedder.digest})


report_split = dg.define_asset_job(
    "report_split", selection=dg.AssetSelection.assets(["datasets", "split_report"]),
    description="Measure by how much a random split would flatter on the newest dataset.",
)


def _some(rows: Sequence[DatasetRow]) -> list[DatasetRow]:
    """At most about ``MAX_IMAGES`` of ``rows`` in whole groups, the same ones each time."""
    if len(rows) <= MAX_IMAGES:
        return list(rows)
    share = MAX_IMAGES / len(rows) * 2**32
    return [row for row in rows if int.from_bytes(hashlib.sha256(row.group_id.encode()).digest()[:4], "big") < share]
