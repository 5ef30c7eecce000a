"""The asset ``checkpoints/lesion_classifier``: training on a frozen dataset."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from skin_platform.core.references import CheckpointReference, DatasetReference
from skin_platform.defs.checkpoints.config import TrainConfig
from skin_platform.defs.checkpoints.ending import ended_well
from skin_platform.defs.checkpoints.images import training_rows
from skin_platform.defs.checkpoints.learning import learnt
from skin_platform.defs.checkpoints.progress import telling
from skin_platform.defs.checkpoints.scoring import calibrated
from skin_platform.defs.checkpoints.showing import checkpoint_report
from skin_platform.defs.resources import StoresResource, Tracking
from skin_platform.version import code_version

if TYPE_CHECKING:
    from skin_platform.ml.fit import Fit

TRAINING_POOL = "training"  # one machine trains one model at a time


@dg.asset(
    key=["checkpoints", "lesion_classifier"], group_name="checkpoints", owners=["team:ml"], kinds={"pytorch", "mlflow"},
    ins={"dataset": dg.AssetIn(key=["datasets", "version"])}, pool=TRAINING_POOL,
)
def lesion_classifier(
    context: dg.AssetExecutionContext, dataset: DatasetReference, config: TrainConfig, stores: StoresResource,
    mlflow: dg.ResourceParam[Tracking],
) -> dg.MaterializeResult[CheckpointReference]:
    """A classifier trained on one dataset version: the file `skin/models/<run id>/model.ckpt`, tracked in MLflow."""
    from skin_platform.defs.checkpoints.recording import Recorder
    from skin_platform.ml.backbones import preprocessing_of
    from skin_platform.ml.checkpoints import Checkpoint, dump_checkpoint
    from skin_platform.ml.pictures import training_curves

    opened = stores.open()
    recorder = Recorder(mlflow, opened, context.run_id, context.log.warning)
    train_rows, held_rows = training_rows(dataset, opened)
    with ended_well(context, opened.settings):
        settings = config.settings(opened.settings.dataset.backbone).resolved(len(train_rows))
        context.log.info("training %s on %d images (%d held back), %d epochs at most",
                         settings.backbone, len(train_rows), len(held_rows), settings.epochs)
        result = learnt((train_rows, held_rows), dataset, settings, opened, telling(context, recorder.epoch), context.log.info)
    provenance = {"dataset_digest": dataset.digest, "code_version": code_version(), "dagster_run_id": context.run_id,
                  "mlflow_run_id": recorder.run_id}
    preprocessing = preprocessing_of(settings)
    calibration = calibrated(Checkpoint(result.net, dataset.labels, preprocessing, {}), held_rows, opened)
    checkpoint = dump_checkpoint(result, dataset.labels, preprocessing, provenance, calibration)
    key, sha256 = opened.models.write(recorder.run_key, "model.ckpt", checkpoint)
    reference = _reference(result, dataset, key, sha256, provenance)
    recorded_in = recorder.finish(reference, asdict(result.config) | {"train_images": dict(dataset.images)}, result.history)
    told = checkpoint_report(result, replace(reference, mlflow_run_id=recorded_in), training_curves(result.history))
    return dg.MaterializeResult(value=replace(reference, mlflow_run_id=recorded_in), metadata=told)


def _reference(
    result: "Fit", dataset: DatasetReference, key: str, sha256: str, provenance: dict[str, str]
) -> CheckpointReference:
    from skin_platform.ml.backbones import weights_digest

    return CheckpointReference(
        key, sha256, weights_digest(result.net), dataset, provenance["code_version"], provenance["dagster_run_id"],
        provenance["mlflow_run_id"], datetime.now(UTC).isoformat())
