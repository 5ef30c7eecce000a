"""`skin ingest`: the plan of what has landed, and the ingest itself."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from skin_platform.commands.options import HomeOption, JsonOption, settings_of


def ingest(
    config: Annotated[Path | None, typer.Option(help="the dataset.yaml to go by (default: the home's)")] = None,
    splits: Annotated[str | None, typer.Option(help="only files delivered into these splits: --splits train val")] = None,
    more_splits: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    source: Annotated[str | None, typer.Option(help="the folder, or s3://bucket/prefix (default: the landing folder)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and write nothing")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Judge what has landed and, without --dry-run, store and catalogue it as the assets do."""
    from skin_platform.ingesting import ingest_now, plan_ingest
    from skin_platform.telling import Teller, show_plan

    if config:
        os.environ["SKIN_DATASET_CONFIG"] = str(config.resolve())
    settings = settings_of(home)
    wanted = [split for split in (splits, *(more_splits or ())) if split]
    console = Console(stderr=as_json)
    plan = plan_ingest(settings, source, wanted)
    show_plan(console, plan)
    if not dry_run:
        ingest_now(settings, source, wanted, Teller(console).tell)
    if as_json:
        print(json.dumps(plan.as_dict() | {"dry_run": dry_run}, ensure_ascii=False))
