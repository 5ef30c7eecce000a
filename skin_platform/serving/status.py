"""Status: what the service says of itself and of the model that answers.

Here: ``/health``, ``/model-status``, and what machines ask: ``/livez``, ``/healthz``, ``/readyz``, ``/metrics``. None of them
asks for a key. Not here: what is counted (``serving.metrics``).
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response

from skin_platform.serving.bundle import Provenance
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.errors import RouteError, json_answer
from skin_platform.serving.metrics import exposition, state_of

EXPOSITION = "text/plain; version=1.0.0; charset=utf-8"


async def health(request: Request) -> Response:
    """Whether the service runs and may be asked."""
    desk = desk_of(request)
    current = desk.current
    return json_answer({
        "status": "ok" if current.can_answer else "not ready", "reason": current.fault, "model_version": current.version,
        "keys_are_asked": desk.keys is not None and not desk.keys.is_open,
        "predictions_to_store": desk.recorder.depth if desk.recorder else None})


async def livez(request: Request) -> Response:
    """The process answers."""
    return json_answer({"status": "alive"})


async def readyz(request: Request) -> Response:
    """The golden images were answered as recorded, at the start and after the last swap."""
    current = desk_of(request).current
    if not current.can_answer:
        raise RouteError(current.code, str(current.fault))
    return json_answer({"status": "ready", "model_version": current.version})


async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    told = await run_in_threadpool(lambda: exposition(state_of(desk_of(request))))  # it counts the rows of the spool
    return PlainTextResponse(told, media_type=EXPOSITION)


async def model_status(request: Request) -> Response:
    """Which model answers, how it came to that, how good and how old it is, and what it was trained on."""
    desk = desk_of(request)
    current = desk.current
    ready = {"ready": current.can_answer, "reason": current.fault, "drift": "not measured"}
    if current.engine is None:
        return json_answer({"model_version": None, "bundle": None, "promotion": None, **ready})
    bundle = current.engine.bundle
    return json_answer({**_told(bundle.provenance), "labels": list(bundle.labels), **_promotion(desk), **ready})


def _told(provenance: Provenance) -> dict[str, Any]:
    age = datetime.now(UTC) - datetime.fromisoformat(provenance.created_at)
    return {
        "model_version": provenance.model_version, "bundle": provenance.tag, "created_at": provenance.created_at,
        "age_days": round(age.total_seconds() / 86400, 3),
        "metrics": {"accuracy": provenance.accuracy, "macro_f1": provenance.macro_f1},
        "dataset_digest": provenance.dataset_digest, "dataset_images": provenance.dataset_images,
        "checkpoint_sha256": provenance.checkpoint_sha256, "code_version": provenance.code_version}


def _promotion(desk: Desk) -> dict[str, Any]:
    """How the version that answers was promoted, as exported; ``superseded_by`` names the champion where that is another."""
    current, followed = desk.current, desk.followed
    told = None
    if current.promotion is not None:
        told = asdict(current.promotion)
        told.pop("version")
    champion = followed.promotion.version if followed and followed.promotion else None
    refused = followed.refused if followed else None
    return {"promotion": told, "superseded_by": champion if champion != current.version else None,
            "refused": {**asdict(refused), "since": refused.since.isoformat()} if refused else None}
