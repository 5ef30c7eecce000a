"""Sensors of the room ``datasets``: notice that there is something new to learn from.

Level-triggered: what the catalogue holds is compared with what the newest version was trained on. An edge (an asset event) can
be lost while a run is busy; a difference stays until it is acted upon.
"""

import dagster as dg
from pydantic import TypeAdapter

from skin_platform.core.references import ModelVersionReference
from skin_platform.defs.burying import UNFINISHED
from skin_platform.defs.checkpoints.jobs import train_now
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores


@dg.sensor(
    job=train_now, default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=load_settings().check_interval_seconds,
    description="Asks for training when the catalogue holds other images than the newest version was trained on.",
)
def catalogue_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """One run for each state of the catalogue, once nothing is being ingested or trained."""
    opened = stores.open()
    state = opened.catalogue.state()
    if state is None or not state.trainable:
        return dg.SkipReason("the catalogue is empty")
    if state.trainable_digest == _trained_on(opened):
        return dg.SkipReason("the newest version was trained on what the catalogue holds")
    for job in (ingest_batch.name, train_now.name):
        if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
            return dg.SkipReason(f"{job} is running; looking again when it is through")
    return dg.SensorResult(run_requests=[dg.RunRequest(
        run_key=f"catalogue:{state.trainable_digest}", tags={"skin/catalogue": state.trainable_digest[:16]})])


def _trained_on(stores: Stores) -> str | None:
    """The digest of the catalogue that the newest version goes back to, promoted or refused; None before the first."""
    try:
        stored = stores.references.read(["registry", "model_version"])
    except KeyError:
        return None
    return TypeAdapter(ModelVersionReference).validate_python(stored).evaluation.checkpoint.dataset.catalogue_digest
