"""Datasets: what a frozen dataset is, and its digest.

The digest is the SHA-256 of the canonical manifest: one line an image, sorted by SHA-256, each
``<sha256> TAB <label> TAB <group_id> TAB <split> LF`` in UTF-8. Anyone can check it with ``sha256sum``.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
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


def trainable_digest(images: Iterable[tuple[str, str, str]]) -> str:
    """SHA-256 (hex) over (sha256, label, group_id) of all images that may be trained on: has anything changed?"""
    lines = "".join(sorted(f"{sha256}\t{label}\t{group}\n" for sha256, label, group in images))
    return hashlib.sha256(lines.encode()).hexdigest()


def judge_trainable(rows: Sequence[DatasetRow], train: str, held_back: str) -> Rejection | None:
    """None where a classifier can be trained and judged on ``rows``; otherwise the reason."""
    labels = Counter(row.label for row in rows if row.split == train)
    if len(labels) < 2:
        found = ", ".join(labels) or "none"
        return Rejection(f"a classifier needs two labels in '{train}', there is {found}: deliver images of another label")
    if not any(row.split == held_back for row in rows):
        return Rejection(f"no image is left for '{held_back}': {len(rows)} image(s) in too few groups; deliver more")
    return None
