"""Pictures of a dataset version, as PNG bytes for the Dagster UI."""

import io
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from skin_platform.storage.profiles import BINS, MEASURES, Histogram

MOST_SERIES = 8  # lines in one panel that can still be told apart; the rest is left to the tables


def images_by_label(counts: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> bytes:
    """Images of each label, a bar a label, parted by split: rows of label, split, images."""
    labels = sorted({row["label"] for row in counts})
    of = {(row["label"], row["split"]): int(row["images"]) for row in counts}
    figure, axis = plt.subplots(figsize=(7, 0.45 * len(labels) + 1.4))
    left = [0] * len(labels)
    for split in splits:
        widths = [of.get((label, split), 0) for label in labels]
        axis.barh(labels, widths, left=left, label=f"{split} ({sum(widths)})")
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set(xlabel="images")
    axis.legend(frameon=False, ncols=len(splits), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axis.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def distributions(histograms: Sequence[Histogram], series: Sequence[str]) -> bytes:
    """A panel a measure: the share of each series' images that have at most so much (cumulative, so that a series of few
    images can be read beside one of many). Lines that lie on each other: alike."""
    figure, axes = plt.subplots(1, len(histograms), figsize=(2.9 * len(histograms), 2.9), squeeze=False)
    shown = list(series)[:MOST_SERIES]
    for axis, found in zip(axes[0], histograms, strict=True):
        width = (found.high - found.low) / BINS or 1.0
        edges = [found.low + width * at for at in range(BINS + 1)]
        for name in shown:
            counts = found.series.get(name, (0,) * BINS)
            total = sum(counts)
            shares = [0.0, *(count / total if total else 0.0 for count in accumulate(counts))]
            axis.plot(edges, shares, label=f"{name} ({total})", linewidth=1.4)
        axis.set(xlabel=MEASURES[found.measure][0], ylim=(0, 1.02))
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not axes[0][0]:
            axis.set_yticklabels([])
    axes[0][0].set_ylabel("share of images up to")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, ncols=len(shown), loc="upper center")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()
