"""Soundness of the catalogue: whether a batch, the labels or the quality of images look as they should.

Here: verdicts with reasons on counts that somebody else made. Not here: counting (``defs.metadata.checks``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

USUAL_BATCHES = 5  # before that many nobody knows what is usual
USUAL_FACTOR = 10.0
SHIFT_IMAGES = 50  # in a smaller batch the shares of labels say little
SHIFT_BOUND = 0.3
LARGE_EFFECT = 0.14  # of the correlation ratio (Cohen 1988)


@dataclass(frozen=True)
class Verdict:
    """Whether it is sound, and why; what cannot be judged yet passes and says so."""

    passed: bool
    reason: str
    is_judged: bool = True


def _not_yet(reason: str) -> Verdict:
    return Verdict(True, f"not judged yet: {reason}", False)


def volume(images: int, before: Sequence[int]) -> Verdict:
    """Whether a batch of so many ``images`` is within ten times the median of those ``before`` it, either way."""
    if len(before) < USUAL_BATCHES:
        return _not_yet(f"{len(before)} batch(es) came before, what is usual is known from {USUAL_BATCHES} on")
    usual = median(before)
    passed = usual / USUAL_FACTOR <= images <= usual * USUAL_FACTOR
    return Verdict(passed, f"{images} images, the {len(before)} batches before had {usual:g} (median)")


def label_shift(new: Mapping[str, int], before: Mapping[str, int]) -> Verdict:
    """Whether the shares of labels in a batch are those of the catalogue ``before`` it: total variation distance (0 to 1)."""
    n, m = sum(new.values()), sum(before.values())
    if n < SHIFT_IMAGES or m < SHIFT_IMAGES:
        return _not_yet(f"{n} images after {m} are too few (from {SHIFT_IMAGES} each on)")
    distances = {label: new.get(label, 0) / n - before.get(label, 0) / m for label in {*new, *before}}
    distance = sum(abs(value) for value in distances.values()) / 2
    most = max(distances, key=lambda label: (abs(distances[label]), label))
    return Verdict(distance <= SHIFT_BOUND,
                   f"distance {distance:.2f} (bound {SHIFT_BOUND:g}); most in '{most}': {new.get(most, 0) / n:.0%} of this "
                   f"batch, {before.get(most, 0) / m:.0%} before")


def correlation_ratio(groups: Sequence[tuple[int, float, float]]) -> float:
    """Share of a measure's variance that its groups explain, 0 to 1 (eta squared; Pearson 1905).

    ``groups`` are (n, mean, population variance) of each group; 0.0 where nothing varies.
    """
    n = sum(count for count, _, _ in groups)
    if n == 0:
        return 0.0
    mean = sum(count * own for count, own, _ in groups) / n
    between = sum(count * (own - mean) ** 2 for count, own, _ in groups)
    total = between + sum(count * variance for count, _, variance in groups)
    return between / total if total > 1e-12 * max(1.0, mean * mean) else 0.0


def quality_by_label(ratios: Mapping[str, float], images: int) -> Verdict:
    """Whether no quality measure goes with the label: a model could learn the camera in place of the lesion."""
    if images < SHIFT_IMAGES:
        return _not_yet(f"{images} images are too few (from {SHIFT_IMAGES} on)")
    large = {name: ratio for name, ratio in ratios.items() if ratio > LARGE_EFFECT}
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in sorted((large or ratios).items(), key=lambda item: -item[1]))
    if large:
        return Verdict(False, f"the label explains a large share of {told} (bound {LARGE_EFFECT:g}): a model could learn how "
                              "the pictures were taken in place of what they show")
    return Verdict(True, f"share of each measure that the label explains: {told} (bound {LARGE_EFFECT:g})")
