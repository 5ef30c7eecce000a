"""Checks of a dataset version: read back from the frozen manifest, not from what made it."""

import dagster as dg

from skin_platform.core.references import DatasetReference
from skin_platform.defs.datasets.assets import version
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.manifest_changes import unruly_moves
from skin_platform.storage.manifests import straddling

SHOWN = 20


@dg.asset_check(asset=version, blocking=True, description="No patient, lesion or file is in two splits.")
def no_group_in_two_splits(version: DatasetReference, stores: StoresResource) -> dg.AssetCheckResult:
    """Counted over the columns of the manifest."""
    manifest = stores.open().datasets.manifest(version.digest)
    groups, images = straddling(manifest, "group_id"), straddling(manifest, "sha256")
    return dg.AssetCheckResult(
        passed=not groups and not images,
        metadata={"straddling_groups": len(groups), "straddling_images": len(images), "images": len(manifest),
                  "groups": table([{"group_id": group} for group in groups[:SHOWN]], ["group_id"])})


@dg.asset_check(asset=version, blocking=True, description="Images of the version before stayed, or moved by the rule.")
def no_image_moved_but_by_the_rule(version: DatasetReference, stores: StoresResource) -> dg.AssetCheckResult:
    """Only a link that came later moves an image, to the more held-out split, and it stands on record."""
    opened = stores.open()
    parent = opened.datasets.version(version.digest).came.parent
    moves = opened.datasets.moves(version.digest)
    unruly = []
    if parent is not None:
        config = opened.settings.dataset
        unruly = unruly_moves(opened.datasets.manifest(parent), opened.datasets.manifest(version.digest), moves,
                              list(config.fractions), config.vocabulary.splits)
    return dg.AssetCheckResult(
        passed=not unruly, description=f"{len(moves)} image(s) moved by the rule, {len(unruly)} against it",
        metadata={"moved": len(moves), "against_the_rule": table(unruly[:SHOWN], ["sha256", "was", "is_now", "why"])})


CHECKS = [no_group_in_two_splits, no_image_moved_but_by_the_rule]
