"""`skin catalogue`: questions to the catalogue in SQL, and copies of it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

OVERVIEW = ("SELECT label, split, count(*) AS images, count(DISTINCT group_id) AS groups, "
            "count(*) FILTER (WHERE exclusion IS NOT NULL) AS kept_out FROM lesions_data GROUP BY ALL ORDER BY ALL")
SHOWN_ROWS = 100


def catalogue(
    sql: Annotated[str, typer.Option(help="a question to the table lesions_data, in DuckDB's SQL")] = OVERVIEW,
    out: Annotated[Path | None, typer.Option(help="write the answer to this .parquet or .csv file")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Ask the catalogue (by default: images by label and split), or copy it: --sql "FROM lesions_data" --out all.parquet."""
    from skin_platform.storage.parquet import write_table
    from skin_platform.storage.stores import Stores

    answer = Stores(settings_of(home)).catalogue.query(sql)
    if answer is None:
        raise ValueError("the catalogue is empty: land a delivery first (skin ingest, skin demo)")
    if out:
        write_table(answer, out)
        print(f"{len(answer)} row(s) in {out}")
    elif as_json:
        print(json.dumps(answer.to_pylist(), ensure_ascii=False, default=str))
    else:
        table = Table(*answer.column_names)
        for row in answer.slice(0, SHOWN_ROWS).to_pylist():
            table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
        printer().print(table)
        if len(answer) > SHOWN_ROWS:
            print(f"… and {len(answer) - SHOWN_ROWS} more rows: --out FILE.parquet, or --json")
