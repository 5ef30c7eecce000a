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
    history = loaded.record["history"]
    last = history[-1]  # the weights of the last epoch are kept, whatever the others scored
    facts = ModelFacts(
        architecture=loaded.record["config"]["backbone"], num_classes=len(loaded.labels), best_epoch=int(last["epoch"]),
        train_accuracy=last["train_accuracy"], val_accuracy=scores.validation.accuracy, train_loss=last["train_loss"],
        val_loss=last["val_loss"], total_epochs=len(history), optimizer=OPTIMIZER, dataset_digest=reference.dataset.digest,
        code_version=reference.code_version, dagster_run_id=reference.dagster_run_id, labels=loaded.labels,
        preprocessing=loaded.preprocessing.as_dict(),
        calibration=asdict(scores.calibration) | {"ece": scores.report.ece,
                                                  "ece_after_temperature_scaling": scores.report.ece_scaled})
    return versions.upload_model(data, history, facts)
