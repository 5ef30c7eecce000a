"""Paired comparison: how much better one model is than another on the very same images, and how sure that is.

Here: differences of scores and their bounds. Not here: what follows from them (``core.gates``).

Both models answer each drawn sample (the cluster bootstrap, Field & Welsh 2007), so that what is hard for both cancels out.
Where few images tell the two apart, samples spread too little: the bounds of a share are then those with two images more, on
which the two disagree, one each way (Agresti & Min 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import (
    Interval,
    accuracy_of,
    balanced_accuracy_of,
    macro_f1_of,
    recalls_of,
    resampled_sums,
)

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "recall"]
SHARES = ("accuracy", "recall")


@dataclass(frozen=True)
class PairedDifference:
    """Candidate minus champion on ``n`` images of ``groups`` groups; the values are of ``metric`` (the recall is a label's).

    ``lower`` and ``upper`` are one-sided bounds: the true difference is above ``lower`` with confidence 1 - ``level``, and
    below ``upper`` with the same. ``interval`` is two-sided at 95 %.
    """

    metric: str
    n: int
    groups: int
    candidate: float
    champion: float
    difference: float
    lower: float
    upper: float
    level: float
    interval: Interval

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        return (f"{self.candidate:.3f} against {self.champion:.3f}: {self.difference:+.3f} "
                f"({low:+.3f} to {high:+.3f}, n = {self.n})")


def paired_difference(
    candidate: Evidence, champion: Evidence, metric: Metric, level: float = 0.05, *, label: str = "",
    within: NDArray[np.bool_] | None = None, seed: int = 0,
) -> PairedDifference:
    """The difference in ``metric`` on the same images (those of the mask ``within`` (N,)), groups resampled.

    ``label`` is the one whose recall is meant. Raises ``ValueError`` where the rows are not the same, or hold no image of it.
    """
    refuse_other_rows(candidate, champion)
    if within is not None:
        candidate, champion = candidate.only(within), champion.only(within)
    labels = tuple(dict.fromkeys((*candidate.labels, *champion.labels)))
    if metric == "recall":
        meant = candidate.truth == (candidate.labels.index(label) if label in candidate.labels else -1)
        if not meant.any():
            raise ValueError(f"there is no image of '{label}' to compare the recall on")
        candidate, champion = candidate.only(meant), champion.only(meant)
    size = len(labels) ** 2
    cells = np.concatenate([_cells(candidate, labels), _cells(champion, labels)], axis=1)
    drawn = resampled_sums(cells, candidate.groups, seed=seed)
    ours, theirs = (float(_score(metric, cells[:, part].sum(0, dtype=np.float64)[None], len(labels))[0])
                    for part in (slice(None, size), slice(size, None)))
    replicates = _score(metric, drawn[:, :size], len(labels)) - _score(metric, drawn[:, size:], len(labels))
    groups = len(set(candidate.groups))

    def bounds(one_sided: float) -> tuple[float, float]:
        return _bounds(ours - theirs, replicates, one_sided, groups if metric in SHARES else None)

    return PairedDifference(
        f"recall of {label}" if metric == "recall" else metric, candidate.n, groups, ours, theirs, ours - theirs,
        *bounds(level), level, Interval(*bounds(0.025)))


def _bounds(
    difference: float, replicates: NDArray[np.float64], level: float, groups: int | None
) -> tuple[float, float]:
    """Percentile bounds, each beyond which ``level`` of the replicates lie; of a share no nearer than with two more groups."""
    low, high = np.quantile(replicates, [level, 1 - level])
    if groups is None:
        return float(low), float(high)
    centre = difference * groups / (groups + 2)
    half = -NormalDist().inv_cdf(level) * np.sqrt(groups**2 * replicates.var() + 2) / (groups + 2)
    return float(min(low, centre - half)), float(max(high, centre + half))


def refuse_other_rows(candidate: Evidence, champion: Evidence) -> None:
    """Raise ``ValueError`` unless both are evidence on the same images in the same order, with the same true labels."""
    if candidate.sha256 != champion.sha256:
        raise ValueError("the two models were not asked about the same images in the same order: score both on one dataset")
    if _names(candidate) != _names(champion):
        raise ValueError("an image has another true label for the one model than for the other: score both on one dataset")


def _names(evidence: Evidence) -> list[str]:
    return [evidence.labels[i] for i in evidence.truth]


def _cells(evidence: Evidence, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which cell of the confusion matrix (of all ``labels``) each image is in (N, C*C)."""
    place = np.array([labels.index(label) for label in evidence.labels])
    cell = place[evidence.truth] * len(labels) + place[evidence.predicted]
    found: NDArray[np.bool_] = cell[:, None] == np.arange(len(labels) ** 2)
    return found


def _score(metric: Metric, counts: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """The scores (B,) of confusion counts (B, C*C)."""
    confusion = counts.reshape(-1, classes, classes)
    if metric == "recall":  # of the only label that there is
        recall: NDArray[np.float64] = np.nanmax(recalls_of(confusion), axis=1)
        return recall
    of = {"accuracy": accuracy_of, "balanced_accuracy": balanced_accuracy_of, "macro_f1": macro_f1_of}[metric]
    return of(confusion)
