"""Tracking: what stands on the MLflow run of a checkpoint.

Here: telling MLflow of one fit, and of its evaluation. Not here: what happens while MLflow does not answer (``recording``).
The model is logged as ONNX, which loads without running code, unlike a pickled module. What learns and draws is imported where
it is needed: whoever only asks whether MLflow answers does not pay for it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from skin_platform.defs.tracking_database import experiment_in

METRICS_A_CALL = 1000  # MLflow's limit of log_batch
DATASET_DIGEST_CHARS = 36  # MLflow's limit; the whole digest is in the run's tags


@dataclass(frozen=True)
class FitRecord:
    """All that MLflow is to know of a fit, as plain values; ``run_id`` is empty until there is a run, times are Unix ms.

    ``told_epochs`` are those that the run has seen while they happened.
    """

    run_key: str
    run_id: str
    started_ms: int
    ended_ms: int
    params: Mapping[str, str]
    tags: Mapping[str, str]
    labels: Sequence[str]
    dataset: Mapping[str, str]
    history: Sequence[Mapping[str, float]]
    told_epochs: Sequence[int]
    checkpoint_key: str
    checkpoint_sha256: str


def new_run(uri: str, record: FitRecord) -> str:
    """Begin the run of a fit that is over; returns its id."""
    run = MlflowClient(tracking_uri=uri).create_run(
        experiment_in(uri), start_time=record.started_ms, tags=dict(record.tags), run_name="train_now")
    return str(run.info.run_id)


def tell_fit(uri: str, record: FitRecord, checkpoint: bytes) -> None:
    """Parameters, tags, dataset, epochs, label index, curves and the model on the run of ``record``, which ends with that.

    Telling the same twice changes nothing but the model, which is logged again.
    """
    from skin_platform.ml.pictures import training_curves

    client = MlflowClient(tracking_uri=uri)
    for part in _parts(_metrics(record)):
        client.log_batch(record.run_id, metrics=part)
    client.log_batch(record.run_id, params=[Param(name, value) for name, value in record.params.items()],
                     tags=[RunTag(name, value) for name, value in record.tags.items()])
    client.log_inputs(record.run_id, [DatasetInput(
        Dataset(name=record.dataset["name"], digest=record.dataset["digest"][:DATASET_DIGEST_CHARS], source_type="s3",
                source=record.dataset["source"], profile=record.dataset["profile"]),
        [InputTag("mlflow.data.context", "training")])])
    client.log_dict(record.run_id, {str(i): label for i, label in enumerate(record.labels)}, "class_index.json")
    _log_picture(client, record.run_id, "curves.png", training_curves([dict(row) for row in record.history]))
    _log_model(uri, record.run_id, checkpoint, record.checkpoint_sha256)
    client.set_terminated(record.run_id, "FINISHED", end_time=record.ended_ms)


def tell_scores(uri: str, run_id: str, stored: Mapping[str, Any]) -> None:
    """The evaluation on the run of its checkpoint, whichever Dagster run it was made in.

    Labels are numbered as in the label index: MLflow's metric names take few characters.
    """
    from skin_platform.ml.pictures import confusion_matrix

    client = MlflowClient(tracking_uri=uri)
    labels = stored["labels"]
    scores = {name: stored[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece", "ece_scaled")} | {
        f"recall_{i}": stored["recall"][label] for i, label in enumerate(labels)}
    for name, value in scores.items():
        if value is not None:
            client.log_metric(run_id, f"evaluation_{name}", value)
    client.set_tag(run_id, "evaluation_split", f"{stored['split']}, n = {stored['n']}")
    client.log_dict(run_id, dict(stored), "evaluation.json")
    _log_picture(client, run_id, "confusion_matrix.png",
                 confusion_matrix(labels, stored["confusion"], f"{stored['split']}, n = {stored['n']}"))


def _metrics(record: FitRecord) -> list[Metric]:
    """The epochs that the run has not seen, at the times when they ended."""
    found, at = [], float(record.started_ms)
    for row in record.history:
        at += 1000 * row["seconds"]
        step = int(row["epoch"])
        if step not in record.told_epochs:
            found += [Metric(name, value, int(at), step) for name, value in epoch_metrics(row).items()]
    return found


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """The figures of an epoch that are worth a curve."""
    return {name: float(value) for name, value in row.items() if name not in ("epoch", "epochs")}


def _parts(metrics: Sequence[Metric]) -> list[list[Metric]]:
    return [list(metrics[start:start + METRICS_A_CALL]) for start in range(0, len(metrics), METRICS_A_CALL)]


def _log_picture(client: MlflowClient, run_id: str, name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        client.log_artifact(run_id, str(path))


def _log_model(uri: str, run_id: str, checkpoint: bytes, sha256: str) -> None:
    import onnx
    from mlflow import onnx as mlflow_onnx

    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.export import FEATURES, INPUT, OUTPUT, to_onnx

    loaded = load_checkpoint(checkpoint)
    size = loaded.preprocessing.size_px
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 3, size, size), INPUT)]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(loaded.labels)), OUTPUT),
                        TensorSpec(np.dtype("float32"), (-1, loaded.net.head.linear.in_features), FEATURES)]))
    model = onnx.load_from_string(to_onnx(loaded))
    mlflow.set_tracking_uri(uri)
    active = mlflow.active_run()
    mine = active is not None and active.info.run_id == run_id
    with nullcontext() if mine else mlflow.start_run(run_id=run_id, nested=active is not None):
        mlflow_onnx.log_model(
            model, name="model", signature=signature, save_as_external_data=False,
            pip_requirements=["onnxruntime", "numpy"], metadata={"checkpoint_sha256": sha256})
