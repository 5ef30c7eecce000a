"""Registering: an evaluated checkpoint as a model version, with what its manifest says of it."""

from typing import TYPE_CHECKING

from skin_platform.core.references import CheckpointReference
from skin_platform.storage.versions import ModelFacts, ModelVersions

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint
    from skin_platform.ml.evaluation import Report

OPTIMIZER = "AdamW"  # of ml.classifier, the only one


def register(
    versions: ModelVersions, data: bytes, loaded: "Checkpoint", reference: CheckpointReference, report: "Report"
) -> str:
    """Store the checkpoint ``data`` as a new version, or find the version that an evaluation like this has made; its name."""
    history = loaded.record["history"]
    last = history[-1]  # the weights of the last epoch are kept, whatever the others scored
    facts = ModelFacts(
        architecture=loaded.record["config"]["backbone"], num_classes=len(loaded.labels), best_epoch=int(last["epoch"]),
        train_accuracy=last["train_accuracy"], val_accuracy=report.accuracy, train_loss=last["train_loss"],
        val_loss=last["val_loss"], total_epochs=len(history), optimizer=OPTIMIZER, dataset_digest=reference.dataset.digest,
        code_version=reference.code_version, dagster_run_id=reference.dagster_run_id, labels=loaded.labels,
        preprocessing=loaded.preprocessing.as_dict(),
        calibration={"temperature": report.temperature, "ece": report.ece, "ece_after_temperature_scaling": report.ece_scaled,
                     "conformal_coverage": report.conformal_coverage, "conformal_threshold": report.conformal_threshold,
                     "images": report.n})
    return versions.upload_model(data, history, facts)
