"""Datasets: what a frozen dataset is, and its digest.

The digest is the SHA-256 of the canonical manifest: one line an image, sorted by SHA-256, each
``<sha256> TAB <label> TAB <group_id> TAB <split> LF`` in UTF-8. Anyone can check it with ``sha256sum``.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class DatasetRow:
    """One image of a dataset; ``s3_uri`` says where its bytes are and is not part of the digest."""

    sha256: str
    label: str
    group_id: str
    split: str
    s3_uri: str = ""


@dataclass(frozen=True)
class Rejection:
    """Why a dataset cannot be trained on, as a sentence with the remedy."""

    reason: str


def canonical_manifest(rows: Iterable[DatasetRow]) -> str:
    """The text whose SHA-256 is the digest."""
    return "".join(f"{row.sha256}\t{row.label}\t{row.group_id}\t{row.split}\n" for row in sorted(rows))


def dataset_digest(rows: Iterable[DatasetRow]) -> str:
    """SHA-256 (hex) of the canonical manifest."""
    return hashlib.sha256(canonical_manifest(rows).encode()).hexdigest()


def images_digest(sha256s: Iterable[str]) -> str:
    """SHA-256 (hex) over the sorted SHA-256s of images, a line each: which images are they? Empty where there are none."""
    lines = "".join(f"{sha256}\n" for sha256 in sorted(sha256s))
    return hashlib.sha256(lines.encode()).hexdigest() if lines else ""


def judge_trainable(counts: Mapping[tuple[str, str], int], train: str, held_back: str) -> Rejection | None:
    """None where a classifier can be trained and judged on so many images by (label, split); otherwise the reason."""
    labels = sorted(label for (label, split), count in counts.items() if split == train and count)
    if len(labels) < 2:
        found = ", ".join(labels) or "none"
        held = sorted({label for (label, _), count in counts.items() if count and label not in labels})
        what = f"images of {', '.join(held)} are in other splits alone; deliver more patients with them" if held else (
            "deliver images of another label")
        return Rejection(f"a classifier needs two labels in '{train}', there is {found}: {what}")
    if not any(count for (_, split), count in counts.items() if split == held_back):
        total = sum(counts.values())
        return Rejection(f"no image is left for '{held_back}': {total} image(s) in too few groups; deliver more")
    return None
