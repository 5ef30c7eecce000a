"""Groups in the catalogue: which images show the same patient, lesion or picture, kept as images come and go.

Here: links, near-duplicates and groups of the images that a change touches, inside the change's transaction.
Not here: what joins (``core.groups``), what looks alike (``core.fingerprints``), the rows themselves (``storage.lesions``).

Only groups that the changed images belonged to or now link to are looked at, so that a batch costs what is new. All lookups
are scans of columns of numbers: 8 MB for a million images, some milliseconds.
"""

from collections.abc import Collection
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from skin_platform.core.fingerprints import BYTES, alike_pairs, bands_of
from skin_platform.core.groups import joined

MAX_BANDS = 8000  # of new images that are looked up at a time, those of 500: at most 400,000 candidates, 110 MB
MAX_BANDED = 2000  # images whose bands are worked out at a time: 200 MB
MAX_CROWD = 50  # images of a band that others are compared with: ten thousand that look alike are no hundred million pairs
LOOK_UP = f"""
SELECT DISTINCT n.image_key, o.image_key AS other_key
FROM some_bands n JOIN (
    SELECT band, image_key FROM metadata.bands SEMI JOIN some_bands USING (band)
    QUALIFY row_number() OVER (PARTITION BY band ORDER BY image_key) <= {MAX_CROWD}
) o USING (band)
WHERE n.image_key <> o.image_key
"""
LINKS = " UNION ALL ".join(
    f"SELECT md5_number_lower('{kind}:' || {kind}) AS link, image_key FROM after WHERE {kind} IS NOT NULL"
    for kind in ("patient_id", "lesion_id"))


def regroup(db: duckdb.DuckDBPyConnection) -> None:
    """Give the rows of ``after`` their groups, and take rows into ``before`` and ``after`` whose group changes with them."""
    _replace_links(db)
    _replace_fingerprints(db)
    _find_near_duplicates(db)
    _collect_members(db)
    images = [row[0] for row in db.execute("SELECT image_key FROM members").fetchall()]
    links = db.execute("SELECT DISTINCT link, image_key FROM metadata.links SEMI JOIN members USING (image_key)").fetchall()
    pairs = db.execute("SELECT image_key, other_key FROM metadata.near_duplicates "
                       "SEMI JOIN members USING (image_key)").fetchall()
    groups = joined(images, links, pairs)
    _temporary(db, "grouping", image_key=groups.keys(), group_key=groups.values())
    take(db, "moved", "metadata.lesions_data", "image_key IN (SELECT m.image_key FROM grouped m JOIN grouping g "
         "USING (image_key) WHERE m.group_key <> g.group_key AND m.image_key NOT IN (SELECT image_key FROM affected))")
    db.execute("INSERT INTO before SELECT * FROM moved")
    db.execute("INSERT INTO after SELECT * FROM moved")
    db.execute("UPDATE after SET group_key = g.group_key, group_id = format('{:016x}', g.group_key) "
               "FROM grouping g WHERE g.image_key = after.image_key")


def take(db: duckdb.DuckDBPyConnection, name: str, table: str, where: str) -> None:
    """CREATE TEMP TABLE ``name`` of the rows of ``table`` that meet a condition on its numbers.

    A join would read every column of all rows before it compares: so the row ids first, and nothing more where there is none.
    """
    db.execute(f"CREATE OR REPLACE TEMP TABLE row_ids AS SELECT rowid AS id FROM {table} WHERE {where}")
    [(count,)] = db.execute("SELECT count(*) FROM row_ids").fetchall()
    found = "WHERE rowid IN (SELECT id FROM row_ids)" if count else "LIMIT 0"
    db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {table} {found}")


def _temporary(db: duckdb.DuckDBPyConnection, name: str, **columns: Collection[Any]) -> None:
    """A temporary table of 64-bit keys; not the Arrow table itself, into which DuckDB pushes filters that overflow in it."""
    types = {"band": pa.int64(), "fingerprint": pa.binary()}
    db.register("passing", pa.table({key: pa.array(values, types.get(key, pa.uint64())) for key, values in columns.items()}))
    db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM passing")
    db.unregister("passing")


def _replace_links(db: duckdb.DuckDBPyConnection) -> None:
    """The links of the affected images, and the images that share one with them."""
    db.execute("DELETE FROM metadata.links WHERE image_key IN (SELECT image_key FROM before)")
    db.execute(f"CREATE OR REPLACE TEMP TABLE new_links AS SELECT DISTINCT link, image_key FROM ({LINKS})")
    db.execute("INSERT INTO metadata.links SELECT * FROM new_links")
    db.execute("CREATE OR REPLACE TEMP TABLE neighbours AS SELECT DISTINCT image_key FROM metadata.links "
               "WHERE link IN (SELECT link FROM new_links)")


