"""Versions in a home, with the files that the rooms write beside them, and runs in MLflow that hold a model."""

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient

from skin_platform.core.calibration import Calibration
from skin_platform.core.intervals import Interval
from skin_platform.core.references import CheckpointReference, DatasetReference, EvaluationReference
from skin_platform.defs.tracking_database import experiment_in
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.storage.versions import ModelFacts
from skin_platform_tests.core.card_evidence import stored

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HISTORY = [{"epoch": 1, "train_loss": 0.9}]


def opened(home, **settings):
    """The stores of a new home."""
    found = load_settings(skin_home=home, **settings)
    prepare_home(found)
    return Stores(found)


def add_version(stores, number, run_key=None, **changed):
    """A version with its evidence; its weights are the number. The run of its training is called ``run <number>``."""
    evidence = stored(**changed)
    checkpoint, report = f"weights {number}".encode(), json.dumps(evidence["evaluation"]).encode()
    known = {name: of for name, of in evidence["manifest"].items() if name in ModelFacts.__dataclass_fields__}
    facts = ModelFacts(**{
        "train_accuracy": 0.9, "val_accuracy": 0.7, "train_loss": 0.3, "val_loss": 0.8, "score": {}, "calibration": {}} | known)
    version = stores.versions.upload_model(checkpoint, HISTORY, facts, lambda: NOON + timedelta(hours=number))
    origin = _origin(run_key or f"run {number}", checkpoint, report, evidence)
    stores.versions.write_file(version, "origin.json", json.dumps(asdict(origin)).encode())
    stores.versions.write_file(version, "evaluation.json", report)
    stores.versions.write_file(version, "verdict.json", json.dumps(evidence["verdict"] | {"version": version}).encode())
    return version


def _origin(run_key, checkpoint, report, evidence):
    figures = evidence["evaluation"]
    dataset = DatasetReference(figures["dataset_digest"], "", "", tuple(figures["labels"]), locked_digest="98" * 32)
    trained = CheckpointReference(
        f"skin/models/{run_key}/model.ckpt", hashlib.sha256(checkpoint).hexdigest(), "b7" * 32, dataset, "0.1.0+ab12cd3",
        "5b0b6b6e-3c5f", "", "2026-05-01T11:58:31+00:00")
    return EvaluationReference(
        trained, f"skin/models/{run_key}/evaluation.json", hashlib.sha256(report).hexdigest(),
        f"skin/models/{run_key}/predictions.parquet", figures["evidence_sha256"], figures["split"], figures["n"],
        figures["accuracy"], Interval(**figures["accuracy_interval"]), figures["macro_f1"],
        Interval(**figures["macro_f1_interval"]), Calibration(**figures["calibration"]))


def told_fit(stores, number, models=1):
    """A run in MLflow that holds ``models`` models, noted as the run of that version's training; its id."""
    uri = stores.settings.mlflow_uri
    experiment = experiment_in(uri)
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(experiment)
    for _ in range(models):
        model = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
        client.finalize_logged_model(model.model_id, "READY")
    stores.unrecorded.told("fit", f"run {number}", run.info.run_id)
    return run.info.run_id


def move(stores, alias, version, **changed):
    """Move an alias on."""
    last = stores.moves.current(alias)
    given = {"kind": "promoted", "by": "ann", "why": "it is better"} | changed
    return stores.moves.move(alias, version, expected=last.number if last else 0, **given)
