"""Parquet: tables to bytes and back, and to files that people ask for.

In the caller's thread alone. ``pq.read_table`` scans a file as a dataset and lets one of Arrow's threads close it, whatever it
is told of threads and read-ahead: where the interpreter ends before that, the process is aborted ("terminate called without
an active exception"; apache/arrow issue 34314). With pyarrow 25 on a busy machine that befell 1 in 50 commands that ended
soon after a read.
"""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq


def dump_table(table: pa.Table) -> bytes:
    """``table`` as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` to a ``.parquet`` or ``.csv`` file; raises ``ValueError`` for any other name."""
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{path} must end in .parquet or .csv")
    partial = path.with_name(f".{path.name}.partial")
    if path.suffix == ".csv":
        pc.write_csv(table, partial)
    else:
        pq.write_table(table, partial, compression="zstd")
    os.replace(partial, path)


def load_table(data: bytes, schema: pa.Schema | None = None) -> pa.Table:
    """The table in a Parquet file; with exactly the columns of ``schema`` where one is given, those not stored being null."""
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        stored = file.read(use_threads=False)
    if schema is None:
        return stored
    columns = [stored[field.name].cast(field.type) if field.name in stored.column_names else pa.nulls(len(stored), field.type)
               for field in schema]
    return pa.table(columns, schema=schema)
