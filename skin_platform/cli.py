"""The command line: `skin …`, one short function a command; each calls what the assets call."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skin_platform.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Lesion images from a folder to an HTTP answer, as one Dagster asset graph.")
PLANTS = ("duplicates", "near-duplicates", "wrong-labels", "corrupt", "exif", "drift", "shortcut")
USUAL_SHARE = "0.05"
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
PLANT = partial(typer.Option, metavar="[SHARE]")
HomeOption = Annotated[Path | None, typer.Option(help="where everything is kept (default: SKIN_HOME, else data/)")]


def main() -> None:
    """Run the command; an error that a person can mend is one line, not a traceback."""
    from skin_platform.lineage import LineageError

    try:
        app(args=with_default_shares(sys.argv[1:]))
    except KeyboardInterrupt:
        Console(stderr=True).print("[bold red]interrupted[/]: nothing is lost; the same command goes on from here")
        sys.exit(130)
    except (LineageError, OSError, ValueError, RuntimeError) as error:
        message = str(error) or type(error).__name__
        Console(stderr=True).print(f"[bold red]error[/]: {escape(message)}", highlight=False, soft_wrap=True)
        sys.exit(1)


def with_default_shares(arguments: list[str]) -> list[str]:
    """The arguments of `skin generate` with the usual share behind each planting option that stands alone."""
    if arguments[:1] != ["generate"]:
        return arguments
    filled: list[str] = []
    for position, argument in enumerate(arguments):
        filled.append(argument)
        following = arguments[position + 1] if position + 1 < len(arguments) else "--"
        if argument.removeprefix("--") in PLANTS and following.startswith("--"):
            filled.append(USUAL_SHARE)
    return filled


def _settings(home: Path | None = None) -> Settings:
    settings = load_settings(**({"skin_home": home} if home else {}))
    # sensors, runs and the service that we start are to see the same home
    os.environ["SKIN_HOME"] = str(settings.home.root)
    os.environ["DAGSTER_HOME"] = str(settings.home.dagster)
    os.environ["BENTOML_HOME"] = str(settings.home.bentoml)
    return load_settings(skin_home=settings.home.root)


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="a folder of labelled images; default: a synthetic delivery")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
    epochs: Annotated[int, typer.Option(min=0, help="passes over the images; 0: as many as learn something in minutes")] = 0,
) -> None:
    """Walk a delivery from landing to an HTTP answer and show its trace."""
    from skin_platform.demo import run_demo
    from skin_platform.telling import Teller, show_story

    console = Console(stderr=as_json)
    started = time.monotonic()
    story = run_demo(data, _settings(home), Teller(console).tell, {"epochs": epochs})
    show_story(console, story, time.monotonic() - started)
    if as_json:
        print(json.dumps(vars(story), ensure_ascii=False, default=str))


@app.command("home")
def show_home(home: HomeOption = None) -> None:
    """Prepare SKIN_HOME (folders, dataset.yaml, Dagster's instance file) and print where it is."""
    from skin_platform.storage.stores import prepare_home

    settings = _settings(home)
    prepare_home(settings)
    print(settings.home.root)


@app.command()
def dev(
    home: HomeOption = None, port: Annotated[int, typer.Option(help="port of the Dagster UI")] = 3000,
) -> None:
    """Start `dagster dev` on SKIN_HOME: the UI, the sensors, the runs."""
    from skin_platform.defs.burying import hold_daemon_place
    from skin_platform.defs.walk import instance_in
    from skin_platform.storage.stores import DAGSTER_YAML, prepare_home

    settings = _settings(home)
    prepare_home(settings)
    with instance_in(settings.home.dagster) as instance:
        hold_daemon_place(instance, settings.home.dagster)
    workspace = DAGSTER_YAML.parents[2] / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    print(f"drop deliveries into {settings.home.landing}; the UI is http://127.0.0.1:{port}", flush=True)
    os.execv(sys.executable, command)


@app.command()
def serve(home: HomeOption = None, port: Annotated[int | None, typer.Option(help="default: API_PORT, 8000")] = None) -> None:
    """Serve the current bundle over HTTP."""
    from skin_platform.serving.launch import check_port_is_free, current_tag, serve_command, serve_environment

    settings = _settings(home)
    tag = current_tag(settings.home.export)
    port = port or settings.api_port
    check_port_is_free(settings.api_host, port)
    print(f"serving {tag} at http://{settings.api_host}:{port} (docs: /docs)", flush=True)
    os.execve(sys.executable, serve_command(tag, settings.api_host, port), serve_environment(settings.home.root))


@app.command()
def mlflow(home: HomeOption = None, port: Annotated[int, typer.Option(help="port of the MLflow UI")] = 5000) -> None:
    """Open MLflow's UI on the runs of SKIN_HOME."""
    settings = _settings(home)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", settings.mlflow_uri, "--host", "127.0.0.1",
               "--port", str(port)]
    os.execv(sys.executable, command)


