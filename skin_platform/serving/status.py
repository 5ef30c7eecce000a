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

from skin_platform.core.ood import OutOfDistribution, why_there_is_none
from skin_platform.serving.desk import Current, Desk, desk_of
from skin_platform.serving.errors import CODES, RouteError, json_answer
from skin_platform.serving.exposition import exposition, state_of
from skin_platform.serving.parts import ended, lost, parts_of
from skin_platform.storage.spool import Spool

EXPOSITION = "text/plain; version=1.0.0; charset=utf-8"


async def health(request: Request) -> Response:
    """Whether the service runs and may be asked."""
    desk = desk_of(request)
    current = desk.current
    waiting = await run_in_threadpool(_depth, desk.recorder) if desk.recorder else None
    reason = current.fault or lost(desk) or (None if await _can_record(desk) else CODES["spool_full"].meaning)
    impaired = ended(desk)
    return json_answer({
        "status": "not ready" if reason or not current.can_answer else "impaired" if impaired else "ok",
        "reason": reason or impaired, "parts": parts_of(desk),
        "model_version": current.version,
        "keys_are_asked": desk.keys is not None and not desk.keys.is_open,
        "predictions_to_store": waiting})


async def _can_record(desk: Desk) -> bool:
    spool = desk.recorder
    return spool is None or not spool.fails or await run_in_threadpool(spool.takes_again)


def _depth(spool: Spool) -> int:
    return spool.depth


async def livez(request: Request) -> Response:
    """The process answers."""
    return json_answer({"status": "alive"})


async def readyz(request: Request) -> Response:
    """The golden images were answered as recorded, at the start and after the last swap, and answers can be recorded."""
    desk = desk_of(request)
    current = desk.current
    if not current.can_answer:
        raise RouteError(current.code, str(current.fault))
    if fault := lost(desk):
        raise RouteError("not_ready", fault)
    if not await _can_record(desk):
        raise RouteError("spool_full", CODES["spool_full"].meaning)
    return json_answer({"status": "ready", "model_version": current.version})


async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    told = await run_in_threadpool(lambda: exposition(state_of(desk_of(request))))  # it counts the rows of the spool
    return PlainTextResponse(told, media_type=EXPOSITION)


async def model_status(request: Request) -> Response:
    """Which model answers, how it came to that, how good and how old it is, and what it was trained on."""
    desk = desk_of(request)
    current, followed = desk.current, desk.followed
    champion = followed.promotion.version if followed and followed.promotion else None
    return json_answer({
        "ready": current.can_answer, "reason": current.fault, "model_version": current.version,
        "since": current.since.isoformat(timespec="seconds"), **_told(current),
        "promotion": _promotion(current), "superseded_by": champion if champion != current.version else None,
        "refused": followed.refused.told() if followed and followed.refused else None,
        "shadow": desk.shadow.told() if desk.shadow else None, "drift": "not measured"})


def _told(current: Current) -> dict[str, Any]:
    if current.engine is None:
        return {}
    bundle, provenance = current.engine.bundle, current.engine.bundle.provenance
    age = datetime.now(UTC) - datetime.fromisoformat(provenance.created_at)
    return {
        "bundle": provenance.tag, "engine": current.engine.name, "created_at": provenance.created_at,
        "age_days": round(age.total_seconds() / 86400, 3), "labels": list(bundle.labels),
        "metrics": {"accuracy": provenance.accuracy, "macro_f1": provenance.macro_f1},
        "coverage": bundle.calibration.coverage, "out_of_distribution": _detector(bundle.ood),
        "no_out_of_distribution": None if bundle.ood else why_there_is_none(bundle.figures.get("ood")),
        "dataset_digest": provenance.dataset_digest,
        "dataset_images": provenance.dataset_images, "checkpoint_sha256": provenance.checkpoint_sha256,
        "code_version": provenance.code_version}


def _detector(ood: OutOfDistribution | None) -> dict[str, Any] | None:
    return {"level": ood.level_in_force, "calibration_images": len(ood.calibration_scores)} if ood else None


def _promotion(current: Current) -> dict[str, Any] | None:
    """How the version that answers came to be served; None where nobody promoted it."""
    if current.promotion is None:
        return None
    told = asdict(current.promotion)
    told.pop("version")
    return told
