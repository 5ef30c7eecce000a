"""The routes of predictions: one image, several, one to be fetched later; and what people say of an answer.

Here: what is asked and answered over HTTP. Not here: the prediction itself (``serving.predicting``), what the service says of
itself (``serving.status``), keys (``serving.access``), the description (``serving.describing``).
"""

import re
import uuid
from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response

from skin_platform.serving.access import spend
from skin_platform.serving.bodies import MAX_IMAGES, read_image, read_images
from skin_platform.serving.desk import Current, Desk, desk_of
from skin_platform.serving.errors import RouteError, json_answer
from skin_platform.serving.front import asked_of
from skin_platform.serving.metrics import observe_error
from skin_platform.serving.predicting import Outcome, answering, concluded, predicted, predicted_each, record
from skin_platform.serving.predictions import Asking, Mode

TOP_K = 3
TOP_K_MAX = 1000
BATCH_IMAGES = 2  # a batch may hold as many bytes as this many of the largest images: it is in memory all at once


async def predict(request: Request) -> Response:
    """Label, probabilities, prediction set or abstention, and where the answer comes from."""
    desk = desk_of(request)
    answering(desk.current)
    asking = _asking(request, "single")
    data = await read_image(request, desk.limits.max_bytes)
    with desk.using() as current:
        outcome = await predicted(desk, current, data, asking)
        return json_answer(_kept(request, desk, current, outcome))


async def predict_batch(request: Request) -> Response:
    """An answer or an error for each image, in order."""
    desk = desk_of(request)
    answering(desk.current)
    asking = _asking(request, "batch")
    images = await read_images(request, desk.limits.max_bytes * BATCH_IMAGES)
    if len(images) > MAX_IMAGES:
        raise RouteError("too_many_images", f"{len(images)} images; send at most {MAX_IMAGES} at once")
    spend(request, desk, len(images) - 1)
    with desk.using() as current:
        outcomes = await predicted_each(desk, current, images, asking)
        return json_answer({"predictions": list(_each(request, desk, current, outcomes)), "request_id": asking.request_id})


def _each(request: Request, desk: Desk, current: Current, outcomes: Iterable[Outcome]) -> Iterable[dict[str, object]]:
    for outcome in outcomes:
        try:
            yield _kept(request, desk, current, outcome)
        except RouteError as error:
            observe_error(error.code)
            yield {"code": error.code, "message": error.message}


def _kept(request: Request, desk: Desk, current: Current, outcome: Outcome) -> dict[str, object]:
    """The body of an outcome, once it is recorded; raises ``RouteError`` where it is a refusal or cannot be recorded."""
    if current.engine is not None:
        asked_of(request).origin = current.engine.bundle.provenance
    record(desk, outcome.row)
    concluded(desk, current, outcome)
    if outcome.body is None:
        assert outcome.error is not None
        raise outcome.error
    return outcome.body


def _asking(request: Request, mode: Mode) -> Asking:
    asked = asked_of(request)
    return Asking(asked.request_id, mode, asked.key_name, top_k_of(request), asked.started)


def top_k_of(request: Request) -> int:
    """How many labels are asked for. Raises ``RouteError``."""
    if not request.scope["query_string"]:
        return TOP_K
    given = request.query_params.get("top_k", str(TOP_K))
    if not re.fullmatch("[0-9]{1,4}", given) or not 1 <= int(given) <= TOP_K_MAX:
        raise RouteError("invalid_request", f"top_k must be a whole number from 1 to {TOP_K_MAX}")
    return int(given)


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id of ours."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
