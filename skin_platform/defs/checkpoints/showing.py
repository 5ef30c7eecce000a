"""Showing: what the UI shows of a checkpoint and of its evaluation."""

from typing import TYPE_CHECKING, Any

from skin_platform.core.intervals import Interval, with_interval
from skin_platform.core.references import CheckpointReference, EvaluationReference
from skin_platform.defs.showing import picture, table

if TYPE_CHECKING:
    from skin_platform.defs.checkpoints.scoring import Scores
    from skin_platform.ml.fit import Fit


def checkpoint_report(result: "Fit", reference: CheckpointReference, curves: bytes) -> dict[str, Any]:
    """Curves, digests, and the figures of the epoch whose weights were kept."""
    kept = result.history[result.kept_epoch - 1]
    return {
        "curves": picture(curves), "checkpoint_sha256": reference.sha256, "weights_sha256": reference.weights_sha256,
        "dataset_digest": reference.dataset.digest, "mlflow_run_id": reference.mlflow_run_id, "object": reference.key,
        "code_version": reference.code_version, "backbone": result.config.backbone,
        "backbone_digest": result.backbone_digest, "epochs": len(result.history), "kept_epoch": result.kept_epoch,
        "chosen_by": result.chosen_by or "nothing: the last epoch", "ended_by": result.ended_by,
        "seconds": round(result.seconds, 1),
        **{name: _short(kept[name]) for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy")},
    }


def evaluation_report(scores: "Scores", reference: EvaluationReference) -> dict[str, Any]:
    """The confusion matrix, the scores with their n and intervals, the calibration, and the digests."""
    from skin_platform.ml.pictures import confusion_matrix

    report, calibration = scores.report, scores.calibration
    per_label = [{"label": label, "n": report.support[label], "auc": _short(report.auc[label]),
                  "recall": _figure(report.recall[label], report.recall_interval[label])} for label in report.labels]
    return {
        "confusion_matrix": picture(confusion_matrix(report.labels, report.confusion, f"{scores.split}, n = {report.n}")),
        "split": scores.split, "openings_of_the_locked_split": scores.openings, "n": report.n, "groups": report.groups,
        "accuracy": _short(report.accuracy), "accuracy_95": _figure(report.accuracy, report.accuracy_interval),
        "balanced_accuracy_95": _figure(report.balanced_accuracy, report.balanced_accuracy_interval),
        "macro_f1": _short(report.macro_f1), "macro_f1_95": _figure(report.macro_f1, report.macro_f1_interval),
        "chance": _short(1 / len(report.labels)), "per_label": table(per_label, ["label", "n", "recall", "auc"]),
        "validation_accuracy_95": _figure(scores.validation.accuracy, scores.validation.accuracy_interval),
        "ece": _short(report.ece), "ece_after_temperature_scaling": _short(report.ece_scaled),
        "temperature": _short(calibration.temperature), "conformal_coverage": calibration.coverage,
        "conformal_thresholds": [_short(threshold) for threshold in calibration.thresholds],
        "calibration_images": calibration.images,
        "checkpoint_sha256": reference.checkpoint.sha256, "dataset_digest": reference.checkpoint.dataset.digest,
        "report_sha256": reference.report_sha256,
    }


def _figure(value: float | None, interval: Interval | None) -> str | None:
    return None if value is None else with_interval(value, interval)


def _short(value: float | None) -> float | None:
    """Four digits for people; the report in the store has them all."""
    return None if value is None else round(value, 4)
