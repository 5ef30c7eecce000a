"""`skin quarantine`: the files that were refused, judged again or dropped."""

import getpass
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.storage.quarantine import Quarantined

app = typer.Typer(help="The files that were refused: list them, judge them again, drop them.")
SHOWN_DIGITS = 10  # of a file id, which the commands take cut short; --json has it whole
BatchOption = Annotated[str | None, typer.Option("--batch", help="only files of this batch")]
WhoOption = Annotated[str | None, typer.Option(help="who decides (default: the user of this machine)")]


@app.callback(invoke_without_command=True)
def quarantine(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """The files that were refused; without a command they are listed."""
    if context.invoked_subcommand is None:
        list_refused(home=home, as_json=as_json)


@app.command("list")
def list_refused(
    batch: BatchOption = None,
    show_all: Annotated[bool, typer.Option("--all", help="also what was retried, dropped, or came again")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """List the files that were refused, by name, each with its reason."""
    from skin_platform.quarantine import listed
    from skin_platform.storage.stores import Stores

    entries = listed(Stores(settings_of(home)), batch, closed=show_all)
    if as_json:
        print(json.dumps([entry.as_dict() for entry in entries], ensure_ascii=False))
        return
    _show(printer(), entries, f"{len(entries)} file(s) {'refused so far' if show_all else 'in quarantine'}")


@app.command()
def retry(
    file_ids: Annotated[list[str] | None, typer.Argument(help="file ids as listed, or their beginnings")] = None,
    batch: BatchOption = None, everything: Annotated[bool, typer.Option("--all", help="all that is in quarantine")] = False,
    who: WhoOption = None, home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Judge refused files again, after they, the limits or the configuration were mended."""
    from skin_platform import quarantine as by_hand
    from skin_platform.storage.stores import Stores
    from skin_platform.telling import Teller

    if not (file_ids or batch or everything):
        raise ValueError("name what to judge again: file ids, --batch B, or --all")
    settings = settings_of(home)
    console = printer(stderr=as_json)
    entries = by_hand.choose(Stores(settings), file_ids or (), batch)
    done = by_hand.retry(settings, entries, who or getpass.getuser(), datetime.now(UTC), Teller(console).tell)
    if as_json:
        print(json.dumps([{**item.entry.as_dict(), "outcome": item.outcome, "why": item.why, "new_batch_id": item.batch_id}
                          for item in done], ensure_ascii=False))
        return
    counts = ", ".join(f"{n} {outcome}" for outcome, n in Counter(item.outcome for item in done).items())
    table = Table("file", "outcome", "why", title=counts or "nothing is in quarantine")
    for item in done:
        table.add_row(said(str(item.entry.as_dict()["file"])), item.outcome, said(item.why))
    console.print(table)


@app.command()
def drop(
    file_ids: Annotated[list[str], typer.Argument(help="file ids as listed, or their beginnings")],
    why: Annotated[str, typer.Option(help="why they need not come in; kept on record")],
    who: WhoOption = None, home: HomeOption = None,
) -> None:
    """Take refused files off the list; the files themselves stay where they landed."""
    from skin_platform import quarantine as by_hand
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    entries = by_hand.choose(stores, file_ids)
    by_hand.drop(stores, entries, who or getpass.getuser(), why, datetime.now(UTC))
    print(f"{len(entries)} file(s) dropped from the list; nothing was deleted")


def _show(console: Console, entries: "Sequence[Quarantined]", title: str) -> None:
    with_fate = any(entry.fate for entry in entries)
    table = Table(title=title)
    for column in ("batch", "file", "file id", "reason", *(["what became of it"] if with_fate else [])):
        table.add_column(column, overflow="fold", no_wrap=column == "file id")
    for entry in entries:
        table.add_row(entry.batch_id, said(str(entry.as_dict()["file"])), entry.file_id[:SHOWN_DIGITS], said(entry.reason),
                      *([said(_became(entry))] if with_fate else []))
    console.print(table)


def _became(entry: "Quarantined") -> str:
    fate = entry.fate
    if fate is None:
        return "in quarantine"
    parts = (fate.fate, f"as {fate.batch_id}" if fate.batch_id else "", f"by {fate.who}" if fate.who else "",
             f"({fate.why})" if fate.why else "")
    return " ".join(part for part in parts if part)
