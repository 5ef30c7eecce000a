"""Tracking: what stands on the MLflow run of a checkpoint.

The model is logged as ONNX, which loads without running code, unlike a pickled module.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from mlflow import MlflowClient
from mlflow import onnx as mlflow_onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from skin_platform.core.references import CheckpointReference
from skin_platform.ml.checkpoints import load_checkpoint
from skin_platform.ml.evaluation import Report
from skin_platform.ml.export import INPUT, OUTPUT, to_onnx
from skin_platform.ml.fit import Fit


def track_fit(mlflow: Any, result: Fit, reference: CheckpointReference, checkpoint: bytes, curves: bytes) -> None:
    """Parameters, tags, label index, curves and the model with its signature on the active run, which ends with that."""
    mlflow.log_params(asdict(result.config) | {"train_images": dict(reference.dataset.images)})
    mlflow.set_tags({"dataset_digest": reference.dataset.digest, "checkpoint_sha256": reference.sha256,
                     "code_version": reference.code_version, "dagster_run_id": reference.dagster_run_id})
    mlflow.log_dict({str(i): label for i, label in enumerate(reference.dataset.labels)}, "class_index.json")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        path.write_bytes(curves)
        mlflow.log_artifact(str(path))
    _log_model(checkpoint, reference.sha256)
    mlflow.end_run()


def track_scores(uri: str, run_id: str, report: Report, stored: dict[str, Any]) -> None:
    """The evaluation on the run of its checkpoint, whichever Dagster run it was made in.

    Labels are numbered as in the label index: MLflow's metric names take few characters.
    """
    client = MlflowClient(tracking_uri=uri)
    scores = {"accuracy": report.accuracy, "macro_f1": report.macro_f1,
              **{f"recall_{i}": report.recall[label] for i, label in enumerate(report.labels)}}
    for name, value in scores.items():
        if value is not None:
            client.log_metric(run_id, f"evaluation_{name}", value)
    client.log_dict(run_id, stored, "evaluation.json")


def _log_model(checkpoint: bytes, sha256: str) -> None:
    loaded = load_checkpoint(checkpoint)
    size = loaded.preprocessing.size_px
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 3, size, size), INPUT)]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(loaded.labels)), OUTPUT)]))
    mlflow_onnx.log_model(
        onnx.load_from_string(to_onnx(loaded)), name="model", signature=signature, save_as_external_data=False,
        pip_requirements=["onnxruntime", "numpy"], metadata={"checkpoint_sha256": sha256})
