"""Freezing rows by hand, for tests: what the asset does with the catalogue, without one."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from skin_platform.core.datasets import DatasetRow
from skin_platform.storage.candidates import Split
from skin_platform.storage.dataset_versions import Circumstances
from skin_platform.storage.datasets import Datasets
from skin_platform.storage.manifests import ASSIGNED, COLUMNS, MANIFEST, MOVES


def freeze_rows(datasets: Datasets, rows: Sequence[DatasetRow], **came: object) -> str:
    """Freeze ``rows`` as they are, after the newest version; returns the digest."""
    split = Split(table_of(rows), MOVES.empty_table(), ASSIGNED.empty_table(), ())
    return datasets.freeze(split, Circumstances(**came), datasets.newest()).digest


def table_of(rows: Iterable[DatasetRow]) -> pa.Table:
    """``rows`` as a manifest, in canonical order."""
    ordered = sorted(rows)
    return pa.table({name: [getattr(row, name) for row in ordered] for name in COLUMNS}, MANIFEST)
