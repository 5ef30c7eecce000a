"""Sensors of the room ``metadata``: notice batches without features of the backbone in force.

Level-triggered, like the others: the batches in the catalogue are compared with those that were gone through for this line of
``dataset.yaml``. A lost event loses nothing, and another backbone has all batches asked for again, bit by bit.
"""

from collections import Counter

import dagster as dg

from skin_platform.defs.burying import UNFINISHED
from skin_platform.defs.checkpoints.jobs import train_now
from skin_platform.defs.features import configured_recipe
from skin_platform.defs.metadata.embeddings import embed_batch
from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores

MAX_AT_ONCE = 2  # one computes, one waits in its pool; more would take the places of ingest runs in the queue
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.sensor(
    job=embed_batch, default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=load_settings().check_interval_seconds,
    description="Asks for the features of catalogued batches that the backbone of dataset.yaml has not seen.",
)
def embeddings_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """A few runs at a time, once nothing is being ingested or trained: those go first."""
    opened = stores.open()
    recipe = configured_recipe(opened.settings)
    left = _batches_left(opened, recipe)
    if not left:
        return dg.SkipReason("all catalogued batches have features")
    for job in (ingest_batch.name, train_now.name):
        if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
            return dg.SkipReason(f"{job} is running; looking again when it is through")
    failed = Counter(_batches_of(context.instance, recipe, ENDED_BADLY))
    busy = _batches_of(context.instance, recipe, UNFINISHED)
    wanted = [batch for batch in left if batch not in busy and failed[batch] <= opened.settings.task_retries]
    asked = wanted[:max(0, MAX_AT_ONCE - len(busy))]
    if not asked:
        given_up = sum(failed[batch] > opened.settings.task_retries for batch in left)
        return dg.SkipReason(f"{len(busy)} batch(es) are being embedded, {given_up} failed too often, see their runs")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(
            run_key=f"{batch}:{recipe}:{failed[batch]}", partition_key=batch,
            tags={"skin/batch": batch, "skin/backbone": recipe, "dagster/max_retries": "0"}) for batch in asked],
        dynamic_partitions_requests=[BATCHES.build_add_request(asked)])


def _batches_left(stores: Stores, recipe: str) -> list[str]:
    """The catalogued batches that were not gone through for ``recipe``, in order."""
    digest = stores.embeddings.digest_of(recipe)
    done = stores.embeddings.closed_batches(digest) if digest else set()
    done |= {batch.batch_id for batch in stores.ledger.open_batches()}  # these are not in the catalogue yet
    return [batch for batch in (key.split("/")[1] for key in stores.batches.manifest_keys()) if batch not in done]


def _batches_of(instance: dg.DagsterInstance, recipe: str, statuses: list[dg.DagsterRunStatus]) -> list[str]:
    """The batch of every run for ``recipe`` in one of these states."""
    runs = instance.get_runs(dg.RunsFilter(job_name=embed_batch.name, tags={"skin/backbone": recipe}, statuses=statuses))
    return [run.tags["skin/batch"] for run in runs]
