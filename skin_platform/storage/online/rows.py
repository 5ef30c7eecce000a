"""Rows: from the texts of the spool to what the database takes.

Here: times, and the columns that a row has to have. Not here: the spool (``storage.spool``), the columns (``online.tables``).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from skin_platform.storage.online.reaching import RefusedRowsError
from skin_platform.storage.online.store import TABLES
from skin_platform.storage.online.tables import Moment


def read_row(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with every column of its table, times as such. Raises ``RefusedRowsError`` where it is of no table.

    A column that is not known (a newer version has written the row) would be dropped in silence by an insert of many rows.
    """
    if kind not in TABLES:
        raise RefusedRowsError(f"there is no table for a {kind!r}")
    columns = TABLES[kind].columns
    if unknown := sorted(set(row) - set(columns.keys())):
        raise RefusedRowsError(f"there is no column {', '.join(unknown)}")
    try:
        return {column.name: _value(column, row.get(column.name)) for column in columns}
    except (ValueError, TypeError) as error:
        raise RefusedRowsError(str(error)) from error


def _value(column: sa.Column[Any], value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(column.type, Moment) and value is not None else value
