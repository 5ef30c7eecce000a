"""The layout of the lesions table's file: is it the one that this version writes?

There are no migrations: all in the file follows from the manifests, from which the job ``rebuild_metadata`` makes it anew.
"""

import duckdb

from skin_platform.storage.lesions_sql import DDL, LAYOUT


def check_layout(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables where there is none yet; raises ``RuntimeError`` with the remedy where they are of another layout."""
    tables = {name for [name] in db.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'metadata'").fetchall()}
    if tables and ("layout" not in tables or db.execute("FROM metadata.layout").fetchall() != [(LAYOUT,)]):
        raise RuntimeError("the metadata tables were made by another version, whose layout differs: run "
                           "`skin rebuild` once (in the UI the job rebuild_metadata), which makes them anew from the manifests")
    make_tables(db)


def begin_anew(db: duckdb.DuckDBPyConnection) -> None:
    """Drop all tables, of whatever layout, and make empty ones: another table, whose revisions begin anew."""
    db.execute("DROP SCHEMA IF EXISTS metadata CASCADE")
    make_tables(db)


def make_tables(db: duckdb.DuckDBPyConnection) -> None:
    """Make those tables that are missing."""
    for statement in DDL:
        db.execute(statement)
