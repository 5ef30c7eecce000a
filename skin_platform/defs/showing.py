"""Showing: values and pictures as the Dagster UI displays them."""

import base64
from collections.abc import Mapping, Sequence

import dagster as dg

MAX_ROWS = 200  # of a table in an event; the event log is a database too


def picture(data: bytes, media_type: str = "image/png") -> dg.MarkdownMetadataValue:
    """An image that the UI shows in place."""
    return dg.MetadataValue.md(f"![picture](data:{media_type};base64,{base64.b64encode(data).decode()})")


def table(rows: Sequence[Mapping[str, str | int | float | None]], columns: Sequence[str]) -> dg.TableMetadataValue:
    """The first ``MAX_ROWS`` rows as a table."""
    records = [dg.TableRecord({name: row[name] for name in columns}) for row in rows[:MAX_ROWS]]
    schema = dg.TableSchema([dg.TableColumn(name, _type(rows, name)) for name in columns])
    return dg.MetadataValue.table(records, schema)


def _type(rows: Sequence[Mapping[str, str | int | float | None]], name: str) -> str:
    found = {type(row[name]) for row in rows if row[name] is not None}
    return {frozenset({int}): "int", frozenset({float}): "float"}.get(frozenset(found), "string")
