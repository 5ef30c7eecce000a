"""`skin keys`: who may ask the service; a running one heeds what changes within seconds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

if TYPE_CHECKING:
    from pathlib import Path

    from skin_platform.storage.online.store import OnlineStore

app = typer.Typer(no_args_is_help=True, help="Who may ask the service: add a key, list them, revoke one.")
NameArgument = Annotated[str, typer.Argument(help="who uses the key; predictions and logs carry this name")]


@app.command()
def add(
    name: NameArgument,
    scope: Annotated[list[str], typer.Option("--scope", help="predict, feedback or operate; may be given several times")],
    rate: Annotated[int | None, typer.Option(help="images a minute, 0 for no limit (default: SKIN_RATE_PER_MINUTE)")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Add a key and print its secret: once, for only its hash is kept."""
    from skin_platform.storage.keys import issued

    secret, row = issued(name, scope, rate)
    with _store(home) as store:
        is_first = not store.api_keys()
        store.add_key(row)
    if as_json:
        told = {"name": name, "secret": secret, "scopes": row["scopes"], "rate_per_minute": rate}
        print(json.dumps(told, ensure_ascii=False))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"the key [bold]{escape(name)}[/] may {', '.join(row['scopes'])}; its secret is shown this once:")
    print(secret)
    console.print("it goes into the header `Authorization: Bearer …`")
    if is_first:
        console.print("this is the first key: from now on the service answers nobody without one")


@app.command("list")
def list_keys(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the keys, those that were revoked too; that of API_KEY is not among them."""
    with _store(home) as store:
        rows = [{name: value for name, value in row.items() if name != "secret_sha256"} for row in store.api_keys()]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, default=str))
        return
    table = Table("name", "scopes", "images a minute", "made", "revoked")
    for row in rows:
        rate = row["rate_per_minute"]
        table.add_row(escape(row["name"]), ", ".join(row["scopes"]), "default" if rate is None else str(rate or "no limit"),
                      _day(row["created_at"]), _day(row["revoked_at"]))
    printer().print(table if rows else "there are no keys: `skin keys add NAME --scope predict` makes one")


@app.command()
def revoke(name: NameArgument, home: HomeOption = None) -> None:
    """Let a key open nothing from now on."""
    with _store(home) as store:
        still = store.revoke_key(name)
    print(f"the key {name} is revoked; a running service heeds that within seconds" if still
          else f"the key {name} was revoked before")


@contextmanager
def _store(home: "Path | None") -> "Iterator[OnlineStore]":
    from skin_platform.storage.home_folder import check_home
    from skin_platform.storage.online.reaching import OnlineStoreError
    from skin_platform.storage.online.store import OnlineStore

    settings = settings_of(home)
    store = OnlineStore(settings.online_url)
    if settings.database_url is None:
        check_home(settings.home.root)
    elif store.is_missing:  # a key in a database that no service looks into would open nothing
        store.check_place()
        raise OnlineStoreError(f"{store.shown_url} (DATABASE_URL) is not there: mend DATABASE_URL, or make that database with "
                               "`skin database upgrade`")
    try:
        store.upgrade()
        yield store
    finally:
        store.dispose()


def _day(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
