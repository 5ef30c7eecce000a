"""The command line: `skin …`, one short function a command; each calls what the assets call."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from skin_platform import ending
from skin_platform.commands import (
    catalogue,
    conflicts,
    database,
    datasets,
    generate,
    ingest,
    keys,
    models,
    predict,
    quarantine,
    rebuild,
    replay,
    review,
    serve,
    trace,
    verify,
)
from skin_platform.commands.generate import with_default_shares
from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.remedies import NamingFiles
from skin_platform.printing import printer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Lesion images from a folder to an HTTP answer, as one Dagster asset graph.")


def main() -> None:
    """Run the command; an error that a person can mend is one line, not a traceback."""
    sys.exit(ending.run(lambda: app(args=with_default_shares(sys.argv[1:]))))


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="a folder of labelled images; default: a synthetic delivery")] = None,
    home: HomeOption = None, as_json: JsonOption = False,
    epochs: Annotated[int, typer.Option(min=0, help="passes over the images; 0: as many as learn something in minutes")] = 0,
) -> None:
    """Walk a delivery from landing to an HTTP answer and show its trace."""
    from skin_platform.demo import run_demo
    from skin_platform.telling import Teller, show_story

    console = printer(stderr=as_json)
    started = time.monotonic()
    story = run_demo(data, settings_of(home), Teller(console).tell, {"epochs": epochs})
    show_story(console, story, time.monotonic() - started)
    if as_json:
        print(json.dumps(vars(story), ensure_ascii=False, default=str))


@app.command("home")
def show_home(home: HomeOption = None) -> None:
    """Prepare SKIN_HOME (folders, dataset.yaml, Dagster's instance file) and print where it is."""
    from skin_platform.storage.stores import prepare_home

    settings = settings_of(home)
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

    settings = settings_of(home)
    prepare_home(settings)
    with instance_in(settings.home.dagster) as instance:
        hold_daemon_place(instance, settings.home.dagster)
    workspace = DAGSTER_YAML.parents[2] / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    print(f"drop deliveries into {settings.home.landing}; the UI is http://127.0.0.1:{port}", flush=True)
    os.execv(sys.executable, command)


@app.command()
def mlflow(home: HomeOption = None, port: Annotated[int, typer.Option(help="port of the MLflow UI")] = 5000) -> None:
    """Open MLflow's UI on the runs of SKIN_HOME."""
    settings = settings_of(home)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", settings.mlflow_uri, "--host", "127.0.0.1",
               "--port", str(port)]
    os.execv(sys.executable, command)


app.command(cls=NamingFiles)(predict.predict)
app.command()(serve.serve)
app.command()(replay.replay)
app.command()(trace.trace)
app.command()(ingest.ingest)
app.add_typer(quarantine.app, name="quarantine")
app.command()(conflicts.conflicts)
app.command()(conflicts.resolve)
app.command()(catalogue.catalogue)
app.command()(rebuild.rebuild)
app.command()(generate.generate)
app.command()(verify.verify)
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="datasets")
app.add_typer(review.app, name="review")
app.add_typer(keys.app, name="keys")
app.add_typer(database.app, name="database")
