"""Images as rows, for tests of splits: readable worlds turned into the columns that the rule takes, and its answer back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skin_platform.core.splits import Candidates, SplitPolicy, assign_splits


@dataclass(frozen=True)
class Row:
    """An image: ``delivered`` and ``previous`` are split names or None."""

    sha256: str
    label: str
    group_id: str
    delivered: str | None = None
    previous: str | None = None
    is_usable: bool = True


@dataclass(frozen=True)
class Answer:
    """The split of each usable image, the moves (image: from, to), and the notes."""

    split_of: dict[str, str]
    moved: dict[str, tuple[str, str]]
    notes: tuple[str, ...]


def assigned(rows: Sequence[Row], fractions: Mapping[str, float], seed: int = 0, locked: str | None = None) -> Answer:
    """What the rule says of ``rows``; a split that is not configured counts as none."""
    policy = SplitPolicy(fractions, seed, locked)
    codes = {name: code for code, name in enumerate(policy.names)}
    labels = tuple(sorted({row.label for row in rows}))
    groups = {group: number for number, group in enumerate(dict.fromkeys(row.group_id for row in rows))}
    found = assign_splits(Candidates(
        labels, np.array([row.sha256.encode() for row in rows], dtype="S64"),
        np.array([labels.index(row.label) for row in rows], dtype=np.int64),
        np.array([groups[row.group_id] for row in rows], dtype=np.int64),
        np.array([codes.get(row.delivered, -1) for row in rows], dtype=np.int64),
        np.array([codes.get(row.previous, -1) for row in rows], dtype=np.int64),
        np.array([row.is_usable for row in rows], dtype=bool)), policy)
    split_of = {row.sha256: policy.names[code] for row, code in zip(rows, found.split.tolist(), strict=True) if row.is_usable}
    moved = {rows[at].sha256: (rows[at].previous, policy.names[found.split[at]]) for at in found.moved.tolist()}
    return Answer(split_of, moved, found.notes)


def images(label: str, count: int, first: int = 0, **given: object) -> list[Row]:
    """Images of one label, each a group of its own."""
    return [Row(f"{label}-{number:04d}", label, f"{label}-g{number}", **given) for number in range(first, first + count)]
