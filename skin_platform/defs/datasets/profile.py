"""The asset ``datasets/profile``: what the frozen version looks like, for people who must trust it.

Here: what is shown. Not here: the counting (``storage.profiles``), the drawing (``defs.datasets.pictures``).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from skin_platform.core.references import DatasetReference
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import picture, table
from skin_platform.storage.dataset_versions import DatasetVersion
from skin_platform.storage.profiles import Profiler
from skin_platform.storage.stores import Stores

WHY_LEFT_OUT = {
    "no consent": "the patient refused, or withdrew", "consent unclear": "a value of consent that dataset.yaml does not know",
    "conflict": "the same bytes under two labels: `skin conflicts` lists them, `skin resolve` decides",
    "overruled": "a person decided for another label of the same bytes",
    "erased": "erased on request", "label is not configured": "dataset.yaml does not name the label any more",
}


@dg.asset(
    key=["datasets", "profile"], group_name="datasets", owners=["team:data"], kinds={"matplotlib"},
    ins={"dataset": dg.AssetIn(key=["datasets", "version"])},
    op_tags={"dagster/priority": "1"},  # before training, which takes minutes: look at the data first
)
def profile(dataset: DatasetReference, stores: StoresResource) -> dg.MaterializeResult[None]:
    """Counts by label, split and subgroup of the version, sizes and quality as pictures, what is left out and why."""
    from skin_platform.defs.datasets.pictures import distributions, images_by_label

    opened = stores.open()
    frozen, manifest = opened.datasets.version(dataset.digest), opened.datasets.manifest(dataset.digest)
    config, asked = opened.settings.dataset, Profiler(opened.catalogue, manifest)
    splits = list(config.fractions)
    return dg.MaterializeResult(value=None, metadata={
        "labels": picture(images_by_label(frozen.counts, splits)),
        "quality_by_split": picture(distributions(asked.histograms("split"), splits)),
        "quality_by_label": picture(distributions(asked.histograms("label"), frozen.labels)),
        "counts": table([dict(row) for row in frozen.counts], ["label", "split", "images", "groups"]),
        "subgroups": _subgroups(asked.subgroups(config.columns), splits), "left_out": _left_out(frozen),
        "groups": dg.MetadataValue.md(_groups(asked.groups())), "dataset_digest": dataset.digest, **_openings(frozen, opened),
    })


def _subgroups(rows: list[dict[str, Any]], splits: list[str]) -> dg.TableMetadataValue:
    """A row a value of a column, a column a split."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        shown = found.setdefault((row["column"], row["value"]),
                                 {"column": row["column"], "value": row["value"], **dict.fromkeys(splits, 0)})
        shown[row["split"]] = row["images"]
    return table(list(found.values()), ["column", "value", *splits])


def _left_out(frozen: DatasetVersion) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int | float | None]] = [
        {"reason": reason, "images": count, "why": WHY_LEFT_OUT.get(reason, reason)}
        for reason, count in frozen.came.left_out.items()]
    rows.append({"reason": "copies", "images": 0, "why": "not left out: the same bytes are one image, near-duplicates "
                 "(turned, re-encoded, cropped) stay in the group of their original, so that none is in two splits"})
    return table(rows, ["reason", "images", "why"])


def _groups(found: Mapping[str, int]) -> str:
    return "\n".join((
        f"- {found['several_images']} group(s) of several images; the largest has {found['largest']}",
        f"- {found['several_patients']} group(s) of several patients ({found['images_of_several_patients']} images): joined by "
        "a lesion, or by pictures that are copies of each other",
        f"- {found['several_labels']} group(s) of several labels"))


def _openings(frozen: DatasetVersion, stores: Stores) -> dict[str, str | int]:
    """How often the locked split was looked at before this version is evaluated."""
    if not frozen.came.locked_split:
        return {"locked_split": "none"}
    return {"locked_split": frozen.came.locked_split, "openings_in_all_versions": len(stores.openings.all()),
            "openings_of_these_images": len(stores.openings.of_images(frozen.locked_digest))}
