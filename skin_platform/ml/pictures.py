"""Pictures of training and evaluation, as PNG bytes for the Dagster UI and MLflow."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def training_curves(history: Sequence[dict[str, float]]) -> bytes:
    """Loss and accuracy by epoch, training and validation."""
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axis, name in ((losses, "loss"), (scores, "accuracy")):
        for stage, style in (("train", "--"), ("val", "-")):
            key = f"{stage}_{name}"
            axis.plot(epochs, [row.get(key, float("nan")) for row in history], style, label=stage)
        axis.set(xlabel="epoch", title=name)
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
    scores.set_ylim(0, 1)
    return _png(figure)


def confusion_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> bytes:
    """Counts of truth (rows) by prediction (columns), shaded by the share of the row."""
    side = max(3.5, 0.8 * len(labels) + 1.5)
    figure, axis = plt.subplots(figsize=(side, side), layout="constrained")
    shares = [[value / max(1, sum(row)) for value in row] for row in counts]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, value in enumerate(row):
            axis.text(j, i, str(value), ha="center", va="center", color="white" if shares[i][j] > 0.6 else "black")
    axis.set_xticks(range(len(labels)), list(labels), rotation=40, ha="right")
    axis.set_yticks(range(len(labels)), list(labels))
    axis.set(xlabel="predicted", ylabel="truth", title=title)
    return _png(figure)




def _png(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, **options)
    plt.close(figure)
    return buffer.getvalue()
