"""`skin quarantine`: the files that were refused."""

import json

from rich.console import Console
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of


def quarantine(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the files that were refused, by name, each with its reason."""
    from skin_platform.storage.stores import Stores

    rows = list(Stores(settings_of(home)).batches.quarantined())
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("batch", "file", "reason", title=f"{len(rows)} file(s) in quarantine")
    for row in rows:
        table.add_row(row["batch_id"], row["file"], row["reason"])
    Console().print(table)
