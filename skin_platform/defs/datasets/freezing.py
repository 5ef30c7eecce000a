"""Freezing: from the catalogue and the newest version to the next one.

Here: which stores are asked for what, in which order. Not here: the rule of splits (``core.splits``), the asset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from skin_platform.core.split_terms import changed_terms, swapped_roles
from skin_platform.core.splits import SplitPolicy
from skin_platform.defs.datasets.lines import new_line_notes
from skin_platform.storage.candidates import Split, split_candidates
from skin_platform.storage.dataset_versions import Circumstances
from skin_platform.storage.datasets import Latest
from skin_platform.storage.manifests import ASSIGNED
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

    Raises ``ValueError`` where the newest version has a split that the configuration does not know, or where images that were
    learnt from would judge.
    """
    config, former = stores.settings.dataset, stores.datasets.newest()
    came = stores.datasets.version(former.digest).came if former else Circumstances()
    if former is None or came.line != config.line:
        return begun_anew(stores, former)
    words, assigned = config.vocabulary.splits, stores.datasets.assigned(former)
    found = stores.catalogue.trainable(assigned)
    if found is None:
        return None
    fault = swapped_roles(came.terms, config.terms, words) if came.terms else ""
    if fault:
        raise ValueError(fault)
    changed = changed_terms(came.terms, config.terms, words) if came.terms else []
    return _offer(stores, former, split_candidates(found[0], assigned, _policy(stores), words), found[1], changed)


def begun_anew(stores: Stores, former: Latest | None) -> Offer | None:
    """The same where no image was in a split before: the first version, or that of another line; ``former`` is the newest."""
    config, nothing = stores.settings.dataset, ASSIGNED.empty_table()
    found = stores.catalogue.trainable(nothing)
    if found is None:
        return None
    split = split_candidates(found[0], nothing, _policy(stores), config.vocabulary.splits)
    return _offer(stores, former, split, found[1], new_line_notes(stores, former, split) if former else [])


def _policy(stores: Stores) -> SplitPolicy:
    terms = stores.settings.dataset.terms
    return SplitPolicy(terms.fractions, terms.seed, terms.locked)


def _offer(stores: Stores, former: Latest | None, split: Split, catalogue_digest: str, notes: Sequence[str]) -> Offer:
    config = stores.settings.dataset
    return Offer(Split(split.manifest, split.moves, split.absent, (*notes, *split.notes)), catalogue_digest,
                 stores.catalogue.left_out(), former, config.train_split, config.validation_split)


def freeze(stores: Stores, offer: Offer, run_id: str) -> str:
    """Keep an offer as the newest version; returns its digest. Raises ``OvertakenError`` where another came first."""
    config = stores.settings.dataset
    came = Circumstances(
        created_at=datetime.now(UTC).isoformat(), run_id=run_id, code_version=code_version(),
        catalogue_digest=offer.catalogue_digest, fractions=config.fractions, seed=config.seed,
        locked_split=config.locked_split, parent=_parent(stores, offer), left_out=offer.left_out, notes=offer.split.notes,
        line=config.line)
    return stores.datasets.freeze(offer.split, came, offer.former).digest


def _parent(stores: Stores, offer: Offer) -> str | None:
    """The version whose splits the offer keeps; None at the beginning of a line."""
    if offer.former is None or stores.datasets.version(offer.former.digest).came.line != stores.settings.dataset.line:
        return None
    return offer.former.digest