def _replace_fingerprints(db: duckdb.DuckDBPyConnection) -> None:
    """Fingerprints and bands of images that came, none of those that went. What an image shows never changes."""
    db.execute("CREATE OR REPLACE TEMP TABLE gone AS SELECT DISTINCT image_key FROM before ANTI JOIN after USING (image_key)")
    if db.execute("SELECT count(*) FROM gone").fetchall()[0][0]:
        for table in ("fingerprints", "bands", "near_duplicates"):
            db.execute(f"DELETE FROM metadata.{table} WHERE image_key IN (SELECT image_key FROM gone)")
        db.execute("DELETE FROM metadata.near_duplicates WHERE other_key IN (SELECT image_key FROM gone)")
    come = db.execute("SELECT image_key, first(perceptual_hash) FROM after ANTI JOIN before USING (image_key) "
                      "WHERE perceptual_hash IS NOT NULL GROUP BY image_key").fetchall()
    db.execute("CREATE OR REPLACE TEMP TABLE new_bands (band BIGINT, image_key UBIGINT)")
    for start in range(0, len(come), MAX_BANDED):
        part = come[start:start + MAX_BANDED]
        prints = [bytes.fromhex(text) for _, text in part]
        found = bands_of(np.frombuffer(b"".join(prints), np.uint8).reshape(-1, BYTES))
        keys = [(band, image) for (image, _), own in zip(part, found, strict=True) for band in own]
        _temporary(db, "come", image_key=[image for image, _ in part], fingerprint=prints)
        _temporary(db, "come_bands", band=[band for band, _ in keys], image_key=[image for _, image in keys])
        db.execute("INSERT INTO metadata.fingerprints FROM come")
        db.execute("INSERT INTO new_bands FROM come_bands")
    db.execute("INSERT INTO metadata.bands FROM new_bands")


def _find_near_duplicates(db: duckdb.DuckDBPyConnection) -> None:
    """Compare each new image with those that share a band, and keep the pairs that look alike, both ways round."""
    [(bands,)] = db.execute("SELECT count(*) FROM new_bands").fetchall()
    parts = 1 + bands // MAX_BANDS  # a rebuild has millions, and each has many candidates
    for part in range(parts):
        db.execute(f"CREATE OR REPLACE TEMP TABLE some_bands AS FROM new_bands WHERE image_key % {parts} = {part}")
        db.execute(f"CREATE OR REPLACE TEMP TABLE candidates AS {LOOK_UP}")
        _keep_alike(db)
    db.execute("INSERT INTO neighbours SELECT other_key FROM metadata.near_duplicates SEMI JOIN after USING (image_key)")


def _keep_alike(db: duckdb.DuckDBPyConnection) -> None:
    """Take those of the candidates that look alike into the near-duplicates, both ways round, unless they are there."""
    found = db.execute(
        "SELECT c.image_key, c.other_key, a.fingerprint, b.fingerprint FROM candidates c "
        "JOIN metadata.fingerprints a ON a.image_key = c.image_key "
        "JOIN metadata.fingerprints b ON b.image_key = c.other_key").to_arrow_table()
    first, second = (np.frombuffer(b"".join(found[at].to_pylist()), np.uint8).reshape(-1, BYTES) for at in (2, 3))
    alike = alike_pairs(first, second)
    one, other = found[0].to_numpy()[alike], found[1].to_numpy()[alike]
    _temporary(db, "found", image_key=np.concatenate([one, other]), other_key=np.concatenate([other, one]))
    db.execute("INSERT INTO metadata.near_duplicates SELECT DISTINCT * FROM found ANTI JOIN metadata.near_duplicates "
               "USING (image_key, other_key)")


def _collect_members(db: duckdb.DuckDBPyConnection) -> None:
    """The images of every group that the change touches, as they are after it."""
    db.execute("CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT group_key FROM metadata.lesions_data "
               "WHERE image_key IN (SELECT image_key FROM neighbours UNION SELECT image_key FROM before)")
    db.execute("CREATE OR REPLACE TEMP TABLE grouped AS SELECT DISTINCT image_key, group_key FROM metadata.lesions_data "
               "WHERE group_key IN (SELECT group_key FROM touched) AND image_key NOT IN (SELECT image_key FROM gone)")
    db.execute("CREATE OR REPLACE TEMP TABLE members AS SELECT image_key FROM after UNION SELECT image_key FROM grouped")
