"""Manifests of datasets as columns: their canonical text and digest, what they count, how two of them differ.

Here: Arrow tables of a million rows without a Python object a row. Not here: where manifests are kept (``storage.datasets``),
the meaning of the digest (``core.datasets``).
"""

import hashlib
from collections.abc import Iterable

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from skin_platform.core.datasets import DatasetRow, images_digest

COLUMNS = tuple(DatasetRow.__dataclass_fields__)
MANIFEST = pa.schema([(name, pa.string()) for name in COLUMNS])
MOVES = pa.schema([(name, pa.string()) for name in ("sha256", "from_split", "to_split")])
ASSIGNED = pa.schema([(name, pa.string()) for name in ("sha256", "split")])


def rows_of(manifest: pa.Table) -> list[DatasetRow]:
    """The rows of a manifest, in its order."""
    columns = [manifest[name].to_pylist() for name in COLUMNS]
    return [DatasetRow(*values) for values in zip(*columns, strict=True)]


def ordered(table: pa.Table, by: Iterable[str] = COLUMNS) -> pa.Table:
    """``table`` with its strings in order of the columns ``by``, byte by byte."""
    return table.take(pc.sort_indices(table, [(name, "ascending") for name in by]))


def canonical_text(manifest: pa.Table) -> memoryview:
    """``core.datasets.canonical_manifest`` of a manifest in canonical order, as UTF-8."""
    columns = [manifest[name].cast(pa.large_string()) for name in ("sha256", "label", "group_id", "split")]
    tab, end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\t", "\n", ""))
    lines = pc.binary_join_element_wise(*columns[:3], pc.binary_join_element_wise(columns[3], end, nothing), tab)
    whole = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    if isinstance(whole, pa.ChunkedArray):  # of no chunk: an empty table
        return memoryview(b"")
    _, offsets, data = whole.buffers()
    first, last = (int.from_bytes(offsets[8 * at : 8 * at + 8].to_pybytes(), "little")
                   for at in (whole.offset, whole.offset + len(whole)))
    return memoryview(data)[first:last] if data is not None else memoryview(b"")


def digest_of(manifest: pa.Table) -> str:
    """``core.datasets.dataset_digest`` of a manifest in canonical order."""
    return hashlib.sha256(canonical_text(manifest)).hexdigest()


def locked_digest(manifest: pa.Table, split: str | None) -> str:
    """``core.datasets.images_digest`` of the images of a split; empty where no split is named."""
    chosen = manifest.filter(pc.equal(manifest["split"], split)) if split else manifest.slice(0, 0)
    return images_digest(chosen["sha256"].to_pylist())


def counted(manifest: pa.Table) -> list[dict[str, str | int]]:
    """Images and groups by label and split: rows of label, split, images, groups."""
    return _asked(manifest, "SELECT label, split, count(*) AS images, count(DISTINCT group_id) AS groups FROM manifest "
                            "GROUP BY ALL ORDER BY ALL")


def straddling(manifest: pa.Table, column: str) -> list[str]:
    """The values of ``column`` (group_id, sha256) that stand in more than one split, in order."""
    found = _asked(manifest, f"SELECT {column} AS value FROM manifest GROUP BY ALL HAVING min(split) <> max(split) "
                             "ORDER BY ALL")
    return [str(row["value"]) for row in found]


def _asked(manifest: pa.Table, sql: str) -> list[dict[str, str | int]]:
    with duckdb.connect() as db:
        db.register("manifest", manifest)
        found: list[dict[str, str | int]] = db.execute(sql).to_arrow_table().to_pylist()
        return found
