"""The asset ``checkpoints/evaluation``: what a checkpoint scores, and how sure it may be of itself."""

import json

import dagster as dg

from skin_platform.core.intervals import with_interval
from skin_platform.core.references import CheckpointReference, EvaluationReference
from skin_platform.defs.checkpoints.assets import TRAINING_POOL
from skin_platform.defs.checkpoints.detecting import detection, detector_of
from skin_platform.defs.checkpoints.figures import figures_of
from skin_platform.defs.checkpoints.scoring import score
from skin_platform.defs.checkpoints.showing import evaluation_report
from skin_platform.defs.resources import StoresResource
from skin_platform.storage.evidence import dump_evidence


@dg.asset(
    key=["checkpoints", "evaluation"], group_name="checkpoints", owners=["team:ml"], kinds={"numpy"},
    ins={"checkpoint": dg.AssetIn(key=["checkpoints", "lesion_classifier"])}, pool=TRAINING_POOL,
)
def evaluation(
    context: dg.AssetExecutionContext, checkpoint: CheckpointReference, stores: StoresResource
) -> dg.MaterializeResult[EvaluationReference]:
    """What the checkpoint answers on the locked split that nothing was chosen by (on validation where there is none)."""
    from skin_platform.defs.checkpoints.recording import record_scores
    from skin_platform.ml.checkpoints import load_checkpoint

    opened = stores.open()
    loaded = load_checkpoint(opened.models.read(checkpoint.key, checkpoint.sha256))
    scores = score(loaded, checkpoint, opened, context.run_id)
    report = scores.report
    if not scores.openings:
        context.log.warning(_why_validation(checkpoint, scores.split))
    context.log.info("%s: accuracy %s, macro F1 %s on %d images", scores.split,
                     with_interval(report.accuracy, report.accuracy_interval),
                     with_interval(report.macro_f1, report.macro_f1_interval), report.n)
    run_key = checkpoint.run_key
    rows = opened.models.write(run_key, "predictions.parquet", dump_evidence(scores.evidence, [scores.split] * report.n))
    dataset, demands = opened.datasets.read(checkpoint.dataset.digest), opened.settings.dataset
    detector = detector_of(loaded, dataset, scores, opened, context.log.info)
    kept = opened.models.write(run_key, "ood.npz", detector.as_npz()) if detector else ("", "")
    stored = figures_of(scores, checkpoint, dataset, demands.gate_rules.subgroups, rows[1],
                        detection(detector, scores, demands.conformal.ood_level))
    key, sha256 = opened.models.write(run_key, "evaluation.json", json.dumps(stored, indent=1).encode())
    record_scores(opened, run_key, stored, context.log.warning)
    reference = EvaluationReference(
        checkpoint, key, sha256, *rows, scores.split, report.n, report.accuracy, report.accuracy_interval, report.macro_f1,
        report.macro_f1_interval, scores.calibration, *kept)
    return dg.MaterializeResult(value=reference, metadata=evaluation_report(scores, reference, stored))


def _why_validation(checkpoint: CheckpointReference, split: str) -> str:
    locked = checkpoint.dataset.locked_split
    why = f"the locked split '{locked}' is empty" if locked else "dataset.yaml locks no split"
    return f"scored on '{split}', because {why}: these images chose and calibrated, so that the score is a little too good"
