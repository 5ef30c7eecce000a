"""Assets of the room ``checkpoints``: the trained classifier and its evaluation."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.core.references import CheckpointReference, DatasetReference, EvaluationReference
from skin_platform.defs.checkpoints.config import TrainConfig
from skin_platform.defs.checkpoints.images import labelled_images, training_rows
from skin_platform.defs.checkpoints.registering import register
from skin_platform.defs.checkpoints.showing import checkpoint_report, evaluation_report
from skin_platform.defs.resources import StoresResource
from skin_platform.ml.config import ConfigError
from skin_platform.version import code_version

if TYPE_CHECKING:
    from skin_platform.ml.fit import Fit

TRAINING_POOL = "training"  # one machine trains one model at a time
TOLD_EPOCHS = 10  # lines of a run's log at INFO; every epoch is at DEBUG and in MLflow


@dg.asset(
    key=["checkpoints", "lesion_classifier"], group_name="checkpoints", owners=["team:ml"], kinds={"pytorch", "mlflow"},
    ins={"dataset": dg.AssetIn(key=["datasets", "version"])}, pool=TRAINING_POOL,
)
def lesion_classifier(
    context: dg.AssetExecutionContext, dataset: DatasetReference, config: TrainConfig, stores: StoresResource,
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult[CheckpointReference]:
    """A classifier trained on one dataset version: the file `skin/models/<run id>/model.ckpt`, tracked in MLflow."""
    from skin_platform.defs.checkpoints.tracking import track_fit
    from skin_platform.ml.checkpoints import dump_checkpoint
    from skin_platform.ml.fit import fit
    from skin_platform.ml.pictures import training_curves

    opened = stores.open()
    train_rows, held_rows = training_rows(dataset, opened)
    try:
        settings = config.settings().resolved(len(train_rows))
        preprocessing = Preprocessing(settings.image_size_px)
        train, held = (labelled_images(part, dataset.labels, preprocessing, opened.cache) for part in (train_rows, held_rows))
        context.log.info("training %s on %d images (%d held back), %d epochs at most",
                         settings.backbone, len(train_rows), len(held_rows), settings.epochs)
        result = fit(train, held, len(dataset.labels), settings, preprocessing, _teller(context, mlflow))
    except ConfigError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    provenance = {"dataset_digest": dataset.digest, "code_version": code_version(), "dagster_run_id": context.run_id,
                  "mlflow_run_id": mlflow.active_run().info.run_id}
    checkpoint = dump_checkpoint(result, dataset.labels, preprocessing, provenance)
    key, sha256 = opened.models.write(provenance["mlflow_run_id"], "model.ckpt", checkpoint)
    reference = _reference(result, dataset, key, sha256, provenance)
    curves = training_curves(result.history)
    track_fit(mlflow, result, reference, checkpoint, curves)
    return dg.MaterializeResult(value=reference, metadata=checkpoint_report(result, reference, curves))


@dg.asset(
    key=["checkpoints", "evaluation"], group_name="checkpoints", owners=["team:ml"], kinds={"torchmetrics"},
    ins={"checkpoint": dg.AssetIn(key=["checkpoints", "lesion_classifier"])}, pool=TRAINING_POOL,
)
def evaluation(
    context: dg.AssetExecutionContext, checkpoint: CheckpointReference, stores: StoresResource
) -> dg.MaterializeResult[EvaluationReference]:
    """What the checkpoint scores on the held-back split that it never saw, and how sure serving may be of itself."""
    from skin_platform.defs.checkpoints.tracking import track_scores
    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.evaluation import evaluate
    from skin_platform.ml.predictor import Predictor

    opened = stores.open()
    words = opened.settings.dataset
    data = opened.models.read(checkpoint.key, checkpoint.sha256)
    loaded = load_checkpoint(data)
    rows = [row for row in opened.datasets.read(checkpoint.dataset.digest) if row.split == words.validation_split]
    logits = Predictor(loaded).logits(opened.cache.fetch((row.sha256, row.s3_uri) for row in rows))
    report = evaluate(logits, [loaded.labels.index(row.label) for row in rows], loaded.labels, words.conformal_coverage)
    context.log.info("%s: accuracy %.3f, macro F1 %.3f on %d images", words.validation_split, report.accuracy,
                     report.macro_f1, report.n)
    stored = report.as_dict() | {"split": words.validation_split, "checkpoint_sha256": checkpoint.sha256,
                                 "dataset_digest": checkpoint.dataset.digest}
    run_id = checkpoint.mlflow_run_id
    key, sha256 = opened.models.write(run_id, "evaluation.json", json.dumps(stored, indent=1).encode())
    track_scores(opened.settings.mlflow_uri, run_id, report, stored)
    reference = EvaluationReference(checkpoint, key, sha256, report.accuracy, report.macro_f1, report.temperature,
                                    report.conformal_threshold, report.conformal_coverage)
    told = evaluation_report(report, reference, words.validation_split)
    told["model_version"] = register(opened.versions, data, loaded, checkpoint, report)
    return dg.MaterializeResult(value=reference, metadata=told)


@dg.asset_check(asset=evaluation, description="Accuracy on the held-back split reaches PERFORMANCE_THRESHOLD.")
def accuracy_reaches_the_threshold(evaluation: EvaluationReference, stores: StoresResource) -> dg.AssetCheckResult:
    """A warning for now: what may be served is a person's decision until promotion is gated."""
    threshold = stores.open().settings.performance_threshold
    return dg.AssetCheckResult(
        passed=evaluation.accuracy >= threshold, severity=dg.AssetCheckSeverity.WARN,
        metadata={"accuracy": evaluation.accuracy, "threshold": threshold})


def _teller(context: dg.AssetExecutionContext, mlflow: Any) -> Callable[[dict[str, float]], None]:
    """Tells the run's log and MLflow of each epoch."""

    def on_epoch(row: dict[str, float]) -> None:
        shown = row["epoch"] % max(1, row["epochs"] // TOLD_EPOCHS) == 0 or row["epoch"] in (1, row["epochs"])
        tell = context.log.info if shown else context.log.debug
        tell("epoch %d/%d: train loss %.3f, val loss %.3f, val accuracy %.3f, %.0f images/s", row["epoch"], row["epochs"],
             row["train_loss"], row["val_loss"], row["val_accuracy"], row["images_per_second"])
        mlflow.log_metrics({name: value for name, value in row.items() if name != "epochs"}, step=int(row["epoch"]))

    return on_epoch


def _reference(
    result: "Fit", dataset: DatasetReference, key: str, sha256: str, provenance: dict[str, str]
) -> CheckpointReference:
    from skin_platform.ml.backbones import weights_digest

    return CheckpointReference(
        key, sha256, weights_digest(result.net), dataset, provenance["code_version"], provenance["dagster_run_id"],
        provenance["mlflow_run_id"], datetime.now(UTC).isoformat())
