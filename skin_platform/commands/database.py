"""`skin database`: the online store's revision, and what waits to get into it."""

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The online store (predictions, feedback, keys): how it stands, and its upgrades.")


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the online store's revision, and the rows that wait for it or were refused by it; fails where it cannot be asked."""
    settings = settings_of(home)
    told = {"database": _database(settings), "spool": _spool(settings)}
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print("\n".join(said(line) for line in _lines(told)))
    if told["database"]["fault"]:
        raise typer.Exit(1)


@app.command()
def upgrade(home: HomeOption = None) -> None:
    """Bring the online store to the newest revision; a service that starts does so by itself."""
    from skin_platform.storage.home_folder import check_home
    from skin_platform.storage.online.store import OnlineStore

    settings = settings_of(home)
    store = OnlineStore(settings.online_url)
    if settings.database_url is None:
        check_home(settings.home.root)
    try:
        before = store.upgrade()
    finally:
        store.dispose()
    former = before.found or ("no revision (its predictions were carried over)" if before.state == "older" else "nothing")
    told = " already" if before.state == "current" else f", from {former}"
    print(f"{store.shown_url} is at revision {before.wanted}{told}")


@app.command()
def retry(home: HomeOption = None) -> None:
    """Let the rows that the database refused wait for it again, after what was wrong was mended."""
    from skin_platform.storage.spool import Spool

    settings = settings_of(home)
    count = 0
    if settings.home.spool.exists():
        spool = Spool(settings.home.spool, settings.skin_spool_bytes)
        count = spool.retry()
        spool.close()
    print(f"{count} row(s) wait for the online store again; a running service moves them" if count else "no row was set aside")


@app.command()
def adopt(home: HomeOption = None) -> None:
    """Give what waits in the spool to the database that DATABASE_URL names now, after the home was moved to it."""
    from skin_platform.storage.online.store import OnlineStore
    from skin_platform.storage.spool import Spool
    from skin_platform.storage.spool_belonging import adopt, database_name

    settings = settings_of(home)
    database = database_name(OnlineStore(settings.online_url).engine.url, settings.home.root)
    if not settings.home.spool.exists():
        print(f"there is no spool in {settings.home.root} yet: the first service makes it, for {database}")
        return
    with closing(Spool(settings.home.spool, settings.skin_spool_bytes)) as spool:
        former, waiting = adopt(spool.file, database), spool.depth
    print(f"the spool belongs to {database}" + (" already" if former == database else f", no more to {former or 'none'}; "
          f"{waiting} row(s) wait for the next service that starts"))


def _database(settings: "Settings") -> dict[str, Any]:
    from skin_platform.storage.online.reaching import OnlineStoreError
    from skin_platform.storage.online.store import OnlineStore

    store = OnlineStore(settings.online_url)
    try:
        if settings.database_url:
            store.check_place()
        return {"url": store.shown_url, **asdict(store.revision()), "fault": None, "is_missing": store.is_missing}
    except OnlineStoreError as error:
        return {"url": store.shown_url, "found": None, "wanted": None, "state": "unknown", "fault": str(error),
                "is_missing": store.is_missing}
    finally:
        store.dispose()


def _spool(settings: "Settings") -> dict[str, Any]:
    from skin_platform.storage.online.store import OnlineStore
    from skin_platform.storage.spool import Spool
    from skin_platform.storage.spool_belonging import belongs_to, database_name

    place = settings.home.spool
    told: dict[str, Any] = {"path": str(place), "waiting": 0, "oldest_s": 0.0, "bytes": 0, "set_aside": [], "belongs_to": None,
                            "database": database_name(OnlineStore(settings.online_url).engine.url, settings.home.root)}
    if place.exists():
        spool = Spool(place, settings.skin_spool_bytes)
        refused = [{"kind": item.kind, "reason": reason, "row": item.row} for item, reason in spool.refused()]
        told |= {"waiting": spool.depth, "oldest_s": round(spool.oldest_age(), 1), "bytes": spool.bytes, "set_aside": refused,
                 "belongs_to": belongs_to(spool.file)}
        spool.close()
    told["damaged"] = sorted(path.name for path in place.parent.glob(f"{place.name}.damaged-*")
                             if not path.name.endswith(("-wal", "-shm")))
    return told


def _lines(told: dict[str, Any]) -> list[str]:
    database, spool = told["database"], told["spool"]
    empty = "not there yet" if database["is_missing"] else "empty"
    words = {"empty": f"is {empty}: the service, or `skin database upgrade`, makes its tables",
             "current": f"is at revision {database['found']}, the newest",
             "older": f"is at {database['found'] or 'no revision'}: `skin database upgrade` brings it to {database['wanted']}",
             "newer": f"is at revision {database['found']}, newer than this version knows ({database['wanted']})",
             "unknown": f"cannot be asked: {database['fault']}"}
    lines = [f"{database['url']} {words[database['state']]}",
             f"{spool['waiting']} row(s) wait in {spool['path']} ({spool['bytes']} bytes"
             + (f", the oldest for {spool['oldest_s']} s)" if spool["waiting"] else ")")]
    if spool["belongs_to"] not in (None, spool["database"]):
        lines.append(f"it belongs to another database, {spool['belongs_to']}, while DATABASE_URL names {spool['database']}: no "
                     "service starts with this one while rows wait; `skin database adopt` gives them to it")
    lines += [f"set aside, a {item['kind']}: {item['reason']}" for item in spool["set_aside"]]
    if spool["set_aside"]:
        lines.append("--json shows these rows whole; `skin database retry` tries them again")
    return lines + [f"set aside, a damaged spool: {name}" for name in spool["damaged"]]
