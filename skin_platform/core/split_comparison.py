"""The finding of a comparison of splits: what was measured each way, and what that says.

Here: figures and the verdict. Not here: measuring (``ml.split_comparison``).
"""

from dataclasses import dataclass

from skin_platform.core.intervals import Interval, with_interval


@dataclass(frozen=True)
class Figure:
    """A share with its interval at 95 %."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        return with_interval(self.value, self.interval)


@dataclass(frozen=True)
class SplitComparison:
    """Accuracy of the probe under random and under grouped folds, their difference, and what that says."""

    images: int
    groups: int
    random: Figure
    grouped: Figure
    difference: Figure
    chance: float

    @property
    def flatters(self) -> bool:
        """Whether the random split is better beyond what chance explains."""
        return self.difference.interval.low > 0

    @property
    def verdict(self) -> str:
        """The finding in a sentence."""
        low, high = self.difference.interval.low, self.difference.interval.high
        told = f"{self.difference.value:+.3f} ({low:+.2f} to {high:+.2f})"
        if self.flatters:
            return f"a random split flatters: it scores {told} above the split by groups, which is what new patients would see"
        if self.groups == self.images:
            return f"every image is a group of its own: a random split leaks nothing that is known of ({told})"
        return f"no flattery is seen: a random split scores {told} against the split by groups"
