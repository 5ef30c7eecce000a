"""Evaluation: what a checkpoint scores on images that it never saw, each figure with its n and interval.

Here: metrics (torchmetrics) and their intervals. Not here: calibration (``core.calibration``), gates (``core``), pictures
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

from skin_platform.core.answers import softmax
from skin_platform.core.intervals import (
    Interval,
    accuracy_of,
    balanced_accuracy_of,
    interval,
    macro_f1_of,
    recalls_of,
    resampled,
    share_interval,
)

BINS = 15  # of the expected calibration error, as in Guo et al. 2017


@dataclass(frozen=True)
class Report:
    """Scores on ``n`` images of ``groups`` groups. Per-label values are None for a label without images there.

    ``ece`` is before temperature scaling, ``ece_scaled`` after it; ``confusion`` counts rows of truth by columns of prediction,
    in the order of ``labels``. Intervals are at 95 %, with whole groups resampled (``core.intervals``).
    """

    n: int
    groups: int
    labels: tuple[str, ...]
    accuracy: float
    accuracy_interval: Interval | None
    balanced_accuracy: float
    balanced_accuracy_interval: Interval | None
    macro_f1: float
    macro_f1_interval: Interval | None
    recall: dict[str, float | None]
    recall_interval: dict[str, Interval | None]
    auc: dict[str, float | None]
    support: dict[str, int]
    confusion: tuple[tuple[int, ...], ...]
    ece: float
    ece_scaled: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def evaluate(
    logits: NDArray[np.float32], truth_index: Sequence[int], labels: Sequence[str], groups: Sequence[str],
    calibrated: NDArray[np.float64],
) -> Report:
    """Score ``logits`` (N, C) against the indices of the true labels; N must be at least 1.

    ``groups`` (N,) are the images' group ids, ``calibrated`` (N, C) the probabilities after temperature scaling.
    """
    classes = len(labels)
    targets = np.asarray(truth_index, dtype=np.int64)
    truth, scores = torch.from_numpy(targets), torch.from_numpy(logits)
    support = np.bincount(targets, minlength=classes)
    present = torch.from_numpy(support > 0)
    f1 = multiclass_f1_score(scores, truth, classes, average="none")[present].mean()
    recall = multiclass_recall(scores, truth, classes, average="none")
    auc = multiclass_auroc(scores, truth, classes, average="none") if len(targets) > 1 else torch.full((classes,), 0.5)
    judged = [bool(n) and n < len(targets) for n in support]  # an AUC needs both this label and another
    confusion = multiclass_confusion_matrix(scores, truth, classes).numpy()
    return Report(
        n=len(targets), groups=len(set(groups)), labels=tuple(labels),
        accuracy=float(multiclass_accuracy(scores, truth, classes, average="micro")),
        balanced_accuracy=float(recall[present].mean()), macro_f1=float(f1),
        recall={label: float(recall[i]) if support[i] else None for i, label in enumerate(labels)},
        auc={label: float(auc[i]) if judged[i] else None for i, label in enumerate(labels)},
        support={label: int(support[i]) for i, label in enumerate(labels)},
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        ece=_ece(softmax(logits), targets), ece_scaled=_ece(calibrated, targets),
        **_intervals(targets, logits.argmax(1), labels, groups),
    )


def _intervals(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str], groups: Sequence[str]
) -> dict[str, Any]:
    """The intervals of a report, by field."""
    drawn = resampled(targets, predicted, groups, len(labels))
    right, recalls = predicted == targets, recalls_of(drawn)
    names = np.asarray(groups)

    def share(of: NDArray[np.bool_], values: NDArray[np.float64]) -> Interval | None:
        return share_interval(int(right[of].sum()), int(of.sum()), values, len(set(names[of])))

    return {
        "accuracy_interval": share(np.ones(len(targets), dtype=bool), accuracy_of(drawn)),
        "balanced_accuracy_interval": interval(balanced_accuracy_of(drawn)), "macro_f1_interval": interval(macro_f1_of(drawn)),
        "recall_interval": {label: share(targets == i, recalls[:, i]) for i, label in enumerate(labels)},
    }


def _ece(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    error = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), probabilities.shape[1], n_bins=BINS)
    return float(error)
