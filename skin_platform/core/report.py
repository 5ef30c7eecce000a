"""The report: what a model scores on images that it never saw, each figure with its n and interval.

Here: one set of scores from one set of rows. Not here: the rows (``core.evidence``), scores of subgroups (``core.subgroups``),
comparisons (``core.paired``), verdicts (``core.gates``).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.figures import (
    auc,
    auc_replicates,
    brier,
    calibration_error,
    calibration_error_interval,
)
from skin_platform.core.intervals import (
    Interval,
    accuracy_of,
    balanced_accuracy_of,
    interval,
    macro_f1_of,
    precisions_of,
    recalls_of,
    resampled,
    resampled_sums,
    share_interval,
    wilson_by_spread,
)


@dataclass(frozen=True)
class Report:
    """Scores on ``n`` images of ``groups`` groups. Per-label values are None for a label without images (predictions) there.

    ``auc`` is of each label against the rest. ``brier`` is the mean over images of the sum over labels. ``ece`` is before
    temperature scaling, ``ece_scaled`` after it; all else is after it. ``confusion`` counts rows of truth by columns of
    prediction, in the order of ``labels``. Intervals are at 95 %, with whole groups resampled (``core.intervals``).
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
    precision: dict[str, float | None]
    precision_interval: dict[str, Interval | None]
    auc: dict[str, float | None]
    auc_interval: dict[str, Interval | None]
    support: dict[str, int]
    confusion: tuple[tuple[int, ...], ...]
    brier: float
    brier_interval: Interval | None
    ece: float
    ece_interval: Interval | None
    ece_scaled: float
    ece_scaled_interval: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def report_on(evidence: Evidence) -> Report:
    """All scores of the evidence; the same rows give the same report to the last digit."""
    labels, confusion = evidence.labels, evidence.confusion
    return Report(
        n=evidence.n, groups=len(set(evidence.groups)), labels=labels,
        support={label: int(n) for label, n in zip(labels, confusion.sum(axis=1), strict=True)},
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        **_of_predictions(evidence), **_of_probabilities(evidence))


def _of_predictions(evidence: Evidence) -> Mapping[str, Any]:
    """The scores that rest on the most probable label, by field."""
    counts = evidence.confusion.astype(np.float64)
    drawn = resampled(evidence.truth, evidence.predicted, evidence.groups, len(evidence.labels))

    def share(of: NDArray[np.bool_], values: NDArray[np.float64]) -> Interval | None:
        groups = {evidence.groups[i] for i in np.flatnonzero(of).tolist()}
        return share_interval(int(evidence.right[of].sum()), int(of.sum()), values, len(groups))

    recalls, precisions = recalls_of(drawn), precisions_of(drawn)
    return {
        "accuracy": float(accuracy_of(counts)),
        "accuracy_interval": share(np.ones(evidence.n, dtype=bool), accuracy_of(drawn)),
        "balanced_accuracy": float(balanced_accuracy_of(counts)),
        "balanced_accuracy_interval": interval(balanced_accuracy_of(drawn)),
        "macro_f1": float(macro_f1_of(counts)), "macro_f1_interval": interval(macro_f1_of(drawn)),
        "recall": _by_label(evidence, recalls_of(counts)),
        "recall_interval": {label: share(evidence.truth == i, recalls[:, i]) for i, label in enumerate(evidence.labels)},
        "precision": _by_label(evidence, precisions_of(counts)),
        "precision_interval": {
            label: share(evidence.predicted == i, precisions[:, i]) for i, label in enumerate(evidence.labels)},
    }


def _of_probabilities(evidence: Evidence) -> Mapping[str, Any]:
    """The scores that rest on the probabilities, by field."""
    truth, probabilities, groups = evidence.truth, evidence.probabilities, evidence.groups
    missed = brier(probabilities, truth)
    sums = resampled_sums(np.stack([missed, np.ones(evidence.n)], axis=1), groups)
    areas = {label: auc(truth == i, probabilities[:, i]) for i, label in enumerate(evidence.labels)}
    replicates = auc_replicates(truth, probabilities, groups)
    names = np.asarray(groups)
    fewer = [min(len(set(names[truth == i])), len(set(names[truth != i]))) for i in range(len(evidence.labels))]
    found: dict[str, Any] = {
        "auc": areas,
        "auc_interval": {label: None if area is None else wilson_by_spread(area, replicates[:, i], fewer[i])
                         for i, (label, area) in enumerate(areas.items())},
        "brier": float(missed.mean()), "brier_interval": interval(sums[:, 0] / sums[:, 1]),
    }
    for name, given in (("ece", evidence.raw), ("ece_scaled", probabilities)):
        found |= {name: calibration_error(given, truth),
                  f"{name}_interval": calibration_error_interval(given, truth, groups)}
    return found


def _by_label(evidence: Evidence, values: NDArray[np.float64]) -> dict[str, float | None]:
    return {label: None if np.isnan(value) else float(value) for label, value in zip(evidence.labels, values, strict=True)}
