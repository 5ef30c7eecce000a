"""Scoring: a checkpoint against the splits that it did not learn from.

Validation calibrates, at the end of the training. The locked split gives the score that counts, and every time that it is
opened is recorded *before* a label of it is read: a score that was looked at is a score that was looked at, whatever fails
afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration, calibrate, cross_scaled
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import CheckpointReference
from skin_platform.storage.openings import Opening
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint
    from skin_platform.ml.evaluation import Report


@dataclass(frozen=True)
class Scores:
    """The report that counts, of ``split``; validation's own; and how often the locked rows were opened (0: there are none)."""

    split: str
    report: "Report"
    validation: "Report"
    calibration: Calibration
    openings: int


def calibrated(trained: "Checkpoint", held: Sequence[DatasetRow], stores: Stores) -> Calibration:
    """What the confidence of a network is worth on the validation rows, which it did not learn from."""
    logits, targets = _logits(trained, held, stores)
    wanted = stores.settings.dataset.conformal
    return calibrate(logits, targets, wanted.coverage, by_label=wanted.by_label)


def score(loaded: "Checkpoint", reference: CheckpointReference, stores: Stores, run_id: str) -> Scores:
    """Score on the locked split with the checkpoint's own calibration; on validation where no image is locked away."""
    from skin_platform.ml.evaluation import evaluate

    words = stores.settings.dataset
    rows = stores.datasets.read(reference.dataset.digest)
    held = [row for row in rows if row.split == words.validation_split]
    locked = [row for row in rows if row.split == reference.dataset.locked_split]
    logits, targets = _logits(loaded, held, stores)
    validation = evaluate(logits, targets.tolist(), loaded.labels, [row.group_id for row in held],
                          cross_scaled(logits, targets))
    if not locked:
        return Scores(words.validation_split, validation, validation, loaded.calibration, 0)
    openings = stores.openings.record(Opening(
        dataset_digest=reference.dataset.digest, split=reference.dataset.locked_split,
        locked_digest=reference.dataset.locked_digest, checkpoint_sha256=reference.sha256, by=run_id, why="evaluation",
        at=datetime.now(UTC).isoformat()))
    logits, targets = _logits(loaded, locked, stores)
    report = evaluate(logits, targets.tolist(), loaded.labels, [row.group_id for row in locked],
                      softmax(logits, loaded.calibration.temperature))
    return Scores(reference.dataset.locked_split, report, validation, loaded.calibration, openings)


def _logits(
    loaded: "Checkpoint", rows: Sequence[DatasetRow], stores: Stores
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from skin_platform.ml.predictor import Predictor

    images = stores.cache.fetch((row.sha256, row.s3_uri) for row in rows)
    return Predictor(loaded).logits(images), np.array([loaded.labels.index(row.label) for row in rows], dtype=np.int64)
