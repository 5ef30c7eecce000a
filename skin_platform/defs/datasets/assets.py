"""Assets of the room ``datasets``: the frozen version.

Here: what is asked for and shown. Not here: how it comes about (``defs.datasets.freezing``), its checks
(``defs.datasets.checks``), its pictures (``defs.datasets.profile``).
"""

import dagster as dg

from skin_platform.core.datasets import Rejection, judge_trainable
from skin_platform.core.references import DatasetReference
from skin_platform.defs.datasets.freezing import Offer, begun_anew, freeze, make_offer
from skin_platform.defs.datasets.lines import what_later_links_took
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.datasets import OvertakenError, manifest_key
from skin_platform.storage.manifests import counted, locked_digest
from skin_platform.storage.stores import Stores

DATASETS_POOL = "datasets"  # a version takes its splits from the one before: one is made at a time
TRIES = 3
COLUMNS = ("label", "split", "images", "groups")
LEFT_OUT = {"conflict": "stand under two labels and are left out",
            "label is not configured": "have a label that dataset.yaml does not name"}


@dg.asset(
    key=["datasets", "version"], group_name="datasets", owners=["team:data"], kinds={"parquet"}, pool=DATASETS_POOL,
    deps=[dg.AssetKey(["metadata", "lesions_data"])],
)
def version(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[DatasetReference]:
    """An immutable manifest of images, labels, groups and splits, named by its digest. No group is in two splits."""
    opened = stores.open()
    offer, digest = _frozen(opened, context)
    for note in offer.split.notes:
        context.log.warning(note)
    frozen, manifest = opened.datasets.version(digest), offer.split.manifest
    locked = opened.settings.dataset.locked_split  # of the same content another split may have been locked
    reference = DatasetReference(digest, manifest_key(digest), offer.catalogue_digest, frozen.labels, frozen.images_by_split(),
                                 locked or "", locked_digest(manifest, locked))
    return dg.MaterializeResult(value=reference, metadata={
        "dataset_digest": digest, "catalogue_digest": offer.catalogue_digest, "images": frozen.images, "groups": frozen.groups,
        "splits": table(counted(manifest), COLUMNS), "parent": (offer.former and offer.former.digest) or "none",
        "left_out": sum(offer.left_out.values()), "conflicts": offer.left_out.get("conflict", 0),
        "moved": len(offer.split.moves), "moved_images": table(offer.split.moves.to_pylist(), offer.split.moves.column_names),
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in offer.split.notes) or "none"),
    })


def _frozen(stores: Stores, context: dg.AssetExecutionContext) -> tuple[Offer, str]:
    """What was frozen, and its digest; begun anew where somebody else's version came first, whose splits count."""
    for _ in range(TRIES):
        try:
            offer = _trainable(make_offer(stores), stores)
            return offer, freeze(stores, offer, context.run_id)
        except OvertakenError as error:
            context.log.warning("%s; begun anew from it", error)
        except ValueError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
    raise dg.Failure(f"other versions were frozen meanwhile, {TRIES} times in a row: run it again")


def _trainable(offer: Offer | None, stores: Stores) -> Offer:
    """The offer, where a classifier can be trained and judged on it; refuses it with the remedy otherwise."""
    if offer is None:
        raise dg.Failure("the catalogue is empty: land a delivery first (make demo, or copy files into data/raw)",
                         allow_retries=False)
    rejected = _rejection(offer)
    if rejected:
        why = "".join(f" ({offer.left_out[name]} image(s) {told})" for name, told in LEFT_OUT.items() if name in offer.left_out)
        raise dg.Failure(rejected.reason + why + _because_of_links(offer, stores), allow_retries=False)
    return offer


def _rejection(offer: Offer) -> Rejection | None:
    counts = {(str(row["label"]), str(row["split"])): int(row["images"]) for row in counted(offer.split.manifest)}
    return judge_trainable(counts, offer.train_split, offer.validation_split)


def _because_of_links(offer: Offer, stores: Stores) -> str:
    """What later links have to do with it, and whether splits that are drawn anew would help."""
    links = what_later_links_took(offer.split, (offer.train_split, offer.validation_split))
    if not links:
        return ""
    anew = begun_anew(stores, None)
    if anew is None or _rejection(anew):
        return (f". Why: {links}. Splits that are drawn anew would not help either: if the patients are right, deliver images "
                "of more of them")
    return (f". Why: {links}. If the patients are right, let all splits be drawn anew: give `line` in dataset.yaml another "
            "name (scores before and after cannot be compared, and locked images may be learnt from)")
