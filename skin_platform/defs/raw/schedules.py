"""Schedules of the room ``raw``: once a day, for those who rather stop the sensors."""

import dagster as dg

from skin_platform.defs.burying import bury_killed_runs
from skin_platform.defs.partitions import add_batches
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.raw.requests import requests_for
from skin_platform.defs.resources import StoresResource

MAX_BATCHES_PER_DAY = 200  # 400,000 files with the default SKIN_MAX_BATCH_FILES; the rest is asked for the day after


@dg.schedule(
    cron_schedule="@daily", job=ingest_batch, default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Claims what has settled in the landing folder and the landing bucket and asks for a run for each batch.",
)
def daily_landing(context: dg.ScheduleEvaluationContext, stores: StoresResource) -> list[dg.RunRequest] | dg.SkipReason:
    """What the landing sensors do at each look, once a day; stopped unless somebody starts it."""
    opened = stores.open()
    bury_killed_runs(context.instance, opened.settings.home.dagster)
    for place in (opened.place(), opened.landing_bucket):
        if place is not None:
            opened.claim(place.root)
    found = requests_for(context.instance, opened, MAX_BATCHES_PER_DAY)
    if not found.requests:
        return dg.SkipReason("nothing new and settled has landed"
                             + (f"; {found.given_up} batch(es) failed too often, see their runs" if found.given_up else ""))
    add_batches(context.instance, [str(request.partition_key) for request in found.requests])
    return found.requests
