"""Comparing: two versions on the very same images, none of which either has learnt from.

Here: finding those images, and what the other version answers on them. Not here: the statistics (``core.paired``), what
follows from them (``judging``).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration
from skin_platform.core.conformal import sets_of
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.evidence import Evidence, widened
from skin_platform.core.references import EvaluationReference
from skin_platform.defs.checkpoints.scoring import logits_of, open_locked
from skin_platform.defs.registry.registering import evidence_of, origin_of
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint


@dataclass(frozen=True)
class Rivalry:
    """What both answer on the images (``fair``, a mask (N,) over the candidate's evidence) that the rival did not learn from.

    ``rival`` is None where there is no such image.
    """

    fair: NDArray[np.bool_]
    rival: Evidence | None

    @property
    def left_out(self) -> int:
        """How many images the rival, or a group of which it, has learnt from."""
        return int((~self.fair).sum())


def rivalry(version: str, evidence: Evidence, rival: str, stores: Stores, by: str) -> Rivalry:
    """What the version ``rival`` answers on the images of ``evidence``, which is that of ``version``.

    Images that the rival chose or learnt by are left out, with all of their group. Raises ``KeyError`` where the rival is gone.
    """
    origin, other = origin_of(version, stores), origin_of(rival, stores)
    rows = {row.sha256: row for row in stores.datasets.read(origin.checkpoint.dataset.digest)}
    fair = _fair(evidence, rows, other, stores)
    if not fair.any():
        return Rivalry(fair, None)
    known = evidence_of(rival, stores)
    wanted = evidence.only(fair)
    if set(wanted.sha256) <= set(known.sha256) and known.labels == wanted.labels and not _relabelled(wanted, known):
        return Rivalry(fair, _reordered(known, wanted))
    if origin.checkpoint.dataset.locked_digest:
        open_locked(origin.checkpoint.dataset, other.checkpoint.sha256, stores, by, f"comparison of {rival} with {version}")
    return Rivalry(fair, _asked(other, wanted, [rows[sha256] for sha256 in wanted.sha256], stores))


def _fair(evidence: Evidence, rows: dict[str, DatasetRow], other: EvaluationReference, stores: Stores) -> NDArray[np.bool_]:
    """Which images of ``evidence`` are of groups that the other model has seen nothing of."""
    dataset = other.checkpoint.dataset
    locked = dataset.locked_split or other.split
    seen = {row.sha256 for row in stores.datasets.read(dataset.digest) if row.split != locked}
    tainted = {row.group_id for row in rows.values() if row.sha256 in seen}
    return np.array([group not in tainted for group in evidence.groups], dtype=bool)


def _relabelled(wanted: Evidence, known: Evidence) -> bool:
    """Whether an image has got another label since the other model was evaluated."""
    labels = {sha256: known.labels[truth] for sha256, truth in zip(known.sha256, known.truth, strict=True)}
    return any(labels[sha256] != wanted.labels[truth] for sha256, truth in zip(wanted.sha256, wanted.truth, strict=True))


def _reordered(known: Evidence, wanted: Evidence) -> Evidence:
    """Rows that are known, in the order and with the groups and attributes of those that are wanted."""
    places = {sha256: i for i, sha256 in enumerate(known.sha256)}
    at = np.array([places[sha256] for sha256 in wanted.sha256])
    return replace(wanted, probabilities=known.probabilities[at], raw=known.raw[at], sets=known.sets[at])


def _asked(other: EvaluationReference, wanted: Evidence, rows: list[DatasetRow], stores: Stores) -> Evidence:
    """What the other model answers on ``rows``, over the labels of both."""
    from skin_platform.ml.checkpoints import load_checkpoint

    loaded: Checkpoint = load_checkpoint(stores.models.read(other.checkpoint.key, other.checkpoint.sha256))
    labels = tuple(dict.fromkeys((*wanted.labels, *loaded.labels)))
    return _answers(logits_of(loaded, rows, stores), loaded.labels, labels, other.calibration, wanted)


def _answers(
    logits: NDArray[np.float32], known: tuple[str, ...], labels: tuple[str, ...], calibration: Calibration, wanted: Evidence
) -> Evidence:
    probabilities = softmax(logits, calibration.temperature)
    sets = sets_of(probabilities, calibration.thresholds).astype(np.float64)
    return replace(
        wanted, labels=labels, probabilities=widened(probabilities, known, labels), raw=widened(softmax(logits), known, labels),
        sets=widened(sets, known, labels) > 0)
