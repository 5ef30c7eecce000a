"""Status: what the service says of itself and of the model that answers.

Here: ``/health`` and ``/model-status``. Not here: liveness, readiness and metrics (BentoML's, ``serving.service``).
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from skin_platform.serving.bundle import Provenance
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.exporting import read_promotion


def health(request: Request) -> dict[str, Any]:
    """Whether the service runs and may be asked."""
    desk = desk_of(request)
    current = desk.current
    return {"status": "ok" if current.fault is None else "not ready", "reason": current.fault,
            "model_version": current.version, "predictions_to_store": desk.writer.pending}


def model_status(request: Request) -> dict[str, Any]:
    """Which model answers, how it came to that, how good and how old it is, and what it was trained on."""
    desk = desk_of(request)
    current = desk.current
    ready = {"ready": current.fault is None, "reason": current.fault, "drift": "not measured"}
    if current.engine is None:
        return {"model_version": None, "bundle": None, "promotion": None, **ready}
    bundle = current.engine.bundle
    return {**_told(bundle.provenance), "labels": list(bundle.labels), **_promotion(desk, bundle.provenance), **ready}


def _told(provenance: Provenance) -> dict[str, Any]:
    age = datetime.now(UTC) - datetime.fromisoformat(provenance.created_at)
    return {
        "model_version": provenance.model_version, "bundle": provenance.tag, "created_at": provenance.created_at,
        "age_days": round(age.total_seconds() / 86400, 3),
        "metrics": {"accuracy": provenance.accuracy, "macro_f1": provenance.macro_f1},
        "dataset_digest": provenance.dataset_digest, "dataset_images": provenance.dataset_images,
        "checkpoint_sha256": provenance.checkpoint_sha256, "code_version": provenance.code_version}


def _promotion(desk: Desk, provenance: Provenance) -> dict[str, Any]:
    """How the version that answers was promoted, as exported; ``superseded_by`` names the champion where that is another."""
    found = read_promotion(desk.export)
    if found is None or found.version != provenance.model_version:
        return {"promotion": None, "superseded_by": found.version if found else None}
    told = asdict(found)
    told.pop("version")
    return {"promotion": told, "superseded_by": None}
