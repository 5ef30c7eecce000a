"""`skin models promote|rollback|compare|history`: which version answers, and why."""

import getpass
import json
import socket
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.versions import VersionArgument, named
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.storage.moves import Move

WhyOption = Annotated[str, typer.Option(help="the reason, for the record")]
ByOption = Annotated[str | None, typer.Option(help="who decides (default: your account on this machine)")]
REFUSED = 2  # exit code: the gates are against it


def promote(
    version: VersionArgument, why: WhyOption, by: ByOption = None,
    force: Annotated[bool, typer.Option("--force", help="whatever the gates say: stands in the history, the card and the "
                                        "service's status")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Let a version answer from now on, where its verdict allows it. Ends with 2 where a gate is against it."""
    from skin_platform.defs.registry.promoting import promote
    from skin_platform.defs.registry.reigns import NotPromotedError
    from skin_platform.storage.stores import Stores

    stores, console = Stores(settings_of(home)), printer(stderr=as_json)
    name = named(stores.versions, version)
    before = stores.moves.current("champion")
    try:
        move = promote(name, stores, by=account() if by is None else by, why=why, warn=_warner(console), force=force)
    except NotPromotedError as error:
        _tell_refusal(console, error, name, as_json=as_json)
        raise typer.Exit(REFUSED) from None
    _tell_move(console, move, as_json=as_json, is_new=before != move)


def rollback(
    why: WhyOption, by: ByOption = None,
    to: Annotated[str | None, typer.Option(help="this former champion (default: the one before the present)")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Let the former champion answer again: in the registry, the export and the alias, in one move."""
    from skin_platform.defs.registry.promoting import rollback
    from skin_platform.defs.registry.reigns import NotPromotedError
    from skin_platform.storage.stores import Stores

    stores, console = Stores(settings_of(home)), printer(stderr=as_json)
    before = stores.moves.current("champion")
    try:
        move = rollback(stores, by=account() if by is None else by, why=why, warn=_warner(console),
                        to=named(stores.versions, to) if to else None)
    except NotPromotedError as error:
        _tell_refusal(console, error, to or "", as_json=as_json)
        raise typer.Exit(REFUSED) from None
    _tell_move(console, move, as_json=as_json, is_new=before != move)


def compare(
    first: VersionArgument, second: VersionArgument, home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Show two versions side by side on the same images, with the paired difference (first minus second) and its interval."""
    from skin_platform.defs.registry.side_by_side import side_by_side
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    names = named(stores.versions, first), named(stores.versions, second)
    found = side_by_side(*names, stores, account())
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
        return
    note = f", {found.left_out} left out that one of them learnt from" if found.left_out else ""
    table = Table("score", Column("n", no_wrap=True), *(Column(name, no_wrap=True) for name in names),
                  Column("difference", no_wrap=True), box=SIMPLE,
                  title=f"on {found.n} images{note}; in brackets the 95 % interval")
    for line in found.lines:
        paired = line.difference
        told = "" if paired is None else (
            f"{paired.difference:+.3f} ({paired.interval.low:+.3f} to {paired.interval.high:+.3f})")
        # value over interval: 80 columns hold no more
        table.add_row(said(line.score), str(line.n), *(text.replace(" (", "\n(") for text in (line.first, line.second, told)))
    printer().print(table)


def history(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every move of the champion: when, what, by whom and why; newest first."""
    from skin_platform.storage.stores import Stores

    moves = Stores(settings_of(home)).moves.history("champion")[::-1]
    if as_json:
        print(json.dumps([asdict(move) for move in moves], ensure_ascii=False))
        return
    if not moves:
        print("no version was promoted yet")
    console = printer()
    for move in moves:
        kind = move.kind.upper() if move.kind == "forced" else move.kind
        instead = f" instead of {move.former}" if move.former else ""
        words = " ".join(f"by {move.by}: {move.why}".split())  # on one line, whatever was given
        console.print(f"{move.at}  {kind:<11}  {move.version}{instead}\n    {said(words)}", highlight=False, soft_wrap=True)


def account() -> str:
    """Who gives the command, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _warner(console: Console) -> Any:
    return lambda line: console.print(f"[yellow]warning[/]: {said(line)}", highlight=False, soft_wrap=True)


def _tell_refusal(console: Console, error: Any, version: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"version": version, "promoted": False, "reasons": error.reasons}, ensure_ascii=False))
    console.print(f"[bold red]refused[/]: {said(str(error))}", highlight=False, soft_wrap=True)


def _tell_move(console: Console, move: "Move", *, as_json: bool, is_new: bool) -> None:
    if as_json:
        print(json.dumps(asdict(move) | {"promoted": True, "is_new": is_new}, ensure_ascii=False))
    instead = f" instead of {move.former}" if move.former else ""
    told = {"promoted": "promoted", "forced": "PROMOTED BY FORCE", "rolled back": "brought back", "registered": "registered"}
    line = f"{move.version} answers now{instead} ({told[move.kind]} by {move.by}: {move.why})" if is_new else (
        f"{move.version} answers already, since {move.at} ({told[move.kind]} by {move.by})")
    console.print(said(line), highlight=False, soft_wrap=True)
