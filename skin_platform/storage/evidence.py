"""Evidence files: what a model answered, a row an image, as predictions.parquet.

    sha256, group_id, label, split, predicted      texts; label is the true one, predicted the most probable one
    probabilities, raw, in_set                     lists in the order of the labels, which the file's metadata give as JSON
    sex, age_band, skin_type, site, source         texts, "" where none was given (those that the evidence has)

Here: evidence to bytes and back, and the attributes of its images, asked of the catalogue. Not here: what makes evidence sound
(``core.evidence``), where the bytes lie (``storage.versions``).
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skin_platform.core.evidence import Evidence
from skin_platform.core.subgroups import age_band, skin_type
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.parquet import dump_table, load_table

TEXTS = ("sha256", "group_id", "label", "split", "predicted")
LISTS = {"probabilities": pa.float64(), "raw": pa.float64(), "in_set": pa.bool_()}
SOURCE = r"^\d{4}-\d{2}-\d{2}-(.+?)(?:-(?:[2-9]|[1-9]\d{1,8}))?$"  # of a batch id; its number, from 2 on, is not of the source
ASKED = f"""
SELECT coalesce(sex, '') AS sex, coalesce(age, '') AS age, coalesce(skin_type, '') AS skin_type, coalesce(site, '') AS site,
       regexp_extract(coalesce(batch_id, ''), '{SOURCE}', 1) AS source
FROM asked LEFT JOIN lesions_data USING (sha256, label) ORDER BY place
"""


def dump_evidence(evidence: Evidence, splits: Sequence[str]) -> bytes:
    """The Parquet file of ``evidence``, with the split (N,) of each image; raises ``ValueError`` where these do not fit."""
    taken = [name for name in evidence.attributes if name in (*TEXTS, *LISTS)]
    if len(splits) != evidence.n or taken:
        raise ValueError(f"{evidence.n} images need as many splits, and attributes of other names than the columns: got "
                         f"{len(splits)} splits, and {', '.join(taken) or 'no such attribute'}")
    names = np.asarray(evidence.labels, dtype=object)
    columns: dict[str, pa.Array] = {
        name: pa.array(values, pa.string()) for name, values in zip(
            TEXTS, (evidence.sha256, evidence.groups, names[evidence.truth], splits, names[evidence.predicted]), strict=True)}
    for (name, kind), values in zip(LISTS.items(), (evidence.probabilities, evidence.raw, evidence.sets), strict=True):
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), kind), len(evidence.labels))
    columns |= {name: pa.array(values, pa.string()) for name, values in evidence.attributes.items()}
    return dump_table(pa.table(columns).replace_schema_metadata({"labels": json.dumps(evidence.labels, ensure_ascii=False)}))


def load_evidence(data: bytes, split: str = "") -> Evidence:
    """The evidence in a file, of ``split`` alone where one is named.

    Raises ``ValueError`` for a file that is none, for unsound rows, and for a split without images.
    """
    try:
        table = load_table(data)
        labels: list[str] = json.loads(table.schema.metadata[b"labels"])
        table = table.filter(pa.array(np.equal(table["split"].to_numpy(), split))) if split else table
        places = {label: place for place, label in enumerate(labels)}
        truth = np.array([places[label] for label in table["label"].to_pylist()], dtype=np.int64)
        matrices = [_matrix(table[name], len(labels)) for name in LISTS]
        sha256, groups = (tuple(table[name].to_pylist()) for name in ("sha256", "group_id"))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"this is no evidence file: {str(error).splitlines()[0]}. Evaluate the model again") from None
    if split and not sha256:
        raise ValueError(f"no image of the split '{split}' stands in this evidence")
    given = {name: tuple(table[name].to_pylist()) for name in table.column_names if name not in (*TEXTS, *LISTS)}
    probabilities, raw, sets = matrices
    return Evidence(sha256, groups, tuple(labels), truth, probabilities, raw, sets.astype(np.bool_), given)


def attributes_of(catalogue: Catalogue, rows: pa.Table, bands: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """The attributes of images for ``Evidence``: sex, age_band, skin_type, site, source, each (N,) in the order of ``rows``.

    ``rows`` have the columns sha256 and label; ages are put into ``bands`` and skin types brought to one form
    (``core.subgroups``), the rest is as delivered.
    "" where nothing was given, where an age is none, and for images that the catalogue does not have (any more). The source is
    that of the batch which first brought the image, without the number of a source's second and later batches of a day: of a
    source whose own name ends in a number that is taken for one.
    """
    asked = rows.select(["sha256", "label"]).append_column("place", pa.array(range(len(rows)), pa.int64()))
    found = catalogue.query(ASKED, tables={"asked": asked})
    if found is None:
        return dict.fromkeys(("sex", "age_band", "skin_type", "site", "source"), ("",) * len(rows))
    ages = found["age"].to_pylist()
    banded = {age: age_band(age, bands) for age in set(ages)}
    columns = {name: tuple(found[name].to_pylist()) for name in ("sex", "skin_type", "site", "source")}
    columns["skin_type"] = tuple(map(skin_type, columns["skin_type"]))
    return {"sex": columns["sex"], "age_band": tuple(banded[age] for age in ages), **columns}


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float64]:
    """A column of lists as (N, width)."""
    values: NDArray[np.float64] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), width)
