"""Rows: from the texts of the spool to what the database takes.

Here: times, and the columns that a row has to have. Not here: the spool (``storage.spool``), the columns (``online.tables``).
"""

from datetime import datetime
from typing import Any

from skin_platform.storage.online.reaching import RefusedRowsError
from skin_platform.storage.online.store import TABLES
from skin_platform.storage.online.tables import Moment

COLUMNS = {kind: frozenset(column.name for column in table.columns) for kind, table in TABLES.items()}
MOMENTS = {kind: [column.name for column in table.columns if isinstance(column.type, Moment)] for kind, table in TABLES.items()}


def read_row(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row with every column of its table, times as such. Raises ``RefusedRowsError`` where it is of no table.

    A column that is not known (a newer version has written the row) would be dropped in silence by an insert of many rows.
    """
    if kind not in TABLES:
        raise RefusedRowsError(f"there is no table for a {kind!r}")
    if unknown := sorted(row.keys() - COLUMNS[kind]):
        raise RefusedRowsError(f"there is no column {', '.join(unknown)}")
    values: dict[str, Any] = {**dict.fromkeys(COLUMNS[kind]), **row}
    try:
        return values | {name: datetime.fromisoformat(values[name]) for name in MOMENTS[kind] if values[name] is not None}
    except (ValueError, TypeError) as error:
        raise RefusedRowsError(str(error)) from error
