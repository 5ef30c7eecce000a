"""The routes of predictions: one image, or several at once.

Here: what is asked and answered over HTTP. Not here: the prediction itself (``serving.predicting``), one to be fetched later
(``serving.submitting``), keys (``serving.access``), the description (``serving.describing``).
"""

from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response

from skin_platform.serving.access import spend_batch
from skin_platform.serving.asked import asked_of
from skin_platform.serving.bodies import read_image, read_images
from skin_platform.serving.desk import Current, Desk, desk_of
from skin_platform.serving.errors import RouteError, json_answer
from skin_platform.serving.forms import MAX_IMAGES
from skin_platform.serving.metrics import observe_error
from skin_platform.serving.predicting import Outcome, answering, concluded, predicted, predicted_each, record
from skin_platform.serving.requests import asking_of

BATCH_IMAGES = 2  # a batch may hold as many bytes as this many of the largest images: it is in memory all at once


async def predict(request: Request) -> Response:
    """Label, probabilities, prediction set or abstention, and where the answer comes from."""
    desk = desk_of(request)
    answering(desk.current)
    asking = asking_of(request, "single")
    data = await read_image(request, desk.limits.max_bytes)
    with desk.using() as current:
        with asked_of(request).while_heard():
            outcome = await predicted(desk, current, data, asking)
        return json_answer(_kept(request, desk, current, outcome))


async def predict_batch(request: Request) -> Response:
    """An answer or an error for each image, in order."""
    desk = desk_of(request)
    answering(desk.current)
    asking = asking_of(request, "batch")
    images = await read_images(request, desk.limits.max_bytes * BATCH_IMAGES)
    if len(images) > MAX_IMAGES:
        raise RouteError("too_many_images", f"{len(images)} images; send at most {MAX_IMAGES} at once")
    spend_batch(request, desk, len(images))
    with desk.using() as current:
        with asked_of(request).while_heard():
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
    record(desk, "prediction", outcome.row)
    concluded(desk, current, outcome)
    if outcome.body is None:
        assert outcome.error is not None
        raise outcome.error
    return outcome.body
