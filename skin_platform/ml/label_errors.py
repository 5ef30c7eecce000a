"""Label errors: images whose delivered label a probe doubts that did not learn from them.

Confident learning (Northcutt, Jiang & Chuang 2021) through ``cleanlab``: a label is doubted where the probabilities contradict
it more than they contradict that label elsewhere; the worst come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skin_platform.ml.probe import FOLDS, Features, Probabilities, Targets, grouped_folds, out_of_fold, projected

REPEATS = 3  # of the folds; the mean probability depends less on who happened to be learnt with whom


@dataclass(frozen=True)
class Doubt:
    """Of one image: position, index of the label that fits best, its probability, that of the delivered label, and the score
    of the delivered label, adjusted for how sure the probe is of that label elsewhere (0: surely wrong, 1: surely right)."""

    position: int
    suggested: int
    suggested_probability: float
    given_probability: float
    score: float
    is_issue: bool


def doubted(features: Features, targets: Targets, groups: Sequence[str], seed: int = 0) -> list[Doubt]:
    """All images, the most doubtful label first; ``is_issue`` where confident learning takes the label to be wrong.

    Features (n, D), label indices (n,) from 0 without gaps and group ids (n,). Raises ``ValueError`` where they are too few.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    counts = np.bincount(targets)
    if len(set(groups)) < FOLDS or len(counts) < 2 or counts.min() < 2:
        raise ValueError(f"{len(targets)} images of {len(set(groups))} groups are too few to doubt labels: "
                         f"{FOLDS} groups and 2 images of each of two labels are needed")
    probabilities = _probabilities(features, targets, groups, seed)
    scores = get_label_quality_scores(targets, probabilities, method="self_confidence", adjust_pred_probs=True)
    issues = find_label_issues(targets, probabilities, n_jobs=1)
    others = probabilities.copy()
    others[np.arange(len(targets)), targets] = -1
    best = others.argmax(1)
    return [Doubt(int(at), int(best[at]), float(probabilities[at, best[at]]), float(probabilities[at, targets[at]]),
                  float(scores[at]), bool(issues[at])) for at in np.lexsort((np.arange(len(scores)), scores))]


def _probabilities(features: Features, targets: Targets, groups: Sequence[str], seed: int) -> Probabilities:
    """Out-of-fold probabilities (n, C), each row adding up to 1, no label impossible."""
    components, classes = projected(features), int(targets.max()) + 1
    found = np.mean([out_of_fold(components, targets, classes, grouped_folds(targets, groups, number))
                     for number in range(seed, seed + REPEATS)], axis=0)
    found = np.maximum(found, 1e-6)
    probabilities: Probabilities = found / found.sum(1, keepdims=True)
    return probabilities
