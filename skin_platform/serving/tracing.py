"""Tracing: the route ``GET /lineage/predictions/{id}``, from an answer back to what made it.

Here: what the service itself can tell, from its bundles and the online store. Not here: the chain (``serving.chain``), its
links down to the objects, which need the object store (``skin trace``).
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from skin_platform.core.opinions import opinions
from skin_platform.serving.answers import Answer
from skin_platform.serving.asked import asked_of
from skin_platform.serving.chain import bundle_of, chain
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.errors import CODES, RouteError, json_answer
from skin_platform.serving.feedback import READERS
from skin_platform.serving.ids import is_id
from skin_platform.storage.online.reaching import OnlineStoreError

if TYPE_CHECKING:
    from skin_platform.storage.online.store import OnlineStore

logger = logging.getLogger("bentoml.skin_platform")


class LineageLink(Answer):
    """One step of the chain."""

    link: str = Field(examples=["dataset → images"])
    is_verified: bool | None = Field(description="Null where what would show it is not here", examples=[True])
    how: str = Field(examples=["SHA-256 of the canonical manifest, a line an image"])


class Opinion(Answer):
    """What a person said that the image shows."""

    correct_label: str = Field(examples=["label B"])
    given_by: str = Field(examples=["Dr. Muster"])
    given_at: str = Field(examples=["2026-05-01T12:00:00+00:00"])
    note: str | None = Field(examples=["confirmed by histology"])
    key_name: str | None = Field(description="The key that it came with")
    counts: bool = Field(description="False where the same person said something else later")


class Lineage(Answer):
    """Where a prediction comes from; a part is null where the bundle that gave it is not here any more."""

    prediction: dict[str, Any] = Field(description="What was recorded of it")
    bundle: dict[str, Any] | None = Field(description="Its tag, its serving code, and the SHA-256 of each of its files")
    version: dict[str, Any] | None = Field(description="The model version and its checkpoint")
    evaluation: dict[str, Any] | None = Field(description="What the version scored, and on what")
    dataset: dict[str, Any] | None = Field(description="The dataset's digest, its images by split, and this image where in it")
    code: dict[str, Any] | None = Field(description="Version of the code, and the runs that trained")
    feedback: list[Opinion] | None = Field(description="What people said of it, oldest first; null while the database is away")
    links: list[LineageLink] = Field(description="Each step, and whether it was verified just now")
    request_id: str


async def lineage(request: Request) -> Response:
    """Follow a prediction to its bundle, version, evaluation, dataset and code, each link verified with what is here."""
    prediction_id = request.path_params["prediction_id"]
    if not is_id(prediction_id):
        raise RouteError("unknown_prediction", "a prediction id is a UUID, as /predict answers with")
    told = await asyncio.get_running_loop().run_in_executor(READERS, _traced, prediction_id, desk_of(request))
    return json_answer(told | {"request_id": asked_of(request).request_id})


def _traced(prediction_id: str, desk: Desk) -> dict[str, Any]:
    """The chain of a prediction, on its way to the database or in it. Raises ``RouteError``."""
    if desk.recorder is None or desk.store is None:
        raise RouteError("not_in_demo", "a demo records no predictions, so there is none to trace")
    try:
        row = desk.recorder.find("prediction", prediction_id) or desk.store.prediction(prediction_id)
    except OnlineStoreError as error:
        logger.warning("%s", error)  # it names the database, which is for the log alone
        raise RouteError("store_down", CODES["store_down"].meaning) from None
    if row is None:
        raise RouteError("unknown_prediction", f"no prediction {prediction_id} was recorded here")
    engine = desk.current.engine
    return chain(row, bundle_of(row, desk.settings, engine.bundle if engine else None)) | {
        "feedback": _opinions(prediction_id, desk.store)}


def _opinions(prediction_id: str, store: "OnlineStore") -> list[dict[str, Any]] | None:
    """What people said of the prediction, as far as it has reached the database; None where that does not answer."""
    try:
        return opinions(store.feedback(prediction_id))
    except OnlineStoreError as error:
        logger.warning("%s", error)
        return None
