"""Parquet in memory: tables to bytes and back.

Without Arrow's threads: with pyarrow 25 a process that had read Parquet with them and then ended was aborted in 10 of 25 runs
("terminate called without an active exception"); with neither threads nor read-ahead in 0 of 25.
"""

import pyarrow as pa
import pyarrow.parquet as pq


def dump_table(table: pa.Table) -> bytes:
    """``table`` as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def load_table(data: bytes, schema: pa.Schema | None = None) -> pa.Table:
    """The table in a Parquet file, with the columns of ``schema`` where one is given."""
    return pq.read_table(pa.BufferReader(data), schema=schema, use_threads=False, pre_buffer=False)
