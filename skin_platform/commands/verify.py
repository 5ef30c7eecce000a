"""`skin verify`: does the object store do what the platform relies on."""

import json

import typer
from rich.markup import escape
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

SHOWN = {"ok": "[green]ok[/]", "failed": "[bold red]failed[/]", "not tried": "[yellow]not tried[/]", "note": "note"}


def verify(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Try the object store: connection, buckets, upload, list, download, checksum, metadata, presigned URL, delete.

    Ends with 0 where all went well, else with 1. Leaves no object behind.
    """
    from skin_platform.storage.faults import StorageError
    from skin_platform.storage.stores import Stores, prepare_home
    from skin_platform.storage.verification import not_opened, verify_store

    settings = settings_of(home)
    prepare_home(settings)
    buckets = (settings.s3_bucket_models, settings.dataset.bucket, settings.s3_bucket_data)
    try:
        found = verify_store(Stores(settings, create=False).objects, buckets)
    except StorageError as error:
        found = not_opened(settings.s3_endpoint or str(settings.home.objects), buckets, error)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
        raise typer.Exit(not found.passed)
    table = Table("step", "", "what was seen", title=f"object store {escape(found.store)}", title_justify="left")
    for step in found.steps:
        table.add_row(step.name.replace("_", " ").replace("url", "URL"), SHOWN[step.status], escape(step.detail))
    console = printer()
    console.print(table)
    console.print("[green]the store does what is asked of it[/]; nothing was left behind" if found.passed
                  else "[bold red]the store cannot be used as it is[/]")
    raise typer.Exit(not found.passed)
