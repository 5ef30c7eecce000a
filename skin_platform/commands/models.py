"""`skin models`: the versions in the models bucket."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skin_platform.commands import promoting
from skin_platform.commands.judging import judge
from skin_platform.commands.listing import list_versions
from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.promoting import account
from skin_platform.commands.versions import VersionArgument, named

if TYPE_CHECKING:
    from skin_platform.storage.versions import ModelVersions

app = typer.Typer(no_args_is_help=True, help="The model versions: what they score, which one answers, and why.")


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
    from skin_platform.defs.registry.behind import behind_the_moves
    from skin_platform.defs.registry.promoting import follow
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    waiting = {*stores.unrecorded.waiting("fit"), *stores.unrecorded.waiting("evaluation")}
    fault = silence(stores) if waiting else ""
    if fault:
        raise ValueError(f"{fault}; {len(waiting)} training(s) wait to be recorded")
    told = dict(tell_waiting(stores)) if waiting else {}
    found, behind = behind_the_moves(stores), list[str]()
    follow(stores, behind.append)
    mended = {name: line for name, line in found.items() if name not in behind_the_moves(stores)}
    if as_json:
        print(json.dumps({"recorded": told, "mended": mended, "behind": behind}, ensure_ascii=False))
    else:
        for run_key, run_id in told.items():
            print(f"training {run_key} stands in the MLflow run {run_id}")
        for line in mended.values():
            print(f"mended: {line}")
        for line in behind:
            print(line)
        if not told and not behind and not mended:
            print("nothing waits to be recorded; MLflow's registry and the export follow the champion")
    if behind:
        raise typer.Exit(1)


def _versions(home: Path | None) -> "ModelVersions":
    from skin_platform.storage.stores import Stores

    return Stores(settings_of(home)).versions


app.command("list")(list_versions)
for command in (promoting.promote, promoting.rollback, judge, promoting.compare, promoting.history):
    app.command()(command)
