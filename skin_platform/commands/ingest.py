"""`skin ingest`: the plan of what has landed, and the ingest itself."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer

TOOK_NOTHING, NOT_ALL = 2, 3  # exit codes


def ingest(
    config: Annotated[Path | None, typer.Option(help="the dataset.yaml to go by (default: the home's)")] = None,
    splits: Annotated[str | None, typer.Option(help="only files delivered into these splits: --splits train val")] = None,
    more_splits: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    source: Annotated[str | None, typer.Option(help="the folder, or s3://bucket/prefix (default: the landing folder)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and write nothing")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="end with 3 where anything was refused")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Judge what has landed and, without --dry-run, store and catalogue it as the assets do.

    Ends with 0 where something was taken or nothing new was there, with 2 where there were files and none was taken.
    """
    from skin_platform.ingesting import ingest_now, planned_outcome
    from skin_platform.planning import plan_ingest
    from skin_platform.storage.answering import wait_for_answer
    from skin_platform.telling import Teller, show_outcome, show_plan

    if config:
        os.environ["SKIN_DATASET_CONFIG"] = str(config.resolve())
    settings = settings_of(home)
    wanted = [split for split in (splits, *(more_splits or ())) if split]
    console = printer(stderr=as_json)
    if settings.s3_endpoint:
        wait_for_answer(settings.s3_endpoint, lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False))
    plan = plan_ingest(settings, source, wanted)
    show_plan(console, plan)
    outcome = planned_outcome(plan) if dry_run else ingest_now(settings, source, wanted, Teller(console).tell)
    show_outcome(console, outcome, is_plan=dry_run)
    if as_json:
        told = asdict(outcome) | {"refused": outcome.refused}
        print(json.dumps(plan.as_dict() | {"dry_run": dry_run, "outcome": told}, ensure_ascii=False))
    if outcome.took_nothing:
        raise typer.Exit(TOOK_NOTHING)
    if strict and (outcome.refused or outcome.remarks):
        raise typer.Exit(NOT_ALL)
