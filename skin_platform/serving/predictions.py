"""Predictions: from a scored image to what is answered and what is recorded of it.

Here: the answer's body and the rows of the online store. Not here: scoring (``serving.engine``), where rows go
(``storage.spool``), the routes.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from skin_platform.core.answers import top_k_predictions
from skin_platform.core.images import Refusal
from skin_platform.serving.bundle import Bundle, Provenance
from skin_platform.serving.engine import Scored
from skin_platform.serving.intake import Taken

NOTICE = "Research software, not a medical device: no diagnosis may rest on this answer."
Mode = Literal["single", "batch", "async"]


@dataclass(frozen=True)
class Timing:
    """Milliseconds: reading and decoding, waiting for the model and its answer, and all since the request came in."""

    decode: float
    infer: float
    total: float


@dataclass(frozen=True)
class Asking:
    """Who asked, how, for how many labels, and when (``time.perf_counter``).

    ``delivered_sha256`` is that of the bytes as they came, where those at hand were cleaned before.
    """

    request_id: str
    mode: Mode
    key_name: str | None
    top_k: int
    started: float
    delivered_sha256: str | None = None


def origin_of(provenance: Provenance) -> dict[str, str]:
    """Where an answer comes from, in every answer and row."""
    return {"bundle": provenance.tag, "model_version": provenance.model_version,
            "checkpoint_sha256": provenance.checkpoint_sha256, "dataset_digest": provenance.dataset_digest}


def answer_of(prediction_id: str, bundle: Bundle, scored: Scored, timing: Timing, asking: Asking) -> dict[str, Any]:
    """The body of one answered image; a ``top_k`` beyond the number of labels gives all of them."""
    best = top_k_predictions(scored.probabilities, min(asking.top_k, len(scored.probabilities)))
    held, ood = scored.prediction_set, scored.ood
    return {
        "prediction_id": prediction_id, "label": best[0][0], "probability": best[0][1],
        "top_k": [{"label": label, "probability": probability} for label, probability in best],
        "prediction_set": {"labels": list(held.labels), "coverage": bundle.calibration.coverage},
        "abstained": held.abstained, "abstained_reason": held.reason,
        "out_of_distribution": {"score": ood.score, "p_value": ood.p_value, "flagged": ood.flagged} if ood else None,
        **origin_of(bundle.provenance),
        "timing_ms": {"decode": round(timing.decode, 2), "infer": round(timing.infer, 2), "total": round(timing.total, 2)},
        "request_id": asking.request_id, "notice": NOTICE,
    }


def answered_row(prediction_id: str, bundle: Bundle, engine_name: str, taken: Taken, scored: Scored, timing: Timing,
                 asking: Asking) -> dict[str, Any]:
    """What is recorded of one answered image; ``probabilities`` holds every label's."""
    held, ood = scored.prediction_set, scored.ood
    best = top_k_predictions(scored.probabilities, 1)[0][0]
    return {
        **_row(prediction_id, asking, timing), "outcome": "abstained" if held.abstained else "answered", "code": None,
        "delivered_sha256": asking.delivered_sha256 or taken.delivered_sha256, "image_sha256": taken.sha256,
        "is_image_kept": False, "label": best, "probabilities": scored.probabilities,
        "prediction_set": {"labels": list(held.labels), "coverage": bundle.calibration.coverage},
        "abstained": held.abstained, "abstained_reason": held.reason,
        "ood_score": ood.score if ood else None, "ood_p_value": ood.p_value if ood else None,
        "is_ood": ood.flagged if ood else None, "engine": engine_name, **origin_of(bundle.provenance)}


def refused_row(refusal: Refusal, bundle: Bundle, engine_name: str, timing: Timing, asking: Asking) -> dict[str, Any]:
    """What is recorded of one image that was not taken: its digest and why."""
    return {
        **_row(str(uuid.uuid4()), asking, timing), "outcome": "refused", "code": refusal.kind,
        "delivered_sha256": refusal.sha256, "image_sha256": None, "is_image_kept": False, "label": None, "probabilities": None,
        "prediction_set": None, "abstained": None, "abstained_reason": None, "ood_score": None, "ood_p_value": None,
        "is_ood": None, "engine": engine_name, **origin_of(bundle.provenance)}


def shadow_row(prediction_id: str, bundle: Bundle, scored: Scored, latency_ms: float) -> dict[str, Any]:
    """What is recorded of a challenger's answer, beside the prediction of that id."""
    return {"prediction_id": prediction_id, "model_version": bundle.provenance.model_version, "bundle": bundle.provenance.tag,
            "label": top_k_predictions(scored.probabilities, 1)[0][0], "probabilities": scored.probabilities,
            "prediction_set": {"labels": list(scored.prediction_set.labels), "coverage": bundle.calibration.coverage},
            "latency_ms": round(latency_ms, 2), "predicted_at": datetime.now(UTC)}


def _row(prediction_id: str, asking: Asking, timing: Timing) -> dict[str, Any]:
    return {"prediction_id": prediction_id, "predicted_at": datetime.now(UTC), "request_id": asking.request_id,
            "mode": asking.mode, "latency_ms": round(timing.total, 2), "key_name": asking.key_name}
