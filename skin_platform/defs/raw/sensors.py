"""Sensors of the room ``raw``: notice what was dropped into the landing folder.

The cursor is a short sentence for people; what was seen stands in the ledger, however many files there are.
"""

import dagster as dg

from skin_platform.defs.burying import bury_killed_walks
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import load_settings

MAX_BATCHES_PER_TICK = 20  # one tick plans at most this many runs; the queue admits 4 at a time


@dg.sensor(
    job=ingest_batch, default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=load_settings().check_interval_seconds,
    description="Claims settled new files in the landing folder as batches and asks for a run for each.",
)
def landing_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """A run for every claimed batch that is not in the catalogue and that nobody is bringing there."""
    opened = stores.open()
    bury_killed_walks(context.instance, opened.settings.home.dagster)
    claimed = opened.claim()
    waiting = opened.ledger.open_batches()[:MAX_BATCHES_PER_TICK]
    attempts = {batch_id: _attempts(context.instance, batch_id) for batch_id, _ in waiting}
    requests = [
        dg.RunRequest(run_key=f"{batch_id}:{digest[:16]}:{attempt}", partition_key=batch_id,
                      tags={"skin/batch": batch_id, "dagster/max_retries": "0"})
        for batch_id, digest in waiting
        if (attempt := attempts[batch_id]) is not None and attempt <= opened.settings.task_retries
    ]
    if not requests:
        given_up = sum(attempt is not None for attempt in attempts.values())
        return dg.SkipReason(f"nothing new and settled in {opened.settings.home.landing}"
                             + (f"; {given_up} batch(es) failed too often, see their runs" if given_up else ""))
    batch_ids = [request.partition_key for request in requests if request.partition_key]
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[BATCHES.build_add_request(batch_ids)],
        cursor=f"{len(claimed)} batch(es) claimed at the last delivery" if claimed else context.cursor,
    )


def _attempts(instance: dg.DagsterInstance, batch_id: str) -> int | None:
    """How many runs of the batch have ended without bringing it into the catalogue; None while one is under way.

    Level-triggered: a run that was killed, or met a store that was down, is asked for again, TASK_RETRIES times.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=ingest_batch.name, tags={"skin/batch": batch_id}))
    return None if any(not run.is_finished for run in runs) else len(runs)
