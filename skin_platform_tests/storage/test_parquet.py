"""Parquet: read in the caller's thread, with the columns that are asked for."""

import subprocess
import sys

import pyarrow as pa

from skin_platform.storage.parquet import dump_table, load_table


def test_reading_starts_no_thread_that_could_outlive_the_interpreter():
    code = ("import os, pyarrow as pa; from skin_platform.storage.parquet import dump_table, load_table\n"
            "data = dump_table(pa.table({'a': [1, 2]})); before = len(os.listdir('/proc/self/task'))\n"
            "load_table(data); print(len(os.listdir('/proc/self/task')) - before)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"  # one that still closes the file while Python ends aborts the process


def test_a_column_that_was_not_stored_is_empty_and_one_that_is_not_asked_for_is_left_out():
    schema = pa.schema([("new", pa.string()), ("a", pa.int64())])
    found = load_table(dump_table(pa.table({"a": pa.array([1, 2], pa.int32()), "old": ["x", "y"]})), schema)
    assert found.schema == schema
    assert found.to_pylist() == [{"new": None, "a": 1}, {"new": None, "a": 2}]
