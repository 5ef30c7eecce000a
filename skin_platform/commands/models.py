"""`skin models`: the versions in the models bucket."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from skin_platform.commands import promoting
from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.promoting import account
from skin_platform.commands.versions import VersionArgument, named
from skin_platform.core.intervals import Interval, with_interval

if TYPE_CHECKING:
    from skin_platform.storage.versions import ModelVersions

app = typer.Typer(no_args_is_help=True, help="The model versions: what they score, which one answers, and why.")


@app.command("list")
def list_versions(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the model versions, newest first."""
    versions = _versions(home)
    found, champion = versions.described(), versions.moves.current("champion")
    verdicts = {item.version: _verdict(versions, item.version) for item in found}
    if as_json:
        told = [item.manifest | {"aliases": item.aliases, "verdict": verdicts[item.version],
                                 "promotion": asdict(champion) if champion and champion.version == item.version else None}
                for item in found]
        print(json.dumps(told, ensure_ascii=False))
        return
    # the rest is in --json: 80 columns hold no more
    table = Table(Column("version", no_wrap=True), "accuracy (95 %)", "on", "alias", "verdict")
    for item in found:
        score = item.manifest["score"]
        interval = Interval(**score["accuracy_interval"]) if score["accuracy_interval"] else None
        forced = champion and champion.version == item.version and champion.kind == "forced"
        table.add_row(item.version, with_interval(score["accuracy"], interval), f"{score['split']}, n = {score['n']}",
                      ", ".join(item.aliases) + (" BY FORCE" if forced else ""), verdicts[item.version])
    Console().print(table if found else "no model version yet: `skin demo`, or the job train_now, makes one")


@app.command()
def download(
    version: VersionArgument,
    out: Annotated[Path | None, typer.Option(help="the folder to write (default: one named like the version)")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Write a version's checkpoint, history and manifest into a folder, verified by SHA-256."""
    versions = _versions(home)
    name = named(versions, version)
    files = {"model.ckpt": versions.download_model(name),
             "training_history.json": json.dumps(versions.read_history(name), indent=1).encode(),
             "manifest.json": json.dumps(versions.read_manifest(name), indent=1, ensure_ascii=False).encode()}
    folder = out or Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        partial = folder / f".{file}.partial"
        partial.write_bytes(data)
        os.replace(partial, folder / file)
    print(json.dumps({"version": name, "folder": str(folder), "files": list(files)}) if as_json
          else f"{name} is in {folder}: {', '.join(files)}; the checkpoint's SHA-256 is that of its manifest")


@app.command()
def delete(
    version: VersionArgument, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Delete a version that neither answers, challenges nor is served. Its name is not given again."""
    from skin_platform.serving.exporting import read_promotion
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    versions = stores.versions
    name = named(versions, version)
    served = read_promotion(stores.settings.home.export)
    if not yes:
        typer.confirm(f"delete model version {name} for good?", abort=True, err=as_json)
    versions.delete_model_version(
        name, in_use={served.version: str(stores.settings.home.export)} if served else {}, by=account())
    print(json.dumps({"deleted": name}) if as_json else f"{name} is deleted")


@app.command()
def record(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell MLflow of trainings and promotions that it did not hear of, and let the export follow the champion."""
    from skin_platform.defs.checkpoints.recording import silence, tell_waiting
    from skin_platform.defs.registry.promoting import follow
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    waiting = {*stores.unrecorded.waiting("fit"), *stores.unrecorded.waiting("evaluation")}
    fault = silence(stores) if waiting else ""
    if fault:
        raise ValueError(f"{fault}; {len(waiting)} training(s) wait to be recorded")
    told = dict(tell_waiting(stores)) if waiting else {}
    behind: list[str] = []
    follow(stores, behind.append)
    if as_json:
        print(json.dumps({"recorded": told, "behind": behind}, ensure_ascii=False))
    else:
        for run_key, run_id in told.items():
            print(f"training {run_key} stands in the MLflow run {run_id}")
        for line in behind:
            print(line)
        if not told and not behind:
            print("nothing waits to be recorded; MLflow's registry and the export follow the champion")
    if behind:
        raise typer.Exit(1)


def _verdict(versions: "ModelVersions", version: str) -> str:
    """What was found when the version was judged last, in a word."""
    try:
        verdicts = json.loads(versions.read_file(version, "verdict.json"))["verdicts"]
    except KeyError:
        return "not judged"
    blocks = [verdict["gate"] for verdict in verdicts if verdict["blocks"]]
    return f"refused: {', '.join(blocks)}" if blocks else "no objection"


def _versions(home: Path | None) -> "ModelVersions":
    from skin_platform.storage.stores import Stores

    return Stores(settings_of(home)).versions


for command in (promoting.promote, promoting.rollback, promoting.judge, promoting.compare, promoting.history):
    app.command()(command)
