"""The asset ``checkpoints/evaluation``: what a checkpoint scores, and how sure it may be of itself."""

import json
from dataclasses import asdict

import dagster as dg

from skin_platform.core.intervals import with_interval
from skin_platform.core.references import CheckpointReference, EvaluationReference
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.checkpoints.registering import register
from skin_platform.defs.checkpoints.scoring import score
from skin_platform.defs.checkpoints.showing import evaluation_report
from skin_platform.defs.resources import StoresResource


@dg.asset(
    key=["checkpoints", "evaluation"], group_name="checkpoints", owners=["team:ml"], kinds={"torchmetrics"},
    ins={"checkpoint": dg.AssetIn(key=["checkpoints", "lesion_classifier"])}, pool=TRAINING_POOL,
)
def evaluation(
    context: dg.AssetExecutionContext, checkpoint: CheckpointReference, stores: StoresResource
) -> dg.MaterializeResult[EvaluationReference]:
    """What the checkpoint scores on the locked split that nothing was chosen by (on validation where there is none)."""
    from skin_platform.defs.checkpoints.recording import record_scores
    from skin_platform.ml.checkpoints import load_checkpoint

    opened = stores.open()
    data = opened.models.read(checkpoint.key, checkpoint.sha256)
    loaded = load_checkpoint(data)
    scores = score(loaded, checkpoint, opened, context.run_id)
    report = scores.report
    context.log.info("%s: accuracy %s, macro F1 %s on %d images", scores.split,
                     with_interval(report.accuracy, report.accuracy_interval),
                     with_interval(report.macro_f1, report.macro_f1_interval), report.n)
    stored = report.as_dict() | {
        "split": scores.split, "openings": scores.openings, "validation": scores.validation.as_dict(),
        "calibration": asdict(scores.calibration), "checkpoint_sha256": checkpoint.sha256,
        "dataset_digest": checkpoint.dataset.digest}
    run_key = checkpoint.run_key
    key, sha256 = opened.models.write(run_key, "evaluation.json", json.dumps(stored, indent=1).encode())
    record_scores(opened, run_key, stored, context.log.warning)
    reference = EvaluationReference(
        checkpoint, key, sha256, scores.split, report.n, report.accuracy, report.accuracy_interval, report.macro_f1,
        report.macro_f1_interval, scores.calibration)
    told = evaluation_report(scores, reference)
    told["model_version"] = register(opened.versions, data, loaded, checkpoint, scores)
    return dg.MaterializeResult(value=reference, metadata=told)


@dg.asset_check(asset=evaluation, description="Accuracy on the split that counts reaches PERFORMANCE_THRESHOLD.")
def accuracy_reaches_the_threshold(evaluation: EvaluationReference, stores: StoresResource) -> dg.AssetCheckResult:
    """A warning for now: what may be served is a person's decision until promotion is gated."""
    threshold = stores.open().settings.performance_threshold
    return dg.AssetCheckResult(
        passed=evaluation.accuracy >= threshold, severity=dg.AssetCheckSeverity.WARN,
        metadata={"accuracy": evaluation.accuracy, "threshold": threshold, "split": evaluation.split, "n": evaluation.n})
