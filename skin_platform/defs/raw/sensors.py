"""Sensors of the room ``raw``: notice what was dropped into the landing folder, or below the landing bucket's prefix.

The cursor is a short sentence for people; what was seen stands in the ledger, however many files there are.
"""

from collections.abc import Callable

import dagster as dg

from skin_platform.defs.burying import bury_killed_runs
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.raw.requests import requests_for
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import load_settings
from skin_platform.storage.places import Place
from skin_platform.storage.stores import Stores

MAX_BATCHES_PER_TICK = 20  # one tick plans at most this many runs; the queue admits 4 at a time


@dg.sensor(
    job=ingest_batch, default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=load_settings().check_interval_seconds,
    description="Claims settled new files in the landing folder as batches and asks for a run for each.",
)
def landing_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """A run for every claimed batch that is not in the catalogue and that nobody is bringing there."""
    opened = stores.open()
    bury_killed_runs(context.instance, opened.settings.home.dagster)
    return _look(context, opened, opened.place(), lambda root: not _is_in(opened.landing_bucket, root))


@dg.sensor(
    job=ingest_batch, default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=load_settings().check_interval_seconds,
    description="Claims settled new objects below the landing prefix as batches and asks for a run for each; acts only where "
                "SKIN_LANDING_BUCKET is set.",
)
def landing_bucket_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """The same for what lands in S3; every batch is one sensor's, since run keys are remembered by sensor."""
    if not load_settings(skin_home=stores.home).skin_landing_bucket:
        return dg.SkipReason("nothing lands in S3: SKIN_LANDING_BUCKET is empty")
    opened = stores.open()
    place = opened.landing_bucket
    assert place is not None
    return _look(context, opened, place, lambda root: _is_in(place, root))


def _look(context: dg.SensorEvaluationContext, stores: Stores, place: Place, is_mine: Callable[[str], bool]
          ) -> dg.SensorResult | dg.SkipReason:
    claimed = stores.claim(place.root)
    found = requests_for(context.instance, stores, MAX_BATCHES_PER_TICK, is_mine)
    if not found.requests:
        return dg.SkipReason(f"nothing new and settled in {place.root}"
                             + (f"; {found.given_up} batch(es) failed too often, see their runs" if found.given_up else ""))
    return dg.SensorResult(
        run_requests=found.requests, dynamic_partitions_requests=[found.partitions],
        cursor=f"{len(claimed)} batch(es) claimed at the last delivery" if claimed else context.cursor,
    )


def _is_in(place: Place | None, root: str) -> bool:
    """Whether a batch came from ``place``."""
    return place is not None and root == place.root
