"""Recording: a training and its evaluation reach MLflow, while they happen where it answers and afterwards where it does not.

Here: what is kept until it was told, and who tells it. Not here: what is told (``tracking``).

MLflow is a record, not a part of the training: where it does not answer, the training goes on. What a fit has to tell is
kept in the models bucket before it is told, so that neither a dead server nor a killed process loses it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowException

from skin_platform.core.references import CheckpointReference, DatasetReference
from skin_platform.defs.checkpoints.tracking import FitRecord, epoch_metrics, new_run, tell_fit, tell_scores
from skin_platform.defs.resources import Tracking
from skin_platform.defs.tracking_database import experiment_in
from skin_platform.storage.stores import Stores

FAULTS = (MlflowException, OSError)  # MLflow's own, and those of the network and the file system under it


class Recorder:
    """The record of one fit. ``run_key`` names its folder of files: MLflow's run, or the Dagster run where there is none."""

    def __init__(self, tracking: Tracking, stores: Stores, dagster_run_id: str, warn: Callable[[str], None]) -> None:
        self._tracking, self._stores, self._warn = tracking, stores, warn
        self.run_id = tracking.run_id
        self.run_key = self.run_id or dagster_run_id
        self._started_ms, self._told, self._fault = int(time.time() * 1000), list[int](), tracking.fault
        if self._fault:
            warn(f"{_silent(stores, self._fault)}: training goes on, and what is to be recorded is kept until it can be told")

    def epoch(self, row: Mapping[str, float]) -> None:
        """Tell the figures of an epoch; the first failure ends the attempts, what is missing is told with the rest."""
        if self._fault or self._tracking.mlflow is None:
            return
        try:
            self._tracking.mlflow.log_metrics(epoch_metrics(row), step=int(row["epoch"]))  # type: ignore[attr-defined]
            self._told.append(int(row["epoch"]))
        except FAULTS as error:
            self._fault = _first_line(error)
            self._warn(f"{_silent(self._stores, self._fault)}: training goes on, and the rest is told afterwards")

    def finish(
        self, reference: CheckpointReference, params: Mapping[str, Any], history: Sequence[Mapping[str, float]]
    ) -> str:
        """Keep the record and tell it; returns MLflow's run id, empty where the record waits."""
        dataset = reference.dataset
        record = FitRecord(
            self.run_key, self.run_id, self._started_ms, int(time.time() * 1000),
            {name: str(value) for name, value in params.items()},
            {"dataset_digest": dataset.digest, "checkpoint_sha256": reference.sha256, "code_version": reference.code_version,
             "dagster_run_id": reference.dagster_run_id, "checkpoint": reference.key},
            dataset.labels, _dataset(dataset, self._stores), [dict(row) for row in history], self._told, reference.key,
            reference.sha256)
        self._stores.unrecorded.keep("fit", self.run_key, asdict(record))
        try:
            run_id = _tell_fit(self._stores, record)
            if self._tracking.mlflow is not None:
                self._tracking.mlflow.end_run()  # type: ignore[attr-defined]
            tell_waiting(self._stores)  # what earlier trainings could not
            return run_id
        except FAULTS as error:
            self._warn(f"{_silent(self._stores, _first_line(error))}: the record of this training waits in the models bucket; "
                       "the next training tells it, or the sensor unrecorded_sensor, or `skin models record`")
            return ""


def record_scores(stores: Stores, run_key: str, stored: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Keep an evaluation's figures and tell them to the run of their fit."""
    stores.unrecorded.keep("evaluation", run_key, stored)
    try:
        _tell_scores(stores, run_key)
    except FAULTS as error:
        warn(f"{_silent(stores, _first_line(error))}: these scores are told later, with `skin models record` at the latest")


def tell_waiting(stores: Stores) -> list[tuple[str, str]]:
    """Tell MLflow all that waits, fits before scores; returns (run key, MLflow run id) of what was told.

    Raises ``MlflowException`` or ``OSError`` where MLflow does not answer.
    """
    told = [(key, _tell_fit(stores, FitRecord(**stores.unrecorded.read("fit", key))))
            for key in stores.unrecorded.waiting("fit")]
    for key in stores.unrecorded.waiting("evaluation"):
        if _tell_scores(stores, key):
            told.append((key, stores.unrecorded.tracking_run(key) or ""))
    return told


def silence(stores: Stores) -> str:
    """Why MLflow cannot be told now; empty where it answers."""
    try:
        experiment_in(stores.settings.mlflow_uri)
    except FAULTS as error:
        return _silent(stores, _first_line(error))
    return ""


def _tell_fit(stores: Stores, record: FitRecord) -> str:
    uri = stores.settings.mlflow_uri
    if not record.run_id:
        record = replace(record, run_id=new_run(uri, record))
        stores.unrecorded.keep("fit", record.run_key, asdict(record))  # a second attempt goes on with this run
    tell_fit(uri, record, stores.models.read(record.checkpoint_key, record.checkpoint_sha256))
    stores.unrecorded.told("fit", record.run_key, record.run_id)
    return record.run_id


def _tell_scores(stores: Stores, run_key: str) -> bool:
    run_id = stores.unrecorded.tracking_run(run_key)
    if run_id is None:  # its fit waits, too, and comes first
        return False
    tell_scores(stores.settings.mlflow_uri, run_id, stores.unrecorded.read("evaluation", run_key))
    stores.unrecorded.told("evaluation", run_key, run_id)
    return True


def _dataset(dataset: DatasetReference, stores: Stores) -> dict[str, str]:
    """The dataset as MLflow lists it among a run's inputs."""
    counts = ", ".join(f"{split}: {images}" for split, images in dataset.images.items())
    return {"name": "datasets/version", "digest": dataset.digest,
            "source": f"s3://{stores.settings.s3_bucket_data}/{dataset.manifest_key}", "profile": counts}


def _silent(stores: Stores, fault: str) -> str:
    """Who does not answer and why, without the password that its address may hold."""
    uri = stores.settings.mlflow_uri
    secret = urlsplit(uri).netloc.rpartition("@")[0]
    told = f"MLflow at {uri} does not answer ({fault})"
    return told.replace(f"{secret}@", "") if secret else told


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
