"""Evaluation: what a checkpoint scores on images that it never saw, and what serving must know of it.

Here: metrics (torchmetrics), temperature scaling, the conformal threshold. Not here: gates (``core``), pictures
(``ml.pictures``).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_recall,
)

from skin_platform.core.answers import conformal_threshold, softmax

BINS = 15  # of the expected calibration error, as in Guo et al. 2017


@dataclass(frozen=True)
class Report:
    """Scores on ``n`` held-back images. Per-label values are None for a label without images there.

    ``ece`` is before temperature scaling; ``ece_scaled`` after it, each half scaled with the temperature of the other;
    ``confusion`` counts rows of truth by columns of prediction, in the order of ``labels``.
    """

    n: int
    labels: tuple[str, ...]
    accuracy: float
    macro_f1: float
    recall: dict[str, float | None]
    auc: dict[str, float | None]
    support: dict[str, int]
    confusion: tuple[tuple[int, ...], ...]
    ece: float
    ece_scaled: float
    temperature: float
    conformal_coverage: float
    conformal_threshold: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def evaluate(logits: NDArray[np.float32], truth_index: Sequence[int], labels: Sequence[str], coverage: float) -> Report:
    """Score ``logits`` (N, C) against the indices of the true labels; N must be at least 1."""
    classes = len(labels)
    targets = np.asarray(truth_index, dtype=np.int64)
    truth = torch.from_numpy(targets)
    scores = torch.from_numpy(logits)
    support = np.bincount(targets, minlength=classes)
    present = torch.from_numpy(support > 0)
    f1 = multiclass_f1_score(scores, truth, classes, average="none")[present].mean()
    recall = multiclass_recall(scores, truth, classes, average="none")
    auc = multiclass_auroc(scores, truth, classes, average="none") if len(targets) > 1 else torch.full((classes,), 0.5)
    judged = [bool(n) and n < len(targets) for n in support]  # an AUC needs both this label and another
    temperature = fit_temperature(logits, targets)
    calibrated = softmax(logits, temperature)
    return Report(
        n=len(targets), labels=tuple(labels), accuracy=float(multiclass_accuracy(scores, truth, classes, average="micro")),
        macro_f1=float(f1),
        recall={label: float(recall[i]) if support[i] else None for i, label in enumerate(labels)},
        auc={label: float(auc[i]) if judged[i] else None for i, label in enumerate(labels)},
        support={label: int(support[i]) for i, label in enumerate(labels)},
        confusion=tuple(tuple(int(v) for v in row) for row in multiclass_confusion_matrix(scores, truth, classes)),
        ece=_ece(softmax(logits), targets), ece_scaled=_ece(_cross_scaled(logits, targets), targets),
        temperature=temperature, conformal_coverage=coverage,
        conformal_threshold=conformal_threshold(calibrated[np.arange(len(targets)), targets].tolist(), coverage),
    )


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The temperature in 0.05..20 that makes ``targets`` most likely (Guo et al. 2017)."""
    if len(targets) < 2:
        return 1.0
    grid = np.geomspace(0.05, 20, 241)
    rows = np.arange(len(targets))
    losses = [-np.log(np.clip(softmax(logits, t)[rows, targets], 1e-12, 1)).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])


def _cross_scaled(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of each half under the temperature of the other half."""
    even = np.arange(len(targets)) % 2 == 0
    scaled = np.empty(logits.shape, dtype=np.float64)
    for half in (even, ~even):
        if half.any():
            scaled[half] = softmax(logits[half], fit_temperature(logits[~half], targets[~half]))
    return scaled


def _ece(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    error = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), probabilities.shape[1], n_bins=BINS)
    return float(error)
