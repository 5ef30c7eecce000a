"""`skin datasets`: the frozen versions, what is in one, and how two differ."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

if TYPE_CHECKING:
    from skin_platform.dataset_config import DatasetConfig
    from skin_platform.storage.dataset_versions import DatasetVersion
    from skin_platform.storage.manifest_changes import Change
    from skin_platform.storage.stores import Stores

app = typer.Typer(no_args_is_help=True, help="List the frozen datasets, show what is in one, and how two of them differ.")
VersionArgument = Annotated[str, typer.Argument(help="a digest, its first digits (four or more), or latest")]
SHORT = 12  # digits of a digest on a terminal
WORDS = {"renamed_groups": "groups with another id (the same images in them)"}


@app.command("list")
def list_versions(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the frozen datasets, newest first."""
    stores = _stores(home)
    latest, found = stores.datasets.latest(), stores.datasets.list()
    if as_json:
        told = [version.as_dict() | {"is_latest": version.digest == latest} for version in found]
        print(json.dumps(told, ensure_ascii=False))
        return
    splits = list(dict.fromkeys(split for version in found for split in _splits(version)))
    names = ("digest", "frozen (UTC)", "images", *splits, "moved", "")
    table = Table(*(Column(escape(name), no_wrap=True) for name in names), box=None, pad_edge=False)
    for version in found:
        counts = version.images_by_split()
        table.add_row(version.digest[:SHORT], version.came.created_at[:16].replace("T", " "), str(version.images),
                      *(str(counts.get(split, "–" if split not in _splits(version) else 0)) for split in splits),
                      str(version.moved), "latest" if version.digest == latest else "")
    printer().print(table if found else "no dataset was frozen yet: `skin demo`, or the job train_now, makes one")


@app.command()
def show(version: VersionArgument = "latest", home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show a dataset: counts by label and split, where it comes from, what moved, its notes, openings of its locked split, and
    what dataset.yaml says otherwise by now."""
    stores = _stores(home)
    found = stores.datasets.version(stores.datasets.find(version))
    of_all, of_these = stores.openings.all(), stores.openings.of_images(found.locked_digest)
    if as_json:
        moves = stores.datasets.moves(found.digest).to_pylist()
        opened = {"openings_in_all_versions": len(of_all), "openings_of_these_images": [vars(item) for item in of_these]}
        since = {"dataset_config_now": _since(found, stores.settings.dataset)}
        print(json.dumps(found.as_dict() | {"moves": moves} | opened | since, ensure_ascii=False))
        return
    console = printer()
    for name, value in _facts(found).items():
        console.print(f"{name:<16} {escape(value)}", highlight=False, soft_wrap=True)
    console.print(_counts(found))
    if found.came.locked_split:
        console.print(f"{found.came.locked_split} was opened {len(of_all)} time(s) in all versions, {len(of_these)} time(s) "
                      "with these very images", highlight=False, soft_wrap=True)
    _tell_moves(console, found)
    for note in found.came.notes:
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    for line in _since(found, stores.settings.dataset):
        console.print(f"dataset.yaml now: {escape(line)}", highlight=False, soft_wrap=True)


@app.command()
def diff(
    old: VersionArgument, new: VersionArgument = "latest", home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Tell what is otherwise in the second dataset: images added, removed, relabelled, regrouped, moved between splits."""
    from skin_platform.storage.manifest_changes import compare

    stores = _stores(home)
    first, second = (stores.datasets.find(name) for name in (old, new))
    changes = compare(stores.datasets.manifest(first), stores.datasets.manifest(second))
    if as_json:
        print(json.dumps({"old": first, "new": second} | {c.kind: c.as_dict() for c in changes}, ensure_ascii=False))
        return
    console = printer()
    console.print(f"{first[:SHORT]} → {second[:SHORT]}", highlight=False)
    if not any(change.images for change in changes):
        console.print("no difference")
    for change in changes:
        _tell_change(console, change)


def _stores(home: HomeOption) -> "Stores":
    from skin_platform.storage.stores import Stores

    return Stores(settings_of(home))


def _splits(version: "DatasetVersion") -> list[str]:
    return [*version.came.fractions] or sorted(version.images_by_split())


def _facts(version: "DatasetVersion") -> dict[str, str]:
    came = version.came
    shares = ", ".join(f"{name} {share:g}" for name, share in came.fractions.items())
    left_out = ", ".join(f"{count} {reason}" for reason, count in came.left_out.items())
    return {"digest": version.digest, "frozen at": came.created_at or "unknown", "parent": came.parent or "none",
            "images": f"{version.images} in {version.groups} groups", "shares": f"{shares or 'unknown'}; seed {came.seed}",
            "locked split": came.locked_split or "none", "line": came.line or "the first",
            "left out": left_out or "nothing", "Dagster run": came.run_id,
            "code": came.code_version, "catalogue": came.catalogue_digest}


def _since(version: "DatasetVersion", config: "DatasetConfig") -> list[str]:
    """What dataset.yaml says now and does not hold for the version."""
    from skin_platform.core.layout import composed
    from skin_platform.core.split_terms import changed_terms, swapped_roles

    was, words = version.came.terms, config.vocabulary.splits
    labels = sorted({composed(label) for label in config.labels} - set(version.labels))
    lines = [f"no image of label {', '.join(labels)} is in this version"] if labels else []
    if was is None:
        return lines
    if was.line != config.line:
        return [*lines, f"`line` is '{config.line}' and was '{was.line}': the next version draws all splits anew"]
    fault = swapped_roles(was, config.terms, words)
    return [*lines, *([fault] if fault else []), *changed_terms(was, config.terms, words)]


def _counts(version: "DatasetVersion") -> Table:
    """Images (and groups) by label, a column a split."""
    cells: dict[tuple[str, str], Mapping[str, Any]] = {(str(row["label"]), str(row["split"])): row for row in version.counts}
    splits = _splits(version)
    table = Table("label", *splits, title="images (groups)")
    for label in version.labels:
        row = (cells.get((label, split)) for split in splits)
        table.add_row(escape(label), *(f"{cell['images']} ({cell['groups']})" if cell else "–" for cell in row))
    return table


def _tell_moves(console: Console, version: "DatasetVersion") -> None:
    if version.moved:
        console.print(f"{version.moved} image(s) moved, compared with the parent (all of them: --json):", highlight=False)
        _examples(console, [(row["sha256"], row["from_split"], row["to_split"]) for row in version.moved_examples])


def _tell_change(console: Console, change: "Change") -> None:
    if change.images:
        ways = "; ".join(f"{count} {way}" for way, count in change.ways.items())
        console.print(f"[bold]{WORDS.get(change.kind, change.kind)}: {change.images}[/] ({escape(ways)})", highlight=False,
                      soft_wrap=True)
        _examples(console, [(row["sha256"], row["was"], row["is_now"]) for row in change.examples])


def _examples(console: Console, rows: Sequence[tuple[str, str, str]]) -> None:
    for sha256, was, is_now in rows:
        console.print(f"  {sha256[:SHORT]}  {escape(was)}{' → ' if was and is_now else ''}{escape(is_now)}", highlight=False,
                      soft_wrap=True)
