"""The routes: what the service answers over HTTP, and the one shape of its errors.

Here: the predictions. Not here: what the service says of itself (``serving.status``), which engine answers (``serving.desk``).
"""

import hmac
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from skin_platform.core.answers import top_k_predictions
from skin_platform.core.images import ImageFacts, Limits, Refusal, admit_image
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.engine import Engine, Scored
from skin_platform.serving.status import health, model_status

NOTICE = "Research software, not a medical device: no diagnosis may rest on this answer."
MAX_BATCH_IMAGES = 64  # in one request of /predict/batch; 64 images of 50 MB are already more than a proxy lets through
STATUS = {"empty": 422, "corrupt": 422, "too_small": 422, "not_an_image": 415, "wrong_format": 415, "too_large": 413}


class RouteError(Exception):
    """An answer that is not the one asked for: HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def build_app() -> FastAPI:
    """The application; ``app.state.desk`` is set before the first request."""
    app = FastAPI(title="skin platform", description=f"Classifies photographs of skin lesions. {NOTICE}",
                  docs_url="/docs", openapi_url="/openapi.json")
    app.add_exception_handler(RouteError, _answer_route_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    asked = [Depends(require_key), Depends(require_engine)]
    app.add_api_route("/predict", predict, methods=["POST"], dependencies=asked)
    app.add_api_route("/predict/batch", predict_batch, methods=["POST"], dependencies=asked)
    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/model-status", model_status, methods=["GET"])
    return app


def require_key(request: Request) -> None:
    """Refuse without the bearer key, where one is configured."""
    expected = desk_of(request).api_key
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if expected and not hmac.compare_digest(given.encode(), expected.encode()):
        raise RouteError(401, "unauthorized", "send the header 'Authorization: Bearer <API_KEY>'")


def require_engine(request: Request) -> None:
    """Refuse where nothing may answer, with the reason; what answers now answers the whole request."""
    current = desk_of(request).current
    if current.engine is None or current.fault is not None:
        raise RouteError(503, current.code, str(current.fault))
    request.state.engine = current.engine


def predict(
    request: Request, image: Annotated[UploadFile, File(description="one JPEG or PNG")],
    top_k: Annotated[int, Query(ge=1, description="how many labels, best first")] = 3,
) -> dict[str, Any]:
    """Label, probabilities, prediction set or abstention, and where the answer comes from."""
    desk, engine = desk_of(request), _engine(request)
    judged = _judged(image, desk.limits)
    if isinstance(judged, RouteError):
        raise judged
    data, facts = judged
    return _answer(desk, engine, facts, engine.score(_pixels(engine, [data]))[0], top_k, _request_id(request))


def predict_batch(
    request: Request, images: Annotated[list[UploadFile], File(description="JPEGs or PNGs, up to 64")],
    top_k: Annotated[int, Query(ge=1, description="how many labels, best first")] = 3,
) -> dict[str, Any]:
    """An answer or an error for each image, in order."""
    desk, engine = desk_of(request), _engine(request)
    if len(images) > MAX_BATCH_IMAGES:
        raise RouteError(413, "too_many_images", f"{len(images)} images; send at most {MAX_BATCH_IMAGES} at once")
    judged = [_judged(upload, desk.limits) for upload in images]
    good = [item for item in judged if not isinstance(item, RouteError)]
    scores = iter(engine.score(_pixels(engine, [data for data, _ in good])) if good else [])
    answers = [
        {"code": item.code, "message": item.message} if isinstance(item, RouteError)
        else _answer(desk, engine, item[1], next(scores), top_k, _request_id(request))
        for item in judged
    ]
    return {"predictions": answers, "request_id": _request_id(request)}


def _answer(desk: Desk, engine: Engine, facts: ImageFacts, scored: Scored, top_k: int, request_id: str) -> dict[str, Any]:
    """The body for one scored image; hands the prediction to the online store."""
    provenance = engine.bundle.provenance
    best = top_k_predictions(scored.probabilities, min(top_k, len(scored.probabilities)))
    prediction_id = str(uuid.uuid4())
    origin = {"bundle": provenance.tag, "model_version": provenance.model_version,
              "checkpoint_sha256": provenance.checkpoint_sha256, "dataset_digest": provenance.dataset_digest}
    desk.writer.add({
        "prediction_id": prediction_id, "predicted_at": datetime.now(UTC), "image_sha256": facts.sha256,
        "label": best[0][0], "probabilities": scored.probabilities, "abstained": scored.prediction_set.abstained, **origin})
    return {
        "prediction_id": prediction_id, "label": best[0][0], "probability": best[0][1],
        "top_k": [{"label": label, "probability": probability} for label, probability in best],
        "prediction_set": {"labels": list(scored.prediction_set.labels),
                           "coverage": engine.bundle.calibration.coverage},
        "abstained": scored.prediction_set.abstained, "abstained_reason": scored.prediction_set.reason,
        **origin, "request_id": request_id, "notice": NOTICE,
    }


def _pixels(engine: Engine, images: list[bytes]) -> NDArray[np.uint8]:
    return np.stack([engine.bundle.preprocessing.pixels(data) for data in images])


def _engine(request: Request) -> Engine:
    engine: Engine = request.state.engine
    return engine


def _judged(upload: UploadFile, limits: Limits) -> tuple[bytes, ImageFacts] | RouteError:
    """The cleaned bytes of an upload (as training sees them) with what they show, or the answer that refuses them."""
    if upload.size is not None and upload.size > limits.max_bytes:
        return RouteError(413, "too_large", f"{upload.size} bytes is over the limit of {limits.max_bytes}")
    data = upload.file.read()
    admitted = admit_image(data, "", limits)
    if isinstance(admitted, Refusal):
        return RouteError(STATUS[admitted.kind], admitted.kind, admitted.reason)
    return admitted


def _request_id(request: Request) -> str:
    """The caller's ``X-Request-Id`` where it is sane, else one of ours; the same within a request."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if given.isalnum() and len(given) <= 64 else uuid.uuid4().hex
    found: str = request.state.request_id
    return found


def _error(request: Request, status: int, code: str, message: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = {"code": code, "message": message, "request_id": _request_id(request)}
    return JSONResponse(body, status, headers)


def _answer_route_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RouteError)
    return _error(request, error.status, error.code, error.message)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
    return _error(request, 422, "invalid_request", f"{faults}. Send the picture as multipart field 'image'")
