"""`skin conflicts` and `skin resolve`: images that were delivered under several labels, and a person's decision."""

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer
from skin_platform.saying import said


def conflicts(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the images that were delivered under several labels; they are not trained on until someone decides."""
    from skin_platform.conflicts import open_conflicts
    from skin_platform.storage.stores import Stores

    found = open_conflicts(Stores(settings_of(home)))
    if as_json:
        print(json.dumps([asdict(item) for item in found], ensure_ascii=False))
        return
    table = Table("image (SHA-256)", "label", "delivered as", title=f"{len(found)} image(s) under several labels")
    for item in found:
        for label, files in item.files.items():
            table.add_row(item.sha256 if label == item.labels[0] else "", said(label), said("\n".join(files)))
    console = printer()
    console.print(table if found else "no image stands under several labels")
    if found:
        console.print(f"decide with: skin resolve {found[0].sha256[:12]} --label … --why …", highlight=False, soft_wrap=True)


def resolve(
    sha256: Annotated[str, typer.Argument(help="the image's SHA-256, or enough of its first digits")],
    label: Annotated[str, typer.Option(help="the label that is right")],
    why: Annotated[str, typer.Option(help="the reason, for those who ask later")],
    who: Annotated[str, typer.Option(help="who decides (default: the login name)")] = "",
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Decide which label an image has, in doubt (`skin conflicts`, `skin review list`) or not.

    Who, when and why are kept, and a later decision replaces it.
    """
    from skin_platform.conflicts import decide
    from skin_platform.telling import Teller

    made = decide(settings_of(home), sha256, label, who or getpass.getuser(), why, datetime.now(UTC),
                  Teller(printer(stderr=as_json)).tell)
    if as_json:
        print(json.dumps(asdict(made), ensure_ascii=False))
        return
    others = ", ".join(other for other in made.labels if other != made.label) or "nothing else"
    print(f"{made.sha256} is {made.label}, not {others}: it may be trained on as {made.label}")
