"""Likeness of pictures, asked in the way of the catalogue: fingerprints as text, bands first, then pairs."""

import duckdb
import numpy as np
from numpy.typing import NDArray

from skin_platform.core.fingerprints import BYTES, MAX_DIFFERENCE, Rows, bands_of, differences
from skin_platform.core.near_duplicates import MAX_BITS
from skin_platform.storage.grouping import DIFFERENCE


def alike_pairs(first: Rows, second: Rows) -> NDArray[np.bool_]:
    """Whether each row of ``first`` shows the same picture as that row of ``second`` (both n x 128 bytes), however turned:
    whether they differ by at most ``MAX_DIFFERENCE``."""
    return differences(first, second) <= MAX_DIFFERENCE


def rows_of(*fingerprints: str) -> Rows:
    """Fingerprints as bytes: n x BYTES."""
    return np.frombuffer(bytes.fromhex("".join(fingerprints)), np.uint8).reshape(-1, BYTES)


def bands_with_sketches(fingerprint: str) -> dict[int, int]:
    """The bands of a picture, each with its sketch."""
    found = bands_of(rows_of(fingerprint))
    return dict(zip(found.band.tolist(), found.sketch.tolist(), strict=True))


def likely(one: str, other: str) -> bool:
    """Whether two pictures share a band and have sketches near enough to be compared."""
    first, second = bands_with_sketches(one), bands_with_sketches(other)
    shared = [(first[band], second[band]) for band in first.keys() & second.keys()]
    question = f"SELECT {DIFFERENCE} FROM (SELECT ?::UBIGINT AS sketch) a, (SELECT ?::UBIGINT AS sketch) b"
    with duckdb.connect() as db:
        return any(db.execute(question, pair).fetchall()[0][0] <= MAX_BITS for pair in shared)


def alike(one: str, other: str) -> bool:
    """Whether two pictures, once compared, are the same."""
    return bool(alike_pairs(rows_of(one), rows_of(other))[0])
