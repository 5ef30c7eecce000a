"""Registering: an evaluated checkpoint as a model version, with what its manifest says of it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from skin_platform.core.references import CheckpointReference
from skin_platform.storage.versions import ModelFacts, ModelVersions

if TYPE_CHECKING:
    from skin_platform.defs.checkpoints.scoring import Scores
    from skin_platform.ml.checkpoints import Checkpoint

OPTIMIZER = "AdamW"  # of ml.classifier, the only one


def register(
    versions: ModelVersions, data: bytes, loaded: "Checkpoint", reference: CheckpointReference, scores: "Scores"
) -> str:
    """Store the checkpoint ``data`` as a new version, or find the version that an evaluation like this has made; its name."""
    record, score = loaded.record, scores.report
    kept = record["metrics"]  # of the epoch whose weights these are
    facts = ModelFacts(
        architecture=record["config"]["backbone"], num_classes=len(loaded.labels), best_epoch=record["kept_epoch"],
        train_accuracy=kept["train_accuracy"], val_accuracy=scores.validation.accuracy, train_loss=kept["train_loss"],
        val_loss=kept["val_loss"], total_epochs=len(record["history"]), optimizer=OPTIMIZER,
        score={"split": scores.split, "n": score.n, "accuracy": score.accuracy, "macro_f1": score.macro_f1,
               "accuracy_interval": score.accuracy_interval and asdict(score.accuracy_interval)},
        dataset_digest=reference.dataset.digest,
        code_version=reference.code_version, dagster_run_id=reference.dagster_run_id, labels=loaded.labels,
        preprocessing=loaded.preprocessing.as_dict(),
        calibration=asdict(scores.calibration) | {"ece": score.ece, "ece_after_temperature_scaling": score.ece_scaled})
    return versions.upload_model(data, record["history"], facts)
