"""Comparing splits: by how much a split that ignores patients flatters, measured with a probe.

The same images are asked about twice, in five folds drawn at random and in five folds that keep groups together, several times
over. An image's difference is how much more often it was right when its group was learnt from; intervals come of drawing whole
groups (the cluster bootstrap, Field & Welsh 2007) and repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.intervals import REPLICATES, interval
from skin_platform.core.split_comparison import Figure, SplitComparison
from skin_platform.ml.probe import FOLDS, Features, Targets, grouped_folds, out_of_fold, projected

REPEATS = 5


def compare_splits(features: Features, targets: Targets, groups: Sequence[str], seed: int = 0) -> SplitComparison:
    """Compare the splits on features (n, D), label indices (n,) and group ids (n,).

    Raises ``ValueError`` where there are fewer groups or images of two labels than folds.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.sort(np.bincount(targets))[::-1]
    if len(names) < FOLDS or len(counts) < 2 or counts[1] < FOLDS:
        raise ValueError(f"{len(targets)} images of {len(names)} groups are too few to compare splits: "
                         f"{FOLDS} groups and {FOLDS} images of two labels are needed")
    components, classes = projected(features), int(targets.max()) + 1

    everyone = [str(position) for position in range(len(targets))]
    # the same procedure twice, so that nothing but the grouping differs: where every image is a group, the difference is 0
    kinds = {"random": everyone, "grouped": list(groups)}
    right = {kind: np.stack([
        out_of_fold(components, targets, classes, grouped_folds(targets, held_together, number)).argmax(1) == targets
        for number in range(seed, seed + REPEATS)]).astype(np.float64) for kind, held_together in kinds.items()}
    draw = _Draw.of(member, len(names), seed)
    return SplitComparison(
        len(targets), len(names), draw.figure(right["random"]), draw.figure(right["grouped"]),
        draw.figure(right["random"] - right["grouped"]), float(counts[0] / len(targets)))


@dataclass(frozen=True)
class _Draw:
    """Replicates: how often each group (B, G) and each repeat (B, R) was drawn, and the group of each image (n,)."""

    groups: NDArray[np.float64]
    repeats: NDArray[np.float64]
    member: NDArray[np.int64]

    @classmethod
    def of(cls, member: NDArray[np.int64], groups: int, seed: int) -> "_Draw":
        rng = np.random.default_rng(seed)
        drawn, repeats = (rng.multinomial(size, np.full(size, 1 / size), REPLICATES).astype(np.float64)
                          for size in (groups, REPEATS))
        return cls(drawn, repeats, member)

    def figure(self, values: NDArray[np.float64]) -> Figure:
        """The mean of values (R, n) with its interval."""
        by_group = np.stack([np.bincount(self.member, row, self.groups.shape[1]) for row in values])
        sizes = self.groups @ np.bincount(self.member, minlength=self.groups.shape[1])
        means = (self.groups @ by_group.T * self.repeats).sum(1) / REPEATS / sizes
        found = interval(means)
        assert found is not None  # every replicate holds an image
        return Figure(float(values.mean()), found)
