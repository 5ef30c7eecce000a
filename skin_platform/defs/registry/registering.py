"""Registering: an evaluated checkpoint as a model version, with its evidence beside it.

    <models bucket>/skin_classifier/<version>/{model.ckpt, training_history.json, manifest.json}
    <models bucket>/skin_classifier/<version>/{origin.json, evaluation.json, predictions.parquet, ood.npz}

Here: what a version is made of. Not here: where it is kept (``storage.versions``), the verdict on it (``judging``).
"""

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from skin_platform.core.evidence import Evidence
from skin_platform.core.references import EvaluationReference
from skin_platform.storage.evidence import load_evidence
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import MovedMeanwhileError
from skin_platform.storage.stores import Stores
from skin_platform.storage.versions import ModelFacts

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint

OPTIMIZER = "AdamW"  # of ml.classifier, the only one


def register(evaluation: EvaluationReference, stores: Stores, by: str) -> str:
    """Store the evaluated checkpoint as a new version, or find the one that an evaluation like this has made; its name.

    A new one is the challenger from now on.
    """
    from skin_platform.ml.checkpoints import load_checkpoint

    versions, reference = stores.versions, evaluation.checkpoint
    data = stores.models.read(reference.key, reference.sha256)
    report = stores.models.read(evaluation.report_key, evaluation.report_sha256)
    rows = stores.models.read(evaluation.evidence_key, evaluation.evidence_sha256)
    loaded = load_checkpoint(data)
    version = versions.upload_model(data, loaded.record["history"], _facts(loaded, evaluation, json.loads(report)))
    versions.write_file(version, "evaluation.json", report)
    versions.write_file(version, "predictions.parquet", rows)
    if evaluation.ood_key:
        versions.write_file(version, "ood.npz", stores.models.read(evaluation.ood_key, evaluation.ood_sha256))
    versions.write_file(version, "origin.json", json.dumps(asdict(evaluation), indent=1, ensure_ascii=False).encode())
    _challenge(version, stores, by)
    return version


def origin_of(version: str, stores: Stores) -> EvaluationReference:
    """What a version was made of; raises ``KeyError`` for an unknown one, ``StorageError`` where that cannot be read."""
    try:
        return TypeAdapter(EvaluationReference).validate_json(stores.versions.read_file(version, "origin.json"))
    except ValidationError as error:
        raise StorageError(f"origin.json of model version {version} is not of this release: {error}") from None


def evidence_of(version: str, stores: Stores) -> Evidence:
    """What a version answered on the split that counts; raises ``KeyError`` and ``StorageError``."""
    return load_evidence(stores.versions.read_file(version, "predictions.parquet", origin_of(version, stores).evidence_sha256))


def _challenge(version: str, stores: Stores, by: str) -> None:
    """Make a version the challenger, unless it answers or challenges already."""
    if version in stores.versions.aliases().values():
        return
    last = stores.moves.current("challenger")
    with suppress(MovedMeanwhileError):  # a version that was registered at the same moment challenges; both can be promoted
        stores.moves.move("challenger", version, expected=last.number if last else 0, kind="registered", by=by,
                          why="the newest version")


def _facts(loaded: "Checkpoint", evaluation: EvaluationReference, report: dict[str, Any]) -> ModelFacts:
    record, reference = loaded.record, evaluation.checkpoint
    kept = record["metrics"]  # of the epoch whose weights these are
    return ModelFacts(
        architecture=record["config"]["backbone"], num_classes=len(loaded.labels), best_epoch=record["kept_epoch"],
        train_accuracy=kept["train_accuracy"], val_accuracy=report["validation"]["accuracy"], train_loss=kept["train_loss"],
        val_loss=kept["val_loss"], total_epochs=len(record["history"]), optimizer=OPTIMIZER,
        score={name: report[name] for name in (
            "split", "n", "accuracy", "accuracy_interval", "balanced_accuracy", "balanced_accuracy_interval", "macro_f1",
            "macro_f1_interval")},
        dataset_digest=reference.dataset.digest, code_version=reference.code_version,
        dagster_run_id=reference.dagster_run_id, labels=loaded.labels, preprocessing=loaded.preprocessing.as_dict(),
        calibration=asdict(evaluation.calibration) | {
            "ece": report["ece"], "ece_after_temperature_scaling": report["ece_scaled"]})
