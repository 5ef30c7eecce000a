"""Pictures of training and evaluation, as PNG bytes for the Dagster UI and MLflow.

Here: drawing. Not here: the points that are drawn (``core.figures``), what is written beside them (``core.model_card``).
"""

import io
from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skin_platform.core.evidence import Evidence
from skin_platform.core.figures import ReliabilityBin, auc, calibration_error, reliability, roc_points
from skin_platform.ml.lettering import prepare_lettering, shown_names

prepare_lettering()
MOST_CURVES = 12  # that can be told apart: six colours (Okabe & Ito 2008), each full and dashed
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES = [(colour, style) for style, colour in product(("-", "--"), COLOURS)]
WIDTH = 7.3  # inches: some 800 pixels


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
    names = list(shown_names(labels).values())
    axis.set_xticks(range(len(labels)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(labels)), names)
    axis.set(xlabel="predicted", ylabel="truth", title=title)
    return _png(figure)


def roc_curves(evidence: Evidence, title: str) -> bytes:
    """The ROC curve of each label against the rest, with its area and n; of many labels, those with the most images."""
    counts = {label: int((evidence.truth == i).sum()) for i, label in enumerate(evidence.labels)}
    there = [label for label in evidence.labels if 0 < counts[label] < evidence.n]
    most = set(sorted(there, key=lambda label: -counts[label])[:MOST_CURVES])
    names = shown_names(evidence.labels)
    figure, axis = plt.subplots(figsize=(WIDTH, 5.4 + 0.2 * ((len(most) + 1) // 2)), layout="constrained")
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    curves, told = [], []
    for (colour, style), label in zip(LINES, (label for label in there if label in most), strict=False):
        place = evidence.labels.index(label)
        positive, scores = evidence.truth == place, evidence.probabilities[:, place]
        across, up = zip(*roc_points(positive, scores), strict=True)
        curves += axis.plot(across, up, color=colour, linestyle=style, linewidth=1.6)
        told.append(f"{names[label]}: {auc(positive, scores) or 0:.3f}, n = {counts[label]}")
    axis.set(xlabel="share of the other images that are called so", ylabel="share of the label's images that are found",
             title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axis.grid(alpha=0.3)
    if curves:
        figure.legend(curves, told, frameon=False, loc="outside lower center", ncols=2, fontsize=8.5, title="label: AUC, n")
    without = [names[label] for label in counts if label not in there]
    _note(axis, [f"the {MOST_CURVES} labels with the most images, of {len(there)}" if len(there) > MOST_CURVES else "",
                 f"no curve: {_listed(without)}" if without else ""])
    return _png(figure)


def reliability_diagram(evidence: Evidence, title: str) -> bytes:
    """How often answers of each confidence were right, before and after temperature scaling, with 95 % intervals and n."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 4.8), layout="constrained", sharex=True, sharey="row",
                                height_ratios=(3, 1))
    given = {"before temperature scaling": evidence.raw, "after it, as served": evidence.probabilities}
    for column, (name, probabilities) in enumerate(given.items()):
        error = calibration_error(probabilities, evidence.truth)
        _reliability(axes[0][column], axes[1][column], reliability(probabilities, evidence.truth, evidence.groups))
        axes[0][column].set_title(f"{name}: calibration error {error:.3f}", fontsize=10)
    axes[0][0].set_ylabel("share of right answers")
    axes[1][0].set_ylabel("images")
    figure.suptitle(title, fontsize=11)
    return _png(figure)


def _reliability(upper: Axes, lower: Axes, bins: Sequence[ReliabilityBin]) -> None:
    """Shares of right answers against confidence, and below them the images of each bin."""
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for of in bins:
        if of.interval:
            upper.plot([of.confidence] * 2, [of.interval.low, of.interval.high], color=COLOURS[0], linewidth=1.2, alpha=0.6)
    upper.plot([of.confidence for of in bins], [of.accuracy for of in bins], "o-", color=COLOURS[0], markersize=4, linewidth=1)
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    upper.grid(alpha=0.3)
    bars = lower.bar([of.low for of in bins], [of.n for of in bins], width=[of.high - of.low for of in bins], align="edge",
                     color=COLOURS[0], alpha=0.5, edgecolor="white")
    lower.bar_label(bars, fontsize=7)
    lower.margins(y=0.25)
    lower.set_xlabel("confidence")
    lower.spines[["top", "right"]].set_visible(False)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _note(axis: Axes, parts: Sequence[str]) -> None:
    axis.text(0.99, 0.015, "\n".join(part for part in parts if part), fontsize=8, color="0.35", ha="right", va="bottom")


def _png(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, **options)
    plt.close(figure)
    return buffer.getvalue()
