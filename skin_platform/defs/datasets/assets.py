"""Assets of the room ``datasets``: the frozen version."""

import dagster as dg
import pyarrow as pa

from skin_platform.core.datasets import DatasetRow, judge_trainable
from skin_platform.core.references import DatasetReference
from skin_platform.core.splits import Assignment, Candidate, assign_splits, straddling_groups
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.stores import Stores


@dg.asset(
    key=["datasets", "version"], group_name="datasets", owners=["team:data"], kinds={"parquet"},
    deps=[dg.AssetKey(["metadata", "lesions_data"])],
)
def version(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[DatasetReference]:
    """An immutable manifest of images, labels, groups and splits, named by its digest. No group is in two splits."""
    opened = stores.open()
    config = opened.settings.dataset
    state, found = opened.catalogue.state(), opened.catalogue.trainable()
    if state is None or found is None:
        raise dg.Failure("the catalogue is empty: land a delivery first (make demo, or copy files into data/raw)",
                         allow_retries=False)
    usable, catalogue_digest = found
    doubtful = len(opened.catalogue.conflicts())
    assigned = _assign(usable, opened)
    rows = _rows(usable, assigned)
    rejected = judge_trainable(rows, config.train_split, config.validation_split)
    if rejected:
        why = f" ({doubtful} image(s) stand under two labels and are left out)" if doubtful else ""
        raise dg.Failure(rejected.reason + why, allow_retries=False)
    digest, key = opened.datasets.freeze(rows)
    labels = tuple(sorted({row.label for row in rows}))
    counts = {split: sum(row.split == split for row in rows) for split in config.fractions}
    for note in assigned.notes:
        context.log.warning(note)
    reference = DatasetReference(digest, key, catalogue_digest, labels, {k: v for k, v in counts.items() if v})
    return dg.MaterializeResult(value=reference, metadata={
        "dataset_digest": digest, "catalogue_digest": reference.catalogue_digest, "images": len(rows),
        "groups": len({row.group_id for row in rows}), "splits": table(_by_split(rows), ["label", "split", "images", "groups"]),
        "left_out": state.rows - len(usable), "conflicts": doubtful,
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in assigned.notes) or "none"),
    })


@dg.asset_check(asset=version, blocking=True, description="No patient, lesion or file is in two splits.")
def no_group_in_two_splits(version: DatasetReference, stores: StoresResource) -> dg.AssetCheckResult:
    """Read back from the frozen manifest, not from what made it."""
    opened = stores.open()
    rows = opened.datasets.read(version.digest)
    groups = straddling_groups((row.group_id, row.split) for row in rows)
    images = straddling_groups((row.sha256, row.split) for row in rows)
    return dg.AssetCheckResult(
        passed=not groups and not images,
        metadata={"straddling_groups": len(groups), "straddling_images": len(images), "images": len(rows)})


def _assign(usable: pa.Table, stores: Stores) -> Assignment:
    """Splits for the usable rows, starting from those of the newest frozen version."""
    config = stores.settings.dataset
    latest = stores.datasets.latest()
    previous = {row.sha256: row.split for row in stores.datasets.read(latest)} if latest else {}
    candidates = [Candidate(row["sha256"], row["label"], row["group_id"], row["split"], previous.get(row["sha256"]))
                  for row in usable.select(["sha256", "label", "group_id", "split"]).to_pylist()]
    return assign_splits(candidates, config.fractions, config.seed)


def _rows(usable: pa.Table, assigned: Assignment) -> list[DatasetRow]:
    return [DatasetRow(row["sha256"], row["label"], row["group_id"], assigned.split_of[row["sha256"]], row["s3_uri"])
            for row in usable.select(["sha256", "label", "group_id", "s3_uri"]).to_pylist()]


def _by_split(rows: list[DatasetRow]) -> list[dict[str, str | int | float | None]]:
    shown: list[dict[str, str | int | float | None]] = []
    for label, split in sorted({(row.label, row.split) for row in rows}):
        members = [row for row in rows if (row.label, row.split) == (label, split)]
        shown.append({"label": label, "split": split, "images": len(members), "groups": len({r.group_id for r in members})})
    return shown