@app.command()
def ingest(
    config: Annotated[Path | None, typer.Option(help="the dataset.yaml to go by (default: the home's)")] = None,
    splits: Annotated[str | None, typer.Option(help="only files delivered into these splits: --splits train val")] = None,
    more_splits: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    source: Annotated[Path | None, typer.Option(help="the folder to ingest (default: the landing folder)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and write nothing")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Judge what has landed and, without --dry-run, store and catalogue it as the assets do."""
    from skin_platform.ingesting import ingest_now, plan_ingest
    from skin_platform.telling import Teller, show_plan

    if config:
        os.environ["SKIN_DATASET_CONFIG"] = str(config.resolve())
    settings = _settings(home)
    wanted = [split for split in (splits, *(more_splits or ())) if split]
    console = Console(stderr=as_json)
    plan = plan_ingest(settings, source, wanted)
    show_plan(console, plan)
    if not dry_run:
        ingest_now(settings, source, wanted, Teller(console).tell)
    if as_json:
        print(json.dumps(plan.as_dict() | {"dry_run": dry_run}, ensure_ascii=False))


@app.command()
def quarantine(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the files that were refused, by name, each with its reason."""
    from skin_platform.storage.stores import Stores

    rows = list(Stores(_settings(home)).batches.quarantined())
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("batch", "file", "reason", title=f"{len(rows)} file(s) in quarantine")
    for row in rows:
        table.add_row(row["batch_id"], row["file"], row["reason"])
    Console().print(table)


@app.command()
def trace(
    prediction_id: Annotated[str, typer.Argument(help="the prediction_id of an answer of /predict")],
    manifest: Annotated[bool, typer.Option("--manifest", help="print only the dataset's canonical manifest; its SHA-256 "
                                           "(pipe it into sha256sum) is the dataset digest")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Follow a prediction to its bundle, checkpoint, dataset, images and code."""
    from skin_platform.lineage import trace_prediction
    from skin_platform.telling import show_trace

    found, images = trace_prediction(prediction_id, _settings(home))
    if manifest:
        sys.stdout.write(images.manifest)
    elif as_json:
        print(json.dumps(found.as_dict() | {"training": [vars(row) for row in images.training]}, ensure_ascii=False))
    else:
        show_trace(Console(), found, images)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="JPEG or PNG files")],
    url: Annotated[str | None, typer.Option(help="the service (default: API_BASE_URL)")] = None,
    top_k: Annotated[int, typer.Option(help="how many labels")] = 3, as_json: JsonOption = False,
) -> None:
    """Ask a running service about images."""
    from skin_platform.client import SkinClient

    settings = load_settings()
    with SkinClient(url or settings.api_base_url, settings.api_key.get_secret_value()) as client:
        for path in images:
            answer = client.predict(path, top_k)
            shown: Any = json.dumps({"file": str(path)} | answer, ensure_ascii=False) if as_json else (
                f"{path}: " + ", ".join(f"{item['label']} {item['probability']:.2f}" for item in answer["top_k"]))
            print(shown)


@app.command()
def generate(
    out: Annotated[Path, typer.Option(help="an empty or new folder")],
    images: Annotated[int, typer.Option(help="files to write")] = 240,
    patients: Annotated[int, typer.Option(help="patients that they show")] = 80,
    labels: Annotated[str, typer.Option(help="comma-separated")] = "irregular,mottled,plain",
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
    size: Annotated[int, typer.Option(help="side in pixels, 224 or more")] = 256,
    duplicates: Annotated[float, PLANT(help="byte-identical copies")] = 0,
    near_duplicates: Annotated[float, PLANT(help="re-encoded, turned, mirrored, cropped copies")] = 0,
    wrong_labels: Annotated[float, PLANT(help="labels that are not the truth")] = 0,
    corrupt: Annotated[float, PLANT(help="empty, cut and mistyped files")] = 0,
    exif: Annotated[float, PLANT(help="orientation, GPS and camera in EXIF")] = 0,
    drift: Annotated[float, PLANT(help="late patients on another device")] = 0,
    shortcut: Annotated[float, PLANT(help="markers that go with the first label")] = 0,
) -> None:
    """Write synthetic lesion photographs and a manifest.csv that says what was planted.

    A planting option takes a share (0.05), a count (12), or nothing: then 0.05.
    """
    from skin_platform.synthetic.generate import generate as write
    from skin_platform.synthetic.world import World

    planted = {"duplicates": duplicates, "near_duplicates": near_duplicates, "wrong_labels": wrong_labels,
               "corrupt": corrupt, "exif": exif, "drift": drift, "shortcut": shortcut}
    shares = {name: value / images if value > 1 else value for name, value in planted.items()}
    names = tuple(label.strip() for label in labels.split(","))
    rows = write(World(images=images, patients=patients, labels=names, seed=seed, size_px=size, **shares), out)
    print(f"{len(rows)} files of {patients} patients in {out}; {out / 'manifest.csv'} says what was planted")
