"""`skin models`: the versions in the models bucket."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.core.intervals import Interval, with_interval

if TYPE_CHECKING:
    from skin_platform.storage.versions import ModelVersions

app = typer.Typer(no_args_is_help=True, help="The model versions in the models bucket, and what MLflow knows of them.")
VersionArgument = Annotated[str, typer.Argument(help="vYYYYMMDD_HHMMSS, or latest")]


@app.command("list")
def list_versions(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the model versions, newest first."""
    found = _versions(home).described()
    if as_json:
        print(json.dumps([item.manifest | {"aliases": item.aliases} for item in found], ensure_ascii=False))
        return
    table = Table("version", "accuracy (95 %)", "on", "dataset", "alias")  # the rest is in --json: 80 columns hold no more
    for item in found:
        told, score = item.manifest, item.manifest["score"]
        interval = Interval(**score["accuracy_interval"]) if score["accuracy_interval"] else None
        table.add_row(item.version, with_interval(score["accuracy"], interval), f"{score['split']}, n = {score['n']}",
                      told["dataset_digest"][:12], ", ".join(item.aliases))
    Console().print(table if found else "no model version yet: `skin demo`, or the job train_now, makes one")


@app.command()
def download(
    version: VersionArgument,
    out: Annotated[Path | None, typer.Option(help="the folder to write (default: one named like the version)")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Write a version's checkpoint, history and manifest into a folder, verified by SHA-256."""
    versions = _versions(home)
    name = _named(versions, version)
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
    """Delete a version that no alias names. Its name is not given again; the training run's own files stay."""
    versions = _versions(home)
    name = _named(versions, version)
    if not yes:
        typer.confirm(f"delete model version {name} for good?", abort=True, err=as_json)
    versions.delete_model_version(name)
    print(json.dumps({"deleted": name}) if as_json else f"{name} is deleted")


@app.command()
def record(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell MLflow of the trainings that it did not hear of while it was down."""
    from skin_platform.defs.checkpoints.recording import silence, tell_waiting
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    waiting = {*stores.unrecorded.waiting("fit"), *stores.unrecorded.waiting("evaluation")}
    fault = silence(stores) if waiting else ""
    if fault:
        raise ValueError(f"{fault}; {len(waiting)} training(s) wait to be recorded")
    told = dict(tell_waiting(stores)) if waiting else {}
    if as_json:
        print(json.dumps({"recorded": told}))
        return
    for run_key, run_id in told.items():
        print(f"training {run_key} stands in the MLflow run {run_id}")
    if not told:
        print("nothing waits to be recorded")


def _versions(home: Path | None) -> "ModelVersions":
    from skin_platform.storage.stores import Stores

    return Stores(settings_of(home)).versions


def _named(versions: "ModelVersions", version: str) -> str:
    """The version that is meant; raises ``ValueError`` where there is none."""
    found = versions.get_latest_version() if version == "latest" else version
    if found is None or found not in versions.list_model_versions():
        raise ValueError(f"there is no model version {version}: `skin models list` shows those that there are")
    return found
