"""Scores of an epoch while it runs: loss, accuracy, macro F1 and macro recall, over all devices.

Here: one small torchmetrics state, saved with the fit so that a resumed epoch counts on. Not here: the report on a
checkpoint (``core.report``).
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class Scores(Metric):
    """Counts of truth by prediction and the sum of losses. One state and one update a step: four metrics of torchmetrics
    cost a head on stored features a quarter of its step."""

    full_state_update = False
    confusion: Tensor
    loss_sum: Tensor

    def __init__(self, classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.classes = classes
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.long), dist_reduce_fx="sum", persistent=True)
        self.add_state("loss_sum", torch.zeros(()), dist_reduce_fx="sum", persistent=True)

    def update(self, logits: Tensor, targets: Tensor, losses: Tensor) -> None:
        """Take in logits (N, C), targets (N,) and losses (N,); a target of -1 counts nowhere."""
        index = targets * self.classes + logits.argmax(1)
        counts = torch.bincount(index[targets >= 0], minlength=self.classes**2)
        self.confusion += counts.view(self.classes, self.classes)
        self.loss_sum += losses.sum()

    def compute(self) -> dict[str, float]:
        """``loss``, ``accuracy``, ``macro_f1`` and ``macro_recall`` (the macros over classes that occur or were predicted)."""
        confusion = self.confusion.double()
        hits, truth, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        seen = truth + predicted > 0
        total = truth.sum().clamp(min=1)
        f1 = (2 * hits / (truth + predicted).clamp(min=1))[seen].mean()
        recall = (hits / truth.clamp(min=1))[seen].mean()
        return {"loss": float(self.loss_sum.double() / total), "accuracy": float(hits.sum() / total),
                "macro_f1": float(f1), "macro_recall": float(recall)}
