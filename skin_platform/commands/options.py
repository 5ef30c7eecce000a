"""Options that many commands share, and the settings that they lead to."""

import os
from pathlib import Path
from typing import Annotated

import typer

from skin_platform.settings import Settings, load_settings

JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
HomeOption = Annotated[Path | None, typer.Option(help="where everything is kept (default: SKIN_HOME, else data/)")]


def settings_of(home: Path | None = None) -> Settings:
    """The settings with ``home`` in force, for this process and those that it starts."""
    settings = load_settings(**({"skin_home": home} if home else {}))
    # sensors, runs and the service that we start are to see the same home
    os.environ["SKIN_HOME"] = str(settings.home.root)
    os.environ["DAGSTER_HOME"] = str(settings.home.dagster)
    os.environ["BENTOML_HOME"] = str(settings.home.bentoml)
    return load_settings(skin_home=settings.home.root)
