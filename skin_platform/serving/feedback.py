"""Feedback: what a person says that an image shows, bound to the prediction it was said of.

Here: the route, and which feedback is taken. Not here: where it is kept (``storage.spool``, then the online store).
"""

import asyncio
import json
import unicodedata
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from skin_platform.serving.asked import asked_of
from skin_platform.serving.bodies import read_json
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.errors import RouteError, json_answer
from skin_platform.serving.ids import ID_PATTERN
from skin_platform.serving.predicting import record
from skin_platform.storage.online.reaching import OnlineStoreError

LOOK_SECONDS = 2.0  # for the database to find a prediction; one that is down or slow must not hold up what a person says
EXAMPLE = {"prediction_id": "6f1c3f0a-8a53-4f0c-9a5e-3f1d0f0a7c11", "correct_label": "label B", "given_by": "Dr. Muster",
           "note": "confirmed by histology"}
READERS = ThreadPoolExecutor(2, "prediction-reader")


def _written(text: str) -> str:
    """Refuse control characters, which PostgreSQL does not store and no person writes."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\r\t" for character in text):
        raise ValueError("control characters are not taken")
    return text


Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_written)]
Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_written)]


class Given(BaseModel):
    """What a person says of a prediction."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    prediction_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)] = Field(description="prediction_id of an answer")
    correct_label: Line = Field(description="What the image shows: one of the model's labels")
    given_by: Line = Field(description="Who says so")
    note: Text | None = Field(None, description="Anything worth knowing; nothing that identifies a patient")


async def give_feedback(request: Request) -> Response:
    """Keep the correct label of a predicted image.

    The same label for the same prediction by the same person has the same id and is kept once, with its latest time and note.
    It is kept before the answer, whether the database can be reached or not. Where a person gives several labels, the latest
    counts (``core.opinions``).
    """
    desk = desk_of(request)
    given = _given(await read_json(request))
    if desk.recorder is None:
        raise RouteError("not_in_demo", "a demo records no predictions, so there is none to give feedback on")
    labels = await _labels_of(desk, given.prediction_id)
    if labels and given.correct_label not in labels:
        raise RouteError("unknown_label", f"{given.correct_label!r} is none of the labels: {', '.join(labels)}")
    row = _row(given, asked_of(request).key_name)
    record(desk, "feedback", row)
    return json_answer({"feedback_id": row["feedback_id"], "prediction_id": given.prediction_id,
                        "correct_label": given.correct_label, "request_id": asked_of(request).request_id})


def _given(body: dict[str, Any]) -> Given:
    try:
        return Given.model_validate(body)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise RouteError("invalid_request", faults) from None


async def _labels_of(desk: Desk, prediction_id: str) -> Collection[str]:
    """The labels that the prediction chose from. Raises ``RouteError`` where there is no such prediction.

    Where the database cannot say so in time, it is taken to be there, with the labels of what answers now.
    """
    assert desk.recorder is not None
    found = desk.recorder.find("prediction", prediction_id)
    try:
        if found is None and desk.store is not None:
            reading = asyncio.get_running_loop().run_in_executor(READERS, desk.store.prediction, prediction_id)
            found = await asyncio.wait_for(reading, LOOK_SECONDS)
    except (OnlineStoreError, TimeoutError):
        engine = desk.current.engine
        return engine.bundle.labels if engine else ()
    if found is None or found["probabilities"] is None:
        raise RouteError("unknown_prediction", f"no prediction {prediction_id} was answered here")
    return list(found["probabilities"])


def _row(given: Given, key_name: str | None) -> dict[str, Any]:
    said = json.dumps([given.prediction_id, given.correct_label, given.given_by])
    return {"feedback_id": str(uuid.uuid5(uuid.NAMESPACE_OID, said)), **given.model_dump(), "given_at": datetime.now(UTC),
            "key_name": key_name}
