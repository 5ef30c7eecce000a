"""Groups in the catalogue: which images show the same patient, lesion or picture, kept as images come and go.

Here: links, near-duplicates and groups of the images that a change touches, inside the change's transaction.
Not here: what joins (``core.groups``), what looks alike (``core.fingerprints``), the rows themselves (``storage.lesions``).

Only clusters that the changed images belonged to or now link to are looked at, so that a batch costs what is new. Lookups are
scans of columns of numbers (8 MB for a million images, some milliseconds), but for bands, of which there are 19 an image.
"""

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skin_platform.core.fingerprints import BYTES, MAX_DIFFERENCE, SURE_DIFFERENCE, Rows, bands_of, differences
from skin_platform.core.groups import NONE, clusters_and_groups
from skin_platform.core.near_duplicates import MAX_BITS, WAVE_BITS
from skin_platform.storage.sorted_bands import SortedBands, copy_in_force, copy_where_much_came

AT_ONCE = 20_000  # new images that are looked up at a time: at most a million pairs to compare, 260 MB
MAX_CROWD = 3000  # images of a band that others are told from by their sketches: a million real lesions have some hundred
MAX_LIKELY = 50  # images, those of the nearest sketches, that one is compared with: a crowd is no million pairs
WAVES = (1 << WAVE_BITS) - 1
# bits in which the sketches of ``a`` and ``b`` differ; where hardly a wave does, colours may (another white balance)
DIFFERENCE = f"least(bit_count(xor(a.sketch, b.sketch)), 4 * bit_count(xor(a.sketch, b.sketch) & {WAVES})::INTEGER)"
NEARBY = "SELECT band, sketch, image_key FROM metadata.bands WHERE part > ? AND band IN (SELECT band FROM new_bands)"
CROWDED = f"SELECT band FROM nearby GROUP BY band HAVING count(*) > {MAX_CROWD}"
TOO_MANY = f"""
SELECT band, image_key FROM nearby WHERE band IN (FROM crowded)
QUALIFY row_number() OVER (PARTITION BY band ORDER BY image_key) > {MAX_CROWD}
"""
LIKELY = f"""
WITH near AS (
    SELECT a.image_key, b.image_key AS other_key, {DIFFERENCE} AS difference FROM new_bands a JOIN nearby b USING (band)
    WHERE {DIFFERENCE} <= {MAX_BITS}
    UNION ALL FROM sorted_near
),
nearest AS (
    SELECT image_key, other_key, min(difference) AS least FROM near WHERE image_key <> other_key
    GROUP BY image_key, other_key
    QUALIFY row_number() OVER (PARTITION BY image_key ORDER BY least, other_key) <= {MAX_LIKELY}
)
SELECT DISTINCT least(image_key, other_key) AS image_key, greatest(image_key, other_key) AS other_key FROM nearest
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
    [images] = _columns(db, "FROM members")
    links = _columns(db, "SELECT DISTINCT link, image_key FROM metadata.links SEMI JOIN members USING (image_key)")
    one, other, sure = _columns(db, "SELECT image_key, other_key, is_sure::UTINYINT "
                                    "FROM metadata.near_duplicates SEMI JOIN members USING (image_key)")
    clusters, groups = clusters_and_groups(images, (links[0], links[1]), (one, other), sure > 0)
    _temporary(db, "grouping", image_key=images, group_key=groups, cluster_key=clusters)
    take(db, "moved", "metadata.lesions_data", "image_key IN (SELECT m.image_key FROM grouped m JOIN grouping g "
         "USING (image_key) WHERE (m.group_key <> g.group_key OR m.cluster_key <> g.cluster_key) "
         "AND m.image_key NOT IN (SELECT image_key FROM affected))")
    db.execute("INSERT INTO before SELECT * FROM moved")
    db.execute("INSERT INTO after SELECT * FROM moved")
    db.execute("UPDATE after SET cluster_key = g.cluster_key, group_key = g.group_key, "
               "group_id = format('{:016x}', g.group_key) FROM grouping g WHERE g.image_key = after.image_key")


def take(db: duckdb.DuckDBPyConnection, name: str, table: str, where: str) -> None:
    """CREATE TEMP TABLE ``name`` of the rows of ``table`` that meet a condition on its numbers.

    A join would read every column of all rows before it compares: so the row ids first, and nothing more where there is none.
    """
    db.execute(f"CREATE OR REPLACE TEMP TABLE row_ids AS SELECT rowid AS id FROM {table} WHERE {where}")
    [(count,)] = db.execute("SELECT count(*) FROM row_ids").fetchall()
    found = "WHERE rowid IN (SELECT id FROM row_ids)" if count else "LIMIT 0"
    db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {table} {found}")


def _temporary(db: duckdb.DuckDBPyConnection, name: str, **columns: NDArray[np.unsignedinteger]) -> None:
    """A temporary table of numbers; not the Arrow table itself, into which DuckDB pushes filters that overflow in it."""
    db.register("passing", pa.table({key: pa.array(values) for key, values in columns.items()}))
    db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM passing")
    db.unregister("passing")


def _columns(db: duckdb.DuckDBPyConnection, query: str) -> list[NDArray[np.uint64]]:
    """The columns of numbers that a query gives."""
    return [column.to_numpy() for column in db.execute(query).to_arrow_table().columns]


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
    db.execute("CREATE OR REPLACE TEMP TABLE come AS SELECT image_key, first(unhex(perceptual_hash)) AS fingerprint "
               "FROM after ANTI JOIN before USING (image_key) WHERE perceptual_hash IS NOT NULL "
               "GROUP BY image_key ORDER BY image_key")
    db.execute("INSERT INTO metadata.fingerprints SELECT image_key, fingerprint FROM come")


def _find_near_duplicates(db: duckdb.DuckDBPyConnection) -> None:
    """Compare each new image with those before it that share a band, and keep the pairs that look alike, both ways round."""
    come, prints = db.execute("SELECT image_key, fingerprint FROM come").to_arrow_table().columns
    keys, rows = come.to_numpy(), _bytes(prints)
    copy = copy_in_force(db)
    least = copy.part if copy else 0
    [(last,)] = db.execute("SELECT coalesce(max(part), ?) FROM metadata.bands WHERE part > ?", [least, least]).fetchall()
    for part, start in enumerate(range(0, len(keys), AT_ONCE), last + 1):
        bands = bands_of(rows[start : start + AT_ONCE])
        _temporary(db, "new_bands", band=bands.band, sketch=bands.sketch, image_key=keys[start + bands.of])
        db.execute("INSERT INTO metadata.bands SELECT band, sketch, image_key, ? FROM new_bands", [part])
        look_up(db, copy)
        _keep_alike(db)
        copy = copy_where_much_came(db, copy)
    db.execute("INSERT INTO neighbours SELECT other_key FROM metadata.near_duplicates SEMI JOIN after USING (image_key)")


def look_up(db: duckdb.DuckDBPyConnection, copy: SortedBands | None = None) -> None:
    """CREATE TEMP TABLE ``likely`` of pairs of images of ``new_bands`` and of ``metadata.bands`` that are worth comparing.

    What the sorted ``copy`` holds is looked up in it, the rest of the bands is looked through.
    """
    band, sketch, image_key = db.execute("SELECT band, sketch, image_key FROM new_bands").fetchnumpy().values()
    of, others, difference = copy.look_up(band, sketch, MAX_CROWD, MAX_BITS, WAVES) if copy else (NONE, NONE, NONE)
    _temporary(db, "sorted_near", image_key=image_key[of], other_key=others, difference=difference.astype(np.uint64))
    db.execute(f"CREATE OR REPLACE TEMP TABLE nearby AS {NEARBY}", [copy.part if copy else -1])
    db.execute(f"CREATE OR REPLACE TEMP TABLE crowded AS {CROWDED}")
    if db.execute("SELECT count(*) FROM crowded").fetchall()[0][0]:
        db.execute(f"DELETE FROM nearby WHERE (band, image_key) IN ({TOO_MANY})")
    db.execute(f"CREATE OR REPLACE TEMP TABLE likely AS {LIKELY}")


def _keep_alike(db: duckdb.DuckDBPyConnection) -> None:
    """Take those of the likely pairs that look alike into the near-duplicates, both ways round."""
    images, prints = db.execute("SELECT image_key, fingerprint FROM metadata.fingerprints WHERE image_key IN (SELECT image_key "
                                "FROM likely UNION SELECT other_key FROM likely) ORDER BY image_key").to_arrow_table().columns
    rows = _bytes(prints)
    one, other = _columns(db, "SELECT image_key, other_key FROM likely")
    there = np.isin(one, images.to_numpy()) & np.isin(other, images.to_numpy())  # a sorted copy holds what has gone since
    one, other = one[there], other[there]
    difference = differences(*(rows[np.searchsorted(images.to_numpy(), keys)] for keys in (one, other)))
    alike = difference <= MAX_DIFFERENCE
    one, other, sure = one[alike], other[alike], difference[alike] <= SURE_DIFFERENCE
    _temporary(db, "found", image_key=np.concatenate([one, other]), other_key=np.concatenate([other, one]),
               is_sure=np.tile(sure, 2).astype(np.uint8))
    db.execute("INSERT INTO metadata.near_duplicates SELECT image_key, other_key, is_sure > 0 FROM found")


def _bytes(prints: pa.ChunkedArray) -> Rows:
    """Fingerprints of an Arrow column as bytes: n x BYTES."""
    together = pa.concat_arrays(prints.chunks) if prints.num_chunks else pa.array([], pa.binary())
    fixed = together.cast(pa.binary(BYTES))
    return np.frombuffer(fixed.buffers()[1] or b"", np.uint8).reshape(-1, BYTES)[fixed.offset : fixed.offset + len(fixed)]


def _collect_members(db: duckdb.DuckDBPyConnection) -> None:
    """The images of every cluster that the change touches, as they are after it."""
    db.execute("CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT cluster_key FROM metadata.lesions_data "
               "WHERE image_key IN (SELECT image_key FROM neighbours UNION SELECT image_key FROM before)")
    db.execute("CREATE OR REPLACE TEMP TABLE grouped AS SELECT DISTINCT image_key, group_key, cluster_key "
               "FROM metadata.lesions_data WHERE cluster_key IN (SELECT cluster_key FROM touched) "
               "AND image_key NOT IN (SELECT image_key FROM gone)")
    db.execute("CREATE OR REPLACE TEMP TABLE members AS SELECT image_key FROM after UNION SELECT image_key FROM grouped")
