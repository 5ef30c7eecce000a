"""Unrecorded: tells MLflow afterwards what it did not hear while it was down.

Here: the job and the sensor that notices. Not here: the telling (``recording``). Level-triggered: what waits in the bucket
is looked at, no event is waited for.
"""

import dagster as dg

from skin_platform.defs.burying import UNFINISHED
from skin_platform.defs.resources import StoresResource

INTERVAL_SECONDS = 60  # a look costs a listing of what waits, and a question to MLflow only where something does


@dg.op(description="Tell MLflow of the trainings and evaluations that wait in the models bucket.")
def tell_mlflow(context: dg.OpExecutionContext, stores: StoresResource) -> None:
    """Each fit that was told is observed on its asset with the MLflow run that it stands in now."""
    from skin_platform.defs.checkpoints.recording import tell_waiting

    for run_key, run_id in tell_waiting(stores.open()):
        context.log.info("%s stands in the MLflow run %s", run_key, run_id)
        context.log_event(dg.AssetObservation(["checkpoints", "lesion_classifier"],
                                              metadata={"run_key": run_key, "mlflow_run_id": run_id}))


@dg.job(description="Tell MLflow what it did not hear while it was down.")
def record_in_mlflow() -> None:
    """One op."""
    tell_mlflow()


@dg.sensor(
    job_name=record_in_mlflow.name,  # by name: Dagster would copy a sensor that holds an op job, with a warning about itself
    default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=INTERVAL_SECONDS,
    description="Notices records that wait for MLflow, and MLflow answering again.",
)
def unrecorded_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult | dg.SkipReason:
    """One run once MLflow answers, for all that waits."""
    opened = stores.open()
    if not opened.unrecorded.waiting("fit") and not opened.unrecorded.waiting("evaluation"):
        return dg.SkipReason("nothing waits for MLflow")
    for job in (record_in_mlflow.name, "train_now"):
        if context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
            return dg.SkipReason(f"{job} is running")
    from skin_platform.defs.checkpoints.recording import silence

    fault = silence(opened)
    if fault:
        return dg.SkipReason(fault)
    return dg.SensorResult(run_requests=[dg.RunRequest()])
