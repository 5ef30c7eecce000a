"""Review: images that a person should look at, worst first, each with its reason.

Here: what is queued and in which order, for doubted labels and for bad pictures. Not here: doubting (``ml.label_errors``),
measuring (``core.quality``), keeping (``storage.review``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

BLANK_FROM = 0.97  # share of flat blocks; photographs that are masked around the lesion were seen to reach 0.87
DARK_BELOW, GLARING_FROM = 0.04, 0.96  # mean luminance, 0 to 1; darkness is that of what is not flat, since masks are black
BLURRED_BELOW = 0.02  # of the median sharpness: cameras differ, and so do their deployments


@dataclass(frozen=True)
class ReviewItem:
    """An image in the queue. ``score`` is 0 (surely wrong) to 1; ``suggested_label`` is empty where the picture is bad."""

    rank: int
    sha256: str
    label: str
    suggested_label: str
    score: float
    kind: Literal["label", "quality"]
    reason: str


@dataclass(frozen=True)
class ReviewReference:
    """A stored queue: where it is, what it was made of, and how often the probe behind it was right."""

    key: str
    sha256: str
    catalogue_digest: str
    features_digest: str
    images: int
    doubted_labels: int
    bad_pictures: int
    probe_accuracy: float


def doubted_label(
    sha256: str, label: str, suggested: str, score: float, suggested_probability: float, given_probability: float
) -> ReviewItem:
    """The entry of a label that is taken to be wrong."""
    reason = f"looks like {suggested} ({suggested_probability:.0%}) rather than {label} ({given_probability:.0%})"
    return ReviewItem(0, sha256, label, suggested, score, "label", reason)


def bad_pictures(rows: Sequence[Mapping[str, Any]]) -> list[ReviewItem]:
    """The entries of pictures of ``rows`` (sha256, label, sharpness, exposure, blank_share) that show too little."""
    known = [row["sharpness"] for row in rows if row["sharpness"] is not None]
    blurred = BLURRED_BELOW * median(known) if known else 0.0
    found = []
    for row in rows:
        fault = _fault(row["sharpness"], row["exposure"], row["blank_share"], blurred)
        if fault:
            found.append(ReviewItem(0, row["sha256"], row["label"], "", fault[0], "quality", fault[1]))
    return found


def ranked(items: Iterable[ReviewItem], settled: Iterable[str]) -> list[ReviewItem]:
    """``items`` in the order in which to look at them, from rank 1; without images on which a person has decided.

    An image comes once: of a picture that shows too little nobody can tell the label.
    """
    entries = list(items)
    decided, bad = set(settled), {item.sha256 for item in entries if item.kind == "quality"}
    left = [item for item in entries if item.sha256 not in decided and (item.kind == "quality" or item.sha256 not in bad)]
    left.sort(key=lambda item: (item.score, item.sha256))
    return [replace(item, rank=rank) for rank, item in enumerate(left, start=1)]


def _fault(sharpness: float | None, exposure: float | None, blank_share: float | None, blurred: float
           ) -> tuple[float, str] | None:
    """Score and reason of a picture's worst fault; None where it has none or was not measured."""
    if blank_share is not None and blank_share >= BLANK_FROM:
        return (1 - blank_share) / (1 - BLANK_FROM) / 2, f"blank: {blank_share:.0%} of the picture is flat"
    lit = None if exposure is None else exposure / max(1e-9, 1 - (blank_share or 0.0))
    if lit is not None and lit < DARK_BELOW:
        return lit / DARK_BELOW / 2, f"dark: mean luminance {lit:.2f} of 1"
    if exposure is not None and exposure >= GLARING_FROM:
        return (1 - exposure) / (1 - GLARING_FROM) / 2, f"glaring: mean luminance {exposure:.2f} of 1"
    if sharpness is not None and sharpness < blurred:
        return sharpness / blurred / 2, f"blurred: sharpness {sharpness:.1f}, usual is {blurred / BLURRED_BELOW:.0f}"
    return None
