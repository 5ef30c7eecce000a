"""`skin replay`: stored predictions asked once more of a version, and what differs."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.replaying import Replay

SHOWN = 20  # rows of the table; --json has all


def replay(
    version: Annotated[str, typer.Option(help="vYYYYMMDD_HHMMSS, latest, champion or challenger")],
    last: Annotated[int | None, typer.Option(min=1, help="as many of the newest predictions; default: all")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Ask a version about the images of stored predictions (those that SKIN_KEEP_IMAGES kept), and show the difference."""
    from skin_platform.commands.versions import named
    from skin_platform.defs.bundling import ensure_bundle
    from skin_platform.replaying import replay as replayed
    from skin_platform.serving.bento_store import bento_folder
    from skin_platform.storage.online.store import OnlineStore
    from skin_platform.storage.stores import Stores

    settings = settings_of(home)
    online = OnlineStore(settings.online_url)
    try:
        rows = online.predictions(last, only_kept=True)
    finally:
        online.dispose()
    if not rows:
        raise ValueError("there is no prediction whose image was kept: set SKIN_KEEP_IMAGES=true, and serve for a while")
    stores = Stores(settings)
    tag = ensure_bundle(named(stores.versions, version), stores).tag
    found = replayed(rows, bento_folder(tag, settings.home.bentoml) / "src" / "bundle", settings)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _show(found)


def _show(found: "Replay") -> None:
    """The largest differences first, then all of them in a line."""
    table = Table("image", "stored by", "label then", "label now", "largest difference", box=None)
    for one in sorted(found.differences, key=lambda one: -one.worst)[:SHOWN]:
        now = f"[bold]{said(one.label)}[/]" if one.is_other_label else said(one.label)
        table.add_row(one.image_sha256[:12], one.stored_version, said(one.stored_label), now, f"{one.worst:.2g}")
    console = printer()
    console.print(table)
    if len(found.differences) > SHOWN:
        console.print(f"… and {len(found.differences) - SHOWN} with smaller ones (--json has all)", highlight=False)
    missing = f"; {len(found.missing)} kept images are not here any more" if found.missing else ""
    console.print(f"{found.version} on {len(found.differences)} stored predictions: {len(found.changed)} get another label, "
                  f"the largest difference of a probability is {found.worst:.2g}{missing}", highlight=False, soft_wrap=True)
