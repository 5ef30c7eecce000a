"""Sorted bands: a copy of ``metadata.bands`` beside the table's file, in which bands are found by bisection.

Here: making it, looking bands up in it. Not here: which pairs are compared then (``storage.grouping``).

To find the bands of a thousand images among those of a million, DuckDB looks through all 19 million, half a second of a
processor each time; by bisection it is a tenth of that. The copy holds the parts up to ``part`` and is never changed: what came
since is looked through, and when that is much, a new copy is made. Which copy counts stands in the table, written in the same
transaction. A copy that is missing or cut short is made anew: nothing depends on it but time.

    <table's file>.bands/<token>/{band,sketch,image_key}.npy    one copy, sorted by band and image
"""

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
from numpy.typing import NDArray

COLUMNS = ("band", "sketch", "image_key")
MOST_RECENT = 1_000_000  # rows that DuckDB looks through in some 20 ms
AT_ONCE = 2_000_000  # pairs whose sketches are in memory


@dataclass(frozen=True)
class SortedBands:
    """The copy in force: rows of the parts up to ``part``, ascending by band."""

    part: int
    band: NDArray[np.uint32]
    sketch: NDArray[np.uint64]
    image_key: NDArray[np.uint64]

    def look_up(
        self, bands: NDArray[np.uint32], sketches: NDArray[np.uint64], most: int, bits: int, waves: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
        """Rows that share one of ``bands`` (n) and differ from its sketch by at most ``bits``, of a band at most ``most`` rows.

        Three columns: which of ``bands``, the image, the difference (as ``storage.grouping.DIFFERENCE``).
        """
        order = np.argsort(bands, kind="stable")  # neighbours in the file are looked up one after another
        first = np.searchsorted(self.band, bands[order], side="left")
        counts = np.minimum(np.searchsorted(self.band, bands[order], side="right") - first, most)
        found = [(np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64))]
        for chosen in _parts(counts):
            of = np.repeat(chosen, counts[chosen])
            start = np.repeat(first[chosen] - np.cumsum(counts[chosen]) + counts[chosen], counts[chosen])
            at = start + np.arange(len(of))
            differing = self.sketch[at] ^ sketches[order[of]]
            difference = np.minimum(np.bitwise_count(differing).astype(np.int64),
                                    4 * np.bitwise_count(differing & np.uint64(waves)).astype(np.int64))
            near = difference <= bits
            found.append((order[of[near]], np.asarray(self.image_key[at[near]]), difference[near]))
        of, images, difference = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return of, images, difference


def _parts(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Numbers of ``counts`` in parts that sum up to about AT_ONCE."""
    share = np.cumsum(counts) // AT_ONCE
    return cast(list[NDArray[np.int64]], np.split(np.arange(len(counts)), np.flatnonzero(np.diff(share)) + 1))


def copy_in_force(db: duckdb.DuckDBPyConnection) -> SortedBands | None:
    """The copy that the table names; None where there is none, or not as a whole."""
    [(token, part)] = db.execute("SELECT max(token), max(part) FROM metadata.sorted_bands").fetchall()
    folder = _folder(db)
    if token is None or folder is None:
        return None
    try:
        band, sketch, image_key = (np.load(folder / token / f"{name}.npy", mmap_mode="r") for name in COLUMNS)
    except (FileNotFoundError, ValueError):  # removed, or cut short by a loss of power: to be made anew
        return None
    return SortedBands(part, band, sketch, image_key)


def copy_where_much_came(db: duckdb.DuckDBPyConnection, copy: SortedBands | None) -> SortedBands | None:
    """The copy, or a new one where the rows that came since are more than an eighth of it."""
    folder = _folder(db)
    since, rows = (copy.part, len(copy.band)) if copy else (-1, 0)
    [(recent,)] = db.execute("SELECT count(*) FROM metadata.bands WHERE part > ?", [since]).fetchall()
    if folder is None or recent <= max(MOST_RECENT, rows // 8):
        return copy
    token = uuid.uuid4().hex
    before = db.execute("SELECT token FROM metadata.sorted_bands").fetchall()
    _write(db, folder / token)
    for other in folder.iterdir():  # the former one stays until this transaction can no longer fail
        if other.name != token and (other.name,) not in before:
            shutil.rmtree(other)
    db.execute("DELETE FROM metadata.sorted_bands")
    db.execute("INSERT INTO metadata.sorted_bands SELECT ?, max(part) FROM metadata.bands", [token])
    return copy_in_force(db)


def _write(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    columns = db.execute(f"SELECT {', '.join(COLUMNS)} FROM metadata.bands").fetchnumpy()
    order = np.lexsort((columns["image_key"], columns["band"]))
    folder.mkdir(parents=True)
    for name in COLUMNS:
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, columns.pop(name)[order])
            file.flush()
            os.fsync(file.fileno())


def _folder(db: duckdb.DuckDBPyConnection) -> Path | None:
    """Beside the table's file; None where the table is in memory."""
    [(path,)] = db.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()").fetchall()
    return Path(f"{path}.bands") if path else None
