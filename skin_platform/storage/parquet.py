"""Parquet: tables to bytes and back, and to files that people ask for.

Without Arrow's threads: with pyarrow 25 a process that had read Parquet with them and then ended was aborted in 10 of 25 runs
("terminate called without an active exception"); with neither threads nor read-ahead in 0 of 25.
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
    """The table in a Parquet file, with the columns of ``schema`` where one is given."""
    return pq.read_table(pa.BufferReader(data), schema=schema, use_threads=False, pre_buffer=False)
