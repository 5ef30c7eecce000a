"""`skin review`: images whose label or picture a person should look at, worst first."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

if TYPE_CHECKING:
    from skin_platform.core.review import ReviewItem

app = typer.Typer(no_args_is_help=True, help="Images whose label or picture a person should look at: find them, list them.")
SHOWN_DIGITS = 12  # of a SHA-256, which `skin resolve` takes cut short; --json has it whole


@app.command("list")
def list_queue(
    at_most: Annotated[int, typer.Option("--top", min=1, help="so many of the worst")] = 50,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """List the queue, worst first, without images on which `skin resolve` has decided since."""
    from skin_platform.review import newest_queue
    from skin_platform.storage.stores import Stores

    reference, items = newest_queue(Stores(settings_of(home)))
    if as_json:
        print(json.dumps({"queue": asdict(reference), "items": [asdict(item) for item in items]}, ensure_ascii=False))
        return
    console = printer()
    console.print(_table(items[:at_most], f"{len(items)} image(s) to look at") if items else "nobody needs to look at anything")
    if items:
        told = f"; the probe behind it is right in {reference.probe_accuracy:.0%} of images: trust the first ones most"
        console.print(f"decide with: skin resolve {items[0].sha256[:SHOWN_DIGITS]} --label … --why …{told}", highlight=False,
                      soft_wrap=True)


@app.command()
def make(home: HomeOption = None) -> None:
    """Go through the catalogue and make the queue anew; features of images are computed once and kept."""
    from skin_platform.review import make_queue, newest_queue
    from skin_platform.storage.stores import Stores
    from skin_platform.telling import Teller

    settings = settings_of(home)
    make_queue(settings, Teller(printer()).tell)
    print(f"{len(newest_queue(Stores(settings))[1])} image(s) to look at: skin review list")


def _table(items: Sequence["ReviewItem"], title: str) -> Table:
    table = Table("rank", "image (SHA-256)", "label", "suggested", "score", "reason", title=title)
    for item in items:
        table.add_row(str(item.rank), item.sha256[:SHOWN_DIGITS], escape(item.label), escape(item.suggested_label),
                      f"{item.score:.2f}", escape(item.reason))
    return table
