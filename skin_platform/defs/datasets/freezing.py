"""Freezing: from the catalogue and the newest version to the next one.

Here: which stores are asked for what, in which order. Not here: the rule of splits (``core.splits``), the asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from skin_platform.core.splits import SplitPolicy
from skin_platform.storage.candidates import Split, split_candidates
from skin_platform.storage.dataset_versions import Circumstances
from skin_platform.storage.datasets import Latest
from skin_platform.storage.stores import Stores
from skin_platform.version import code_version


@dataclass(frozen=True)
class Offer:
    """What could be frozen: the split catalogue, its digest, what is left out of it by reason, and the version before."""

    split: Split
    catalogue_digest: str
    left_out: Mapping[str, int]
    former: Latest | None
    train_split: str
    validation_split: str


def make_offer(stores: Stores) -> Offer | None:
    """The images that may be trained on, brought to splits; None where the catalogue is empty.

    Raises ``ValueError`` where the newest version has a split that the configuration does not know.
    """
    config = stores.settings.dataset
    former = stores.datasets.newest()
    assigned = stores.datasets.assigned(former)
    found = stores.catalogue.trainable(assigned)
    if found is None:
        return None
    offered, digest = found
    policy = SplitPolicy(config.fractions, config.seed, config.locked_split)
    split = split_candidates(offered, assigned, policy, config.vocabulary.splits)
    notes = (*_changes(stores, former), *split.notes)
    return Offer(Split(split.manifest, split.moves, split.absent, notes), digest, stores.catalogue.left_out(), former,
                 config.train_split, config.validation_split)


def freeze(stores: Stores, offer: Offer, run_id: str) -> str:
    """Keep an offer as the newest version; returns its digest. Raises ``OvertakenError`` where another came first."""
    config = stores.settings.dataset
    came = Circumstances(
        created_at=datetime.now(UTC).isoformat(), run_id=run_id, code_version=code_version(),
        catalogue_digest=offer.catalogue_digest, fractions=config.fractions, seed=config.seed,
        locked_split=config.locked_split, parent=offer.former.digest if offer.former else None, left_out=offer.left_out,
        notes=offer.split.notes)
    return stores.datasets.freeze(offer.split, came, offer.former).digest


def _changes(stores: Stores, former: Latest | None) -> list[str]:
    """What the configuration asks for otherwise than it did for the version before."""
    came = stores.datasets.version(former.digest).came if former else None
    if came is None or not came.fractions:
        return []
    config, notes = stores.settings.dataset, []
    if dict(came.fractions) != config.fractions:
        was, now = (", ".join(f"{name} {share:g}" for name, share in shares.items())
                    for shares in (came.fractions, config.fractions))
        notes.append(f"the shares were {was} and are {now}: images keep their split, only new ones go by the new shares")
    if came.seed != config.seed:
        notes.append(f"the seed was {came.seed} and is {config.seed}: images keep their split, only new ones go by it")
    return notes
