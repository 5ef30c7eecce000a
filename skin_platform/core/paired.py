"""Paired comparison: how much better one model is than another on the very same images, and how sure that is.

Here: differences of scores and their bounds. Not here: what follows from them (``core.gates``).

Both models answer each drawn sample (the cluster bootstrap, Field & Welsh 2007), so that what is hard for both cancels out.
Where few images tell the two apart, samples spread too little: the bounds are then those with two groups more, in which the two
disagree, one each way (Agresti & Min 2005).
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
    balanced_accuracy_of,
    macro_f1_of,
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
    if metric == "recall":
        meant = candidate.truth == (candidate.labels.index(label) if label in candidate.labels else -1)
        if not meant.any():
            raise ValueError(f"there is no image of '{label}' to compare the recall on")
        candidate, champion = candidate.only(meant), champion.only(meant)
    (ours, theirs), replicates = (_shares if metric in SHARES else _scores)(candidate, champion, metric, seed)
    groups, weight = len(set(candidate.groups)), 1.0 if metric in SHARES else _weight(candidate)

    def bounds(one_sided: float) -> tuple[float, float]:
        return _bounds(ours - theirs, replicates, one_sided, groups, weight)

    return PairedDifference(
        f"recall of {label}" if metric == "recall" else metric, candidate.n, groups, ours, theirs, ours - theirs,
        *bounds(level), level, Interval(*bounds(0.025)))


def _shares(
    candidate: Evidence, champion: Evidence, metric: Metric, seed: int
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """The two shares of right answers, and the replicates (B,) of their difference."""
    columns = np.stack([candidate.right, champion.right, np.ones(candidate.n, dtype=bool)], axis=1)
    sums = resampled_sums(columns, candidate.groups, seed=seed)
    return (float(candidate.right.mean()), float(champion.right.mean())), (sums[:, 0] - sums[:, 1]) / sums[:, 2]


def _scores(
    candidate: Evidence, champion: Evidence, metric: Metric, seed: int
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """The two scores that rest on the whole confusion matrix, and the replicates (B,) of their difference."""
    labels = tuple(dict.fromkeys((*candidate.labels, *champion.labels)))
    of = balanced_accuracy_of if metric == "balanced_accuracy" else macro_f1_of
    cells = np.concatenate([_cells(candidate, labels), _cells(champion, labels)], axis=1)
    both = (cells.sum(axis=0, dtype=np.float64)[None], resampled_sums(cells, candidate.groups, seed=seed))
    value, drawn = (of(counts.reshape(-1, 2, len(labels), len(labels))) for counts in both)
    return (float(value[0, 0]), float(value[0, 1])), drawn[:, 0] - drawn[:, 1]


def _bounds(
    difference: float, replicates: NDArray[np.float64], level: float, groups: int, weight: float
) -> tuple[float, float]:
    """Percentile bounds, each beyond which ``level`` of the replicates lie, and no nearer than with two more groups.

    ``weight`` is the square of what one of them moves the score by, as a multiple of 1 / ``groups``.
    """
    low, high = np.quantile(replicates, [level, 1 - level])
    centre = difference * groups / (groups + 2)
    half = -NormalDist().inv_cdf(level) * np.sqrt(groups**2 * replicates.var() + 2 * weight) / (groups + 2)
    return float(min(low, centre - half)), float(max(high, centre + half))


def _weight(evidence: Evidence) -> float:
    """The mean square of what an image moves a mean over labels by: 1 / (labels * images of its label), times their number."""
    support = np.bincount(evidence.truth)
    support = support[support > 0]
    return float(evidence.n / len(support) ** 2 * (1 / support).sum())


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
