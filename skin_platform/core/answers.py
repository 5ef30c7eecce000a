"""Answers: from logits to what a person is told. Top-k, prediction set, abstention."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PredictionSet:
    """The labels that the stated coverage cannot exclude; ``abstained`` with a reason where that says nothing."""

    labels: tuple[str, ...]
    abstained: bool
    reason: str | None


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of shape (N, C) from logits of shape (N, C), divided by ``temperature`` (Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def top_k_predictions(probabilities: Mapping[str, float], k: int) -> list[tuple[str, float]]:
    """The ``k`` most probable labels, best first, equal ones by name. Raises ``ValueError`` for ``k`` under 1."""
    if k < 1:
        raise ValueError(f"top_k is {k}; ask for at least 1")
    return sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))[:k]


def prediction_set(probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> PredictionSet:
    """The labels within their threshold (``core.conformal``); abstains where no label or every label of several is in the set.

    Both say nothing: the first that the image is unlike what was learnt from, the second that nothing can be excluded.
    """
    ranked = top_k_predictions(probabilities, len(probabilities))
    kept = tuple(label for label, p in ranked if 1.0 - p <= thresholds[label])
    if not kept:
        return PredictionSet(kept, True, "no label is probable enough: unlike what was learnt from")
    if len(kept) == len(probabilities) > 1:
        return PredictionSet(kept, True, "no label can be excluded at the stated coverage")
    return PredictionSet(kept, False, None)
