"""Showing: what the UI shows of a checkpoint and of its evaluation."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skin_platform.core.intervals import Interval, with_interval
from skin_platform.core.label_mix import left_out_note
from skin_platform.core.references import CheckpointReference, EvaluationReference
from skin_platform.defs.showing import picture, table

if TYPE_CHECKING:
    from skin_platform.core.report import Report
    from skin_platform.defs.checkpoints.scoring import Scores
    from skin_platform.ml.fit import Fit

COMPARED = ("judged", "too few to judge")  # with the other images; for the rest there are no others to speak of
SUBGROUP_COLUMNS = ("attribute", "value", "n", "groups", "standing", "accuracy", "expected", "gap", "coverage")


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


def evaluation_report(scores: "Scores", reference: EvaluationReference, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Pictures, the scores with their n and intervals, subgroups, calibration, coverage, digests."""
    from skin_platform.ml.pictures import confusion_matrix, reliability_diagram, roc_curves

    report, evidence, calibration, coverage = scores.report, scores.evidence, scores.calibration, stored["coverage"]
    title = f"{scores.split}, n = {report.n}"
    return {
        "confusion_matrix": picture(confusion_matrix(report.labels, report.confusion, title)),
        "roc": picture(roc_curves(evidence, title)), "reliability": picture(reliability_diagram(evidence, title)),
        "split": scores.split, "openings_of_the_locked_split": scores.openings, "n": report.n, "groups": report.groups,
        "accuracy": _short(report.accuracy), "accuracy_95": _figure(report.accuracy, report.accuracy_interval),
        "balanced_accuracy_95": _figure(report.balanced_accuracy, report.balanced_accuracy_interval),
        "macro_f1": _short(report.macro_f1), "macro_f1_95": _figure(report.macro_f1, report.macro_f1_interval),
        "chance": _short(1 / len(report.labels)), "brier_95": _figure(report.brier, report.brier_interval),
        "per_label": table(_per_label(report, coverage), ["label", "n", "recall", "precision", "auc", "coverage"]),
        "subgroups": table(_per_subgroup(stored["subgroups"]), list(SUBGROUP_COLUMNS)),
        "validation_accuracy_95": _figure(scores.validation.accuracy, scores.validation.accuracy_interval),
        "ece": _figure(report.ece, report.ece_interval),
        "ece_after_temperature_scaling": _figure(report.ece_scaled, report.ece_scaled_interval),
        "temperature": _short(calibration.temperature), "conformal_coverage": calibration.coverage,
        "conformal_thresholds": ", ".join(f"{label}: {threshold:.4f}" for label, threshold in
                                          zip(report.labels, calibration.thresholds, strict=True)),
        "coverage_95": _of_shares(coverage["overall"]), "mean_set_size": _short(coverage["mean_set_size"]),
        "coverage_assumes": coverage["assumption"], "calibration_images": calibration.images,
        **_detection(stored["ood"]),
        "checkpoint_sha256": reference.checkpoint.sha256, "dataset_digest": reference.checkpoint.dataset.digest,
        "report_sha256": reference.report_sha256, "evidence": reference.evidence_key,
        "evidence_sha256": reference.evidence_sha256,
    }


def _detection(ood: Mapping[str, Any]) -> dict[str, Any]:
    """The share of images like those learnt from that may be flagged as of another kind, and the one that was."""
    if ood["level_in_force"] is None:
        return {"flagged_as_of_another_kind": f"no detector: {ood['fewest']} validation images are needed"}
    return {"may_be_flagged_as_of_another_kind": _short(ood["level_in_force"]),
            "flagged_as_of_another_kind_95": _of_shares(ood["flagged"]) if ood["flagged"] else "no split is locked"}


def _per_label(report: "Report", coverage: Mapping[str, Any]) -> list[dict[str, str | int | None]]:
    return [{"label": label, "n": report.support[label], "auc": _figure(report.auc[label], report.auc_interval[label]),
             "recall": _figure(report.recall[label], report.recall_interval[label]),
             "precision": _figure(report.precision[label], report.precision_interval[label]),
             "coverage": _of_shares(coverage["labels"][label])} for label in report.labels]


def _per_subgroup(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str | int | None]]:
    def within(row: Mapping[str, Any], name: str) -> str | None:
        interval = row[f"{name}_interval"]
        return _figure(row[name], Interval(**interval) if interval else None)

    return [{"attribute": row["attribute"], "value": row["value"], "n": row["n"], "groups": row["groups"],
             "standing": row["standing"], "accuracy": within(row, "accuracy"), "coverage": within(row, "coverage"),
             "expected": _rounded(row["expected"]) if row["standing"] in COMPARED else None,
             "gap": _gap(row, within(row, "gap")) if row["standing"] in COMPARED else None} for row in rows]


def _gap(row: Mapping[str, Any], shown: str | None) -> str | None:
    """The gap, and which accuracy it is of where images had to be left out."""
    note = left_out_note(row["n"], row["left_out"], row["comparable_accuracy"])
    return f"{shown or 'none'}{note}" if note else shown


def _of_shares(part: Mapping[str, Any]) -> str | None:
    return with_interval(part["share"], Interval(part["low"], part["high"])) if part["n"] else None


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _figure(value: float | None, interval: Interval | None) -> str | None:
    return None if value is None else with_interval(value, interval)


def _short(value: float | None) -> float | None:
    """Four digits for people; the report in the store has them all."""
    return None if value is None else round(value, 4)
