"""Rows as the service records them."""

from datetime import UTC, datetime, timedelta
from typing import Any

AT = datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)


def prediction(number: int, **given: Any) -> dict[str, Any]:
    """A prediction with every column, ``number`` seconds after the first."""
    return {"prediction_id": f"p{number}", "predicted_at": AT + timedelta(seconds=number), "request_id": f"r{number}",
            "mode": "single", "outcome": "answered", "code": None, "delivered_sha256": "aa" * 32, "image_sha256": "ab" * 32,
            "is_image_kept": False, "label": "blau é", "probabilities": {"blau é": 0.75, "rot": 0.25},
            "prediction_set": {"labels": ["blau é"], "coverage": 0.9}, "abstained": False, "abstained_reason": None,
            "ood_score": 1.5, "ood_p_value": 0.25, "is_ood": False, "latency_ms": 12.5, "key_name": "Klinik Süd",
            "engine": "openvino f32", "bundle": "skin:1", "model_version": "1", "checkpoint_sha256": "cd" * 32,
            "dataset_digest": "ef" * 32} | given


def shadow(number: int, **given: Any) -> dict[str, Any]:
    """What a challenger answered beside the prediction of this number."""
    return {"prediction_id": f"p{number}", "model_version": "2", "bundle": "skin:2", "label": "rot",
            "probabilities": {"blau é": 0.25, "rot": 0.75}, "prediction_set": None, "latency_ms": 13.5,
            "predicted_at": AT + timedelta(seconds=number)} | given


def feedback(number: int, **given: Any) -> dict[str, Any]:
    """What a person said of the prediction of this number."""
    return {"feedback_id": f"f{number}", "prediction_id": f"p{number}", "correct_label": "rot", "given_by": "Dr. Ñandú",
            "note": None, "given_at": AT + timedelta(seconds=number), "key_name": "Klinik Süd"} | given
