"""The asset ``checkpoints/evaluation``: what a checkpoint scores, and how sure it may be of itself."""

import json

import dagster as dg

from skin_platform.core.references import CheckpointReference, EvaluationReference
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.checkpoints.registering import register
from skin_platform.defs.checkpoints.showing import evaluation_report
from skin_platform.defs.resources import StoresResource


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
