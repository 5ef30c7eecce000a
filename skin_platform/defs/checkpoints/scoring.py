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
import pyarrow as pa
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration, calibrate, cross_scaled
from skin_platform.core.conformal import sets_of
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.evidence import Evidence
from skin_platform.core.references import CheckpointReference, DatasetReference
from skin_platform.core.report import Report, report_on
from skin_platform.defs.checkpoints.images import refuse_swapped_roles
from skin_platform.storage.evidence import attributes_of
from skin_platform.storage.openings import Opening
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint
    from skin_platform.ml.predictor import Answered


@dataclass(frozen=True)
class Scores:
    """The rows of the ``split`` that counts, their report and features (n, F); validation's own (``held_features``); how often
    locked rows were opened (0: there are none)."""

    split: str
    evidence: Evidence
    report: Report
    features: NDArray[np.float32]
    held_features: NDArray[np.float32]
    validation: Report
    calibration: Calibration
    openings: int


def calibrated(trained: "Checkpoint", held: Sequence[DatasetRow], stores: Stores) -> Calibration:
    """What the confidence of a network is worth on the validation rows, which it did not learn from."""
    logits = logits_of(trained, held, stores)
    wanted = stores.settings.dataset.conformal
    return calibrate(logits, _truth(held, trained.labels), wanted.coverage, by_label=wanted.by_label)


def score(loaded: "Checkpoint", reference: CheckpointReference, stores: Stores, run_id: str) -> Scores:
    """Score on the locked split with the checkpoint's own calibration; on validation where no image is locked away."""
    words, dataset = stores.settings.dataset, reference.dataset
    refuse_swapped_roles(dataset, stores)
    rows = stores.datasets.read(dataset.digest)
    held = [row for row in rows if row.split == words.validation_split]
    locked = [row for row in rows if row.split == dataset.locked_split]
    seen = answered(loaded, held, stores)
    scaled = cross_scaled(seen.logits, _truth(held, loaded.labels))
    checked = evidence_on(held, loaded.labels, seen.logits, loaded.calibration, stores, scaled)
    validation = report_on(checked)
    if not locked:
        return Scores(words.validation_split, checked, validation, seen.features, seen.features, validation, loaded.calibration,
                      0)
    openings = open_locked(dataset, reference.sha256, stores, run_id, "evaluation")
    fresh = answered(loaded, locked, stores)
    evidence = evidence_on(locked, loaded.labels, fresh.logits, loaded.calibration, stores)
    return Scores(dataset.locked_split, evidence, report_on(evidence), fresh.features, seen.features, validation,
                  loaded.calibration, openings)


def open_locked(dataset: DatasetReference, checkpoint_sha256: str, stores: Stores, by: str, why: str) -> int:
    """Record that the locked rows of a dataset are opened now; returns how often they were, this time included."""
    return stores.openings.record(Opening(
        dataset_digest=dataset.digest, split=dataset.locked_split, locked_digest=dataset.locked_digest,
        checkpoint_sha256=checkpoint_sha256, by=by, why=why, at=datetime.now(UTC).isoformat()))


def evidence_on(
    rows: Sequence[DatasetRow], labels: Sequence[str], logits: NDArray[np.float32], calibration: Calibration, stores: Stores,
    scaled: NDArray[np.float64] | None = None,
) -> Evidence:
    """What a model with these ``logits`` (N, C) answers on ``rows``; ``scaled`` are its probabilities where the calibration's
    own temperature would not be honest."""
    probabilities = softmax(logits, calibration.temperature) if scaled is None else scaled
    bands = stores.settings.dataset.gates.age_bands
    asked = pa.table({name: [getattr(row, name) for row in rows] for name in ("sha256", "label")})
    return Evidence(
        sha256=tuple(row.sha256 for row in rows), groups=tuple(row.group_id for row in rows), labels=tuple(labels),
        truth=_truth(rows, labels), probabilities=probabilities, raw=softmax(logits),
        sets=sets_of(probabilities, calibration.thresholds), attributes=attributes_of(stores.catalogue, asked, bands))


def logits_of(loaded: "Checkpoint", rows: Sequence[DatasetRow], stores: Stores) -> NDArray[np.float32]:
    """Logits (N, C) of the images of ``rows``."""
    return answered(loaded, rows, stores).logits


def answered(loaded: "Checkpoint", rows: Sequence[DatasetRow], stores: Stores) -> "Answered":
    """What a network gives for the images of ``rows``."""
    from skin_platform.ml.predictor import Predictor

    return Predictor(loaded).answered(stores.cache.fetch((row.sha256, row.s3_uri) for row in rows))


def _truth(rows: Sequence[DatasetRow], labels: Sequence[str]) -> NDArray[np.int64]:
    places = {label: i for i, label in enumerate(labels)}
    return np.array([places[row.label] for row in rows], dtype=np.int64)
