"""Predicting: from the bytes of an image to what is answered and recorded, for a request or a job.

Here: the model's turn, recording, counting. Not here: HTTP (``serving.routes``), what a row or body holds
(``serving.predictions``).
"""

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from skin_platform.core.images import Refusal
from skin_platform.serving.batching import Batcher, Overloaded
from skin_platform.serving.desk import Current, Desk
from skin_platform.serving.engine import Engine, Scored
from skin_platform.serving.errors import CODES, RouteError
from skin_platform.serving.intake import Taken, take
from skin_platform.serving.metrics import observe_answer
from skin_platform.serving.predictions import Asking, Timing, answer_of, answered_row, refused_row
from skin_platform.serving.waiting import Answered
from skin_platform.storage.spool_file import SpoolError

logger = logging.getLogger("bentoml.skin_platform")
# for decoding and the model's turn; with a body's 30 s it stays under BentoML's 60, which cuts off in words of its own
ANSWER_SECONDS = 25.0
DECODERS = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decoder")  # more would only add memory: 150 MB a large image
DECODING_MAX = 16  # images that are decoded or wait for it beside the model's turn: more of them would not be done in time
DECODING = threading.BoundedSemaphore(DECODING_MAX)


@dataclass(frozen=True)
class Outcome:
    """What became of one image: the row that records it, and its answer's body or the error that refuses it."""

    row: dict[str, Any]
    body: dict[str, Any] | None = None
    error: RouteError | None = None
    taken: Taken | None = None


async def predicted(desk: Desk, current: Current, data: bytes, asking: Asking, prediction_id: str | None = None) -> Outcome:
    """The outcome for one image, which is not recorded yet. Raises ``RouteError`` where the model has no time."""
    return (await predicted_each(desk, current, [data], asking, prediction_id))[0]


async def predicted_each(
    desk: Desk, current: Current, images: Sequence[bytes], asking: Asking, prediction_id: str | None = None
) -> list[Outcome]:
    """The outcomes for several images, in order; as ``predicted``."""
    engine, batcher = answering(current)
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answered = await batcher.answer(images, desk.limits, asking.key_name)
    except Overloaded as error:
        raise RouteError("overloaded", str(error)) from None
    except TimeoutError:
        raise RouteError("overloaded", f"there was no answer within {ANSWER_SECONDS:g} s: send fewer or smaller images at "
                                       "once, or ask again later") from None
    done = time.perf_counter()
    return [_outcome(desk, engine, item, Timing(item.decode_seconds * 1000, (done - begun - item.decode_seconds) * 1000,
                                                (done - asking.started) * 1000), asking, prediction_id) for item in answered]


def answering(current: Current) -> tuple[Engine, Batcher]:
    """What answers; raises ``RouteError`` where nothing may."""
    if current.engine is None or current.batcher is None or current.fault is not None:
        raise RouteError(current.code, str(current.fault))
    return current.engine, current.batcher


async def taken_in(desk: Desk, engine: Engine, data: bytes) -> Taken | Refusal:
    """``intake.take`` for what is not answered now, on a worker thread, so that the loop goes on with other requests.

    Raises ``RouteError`` at once where ``DECODING_MAX`` images are there already, and where it is not done in time.
    """
    if not DECODING.acquire(blocking=False):
        raise RouteError("overloaded", f"{DECODING_MAX} images wait to be decoded already: ask again later")
    decoding = DECODERS.submit(take, data, desk.limits, engine.bundle.preprocessing)
    decoding.add_done_callback(lambda _: DECODING.release())  # when the thread is done, even if nobody waits for it any more
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asyncio.wrap_future(decoding)
    except TimeoutError:
        raise RouteError("overloaded", f"the image was not decoded within {ANSWER_SECONDS:g} s: ask again later") from None


def record(desk: Desk, kind: str, row: dict[str, Any]) -> None:
    """Keep a row of a kind ("prediction", "feedback") before it is answered; raises ``RouteError`` where that cannot be.

    A demo records nothing.
    """
    if desk.recorder is None:
        return
    try:
        desk.recorder.add(kind, row)
    except SpoolError as error:
        raise spool_error(error) from error


def spool_error(error: SpoolError) -> RouteError:
    """What a caller is told of the spool; where it lies is for the log alone."""
    logger.warning("%s", error)
    return RouteError("spool_full", CODES["spool_full"].meaning)


def concluded(desk: Desk, current: Current, outcome: Outcome) -> None:
    """What follows an answer that is recorded: counting it, and the challenger's turn."""
    if outcome.body is None or outcome.taken is None:
        return
    ood = outcome.body["out_of_distribution"]
    observe_answer(outcome.body["label"], abstained=outcome.body["abstained"], flagged=bool(ood and ood["flagged"]))
    if desk.shadow is not None:
        desk.shadow.offer(outcome.row["prediction_id"], outcome.taken, current)


def refusal_error(refusal: Refusal) -> RouteError:
    """The error that tells why an image is not taken."""
    return RouteError(refusal.kind if refusal.kind in CODES else "invalid_request", refusal.reason)


def _outcome(desk: Desk, engine: Engine, answered: Answered, timing: Timing, asking: Asking,
             prediction_id: str | None) -> Outcome:
    if isinstance(answered.outcome, Refusal):
        return _refused(engine, answered.outcome, timing, asking)
    return _answered(desk, engine, *answered.outcome, timing, asking, prediction_id)


def _refused(engine: Engine, refusal: Refusal, timing: Timing, asking: Asking) -> Outcome:
    return Outcome(refused_row(refusal, engine.bundle, engine.name, timing, asking), error=refusal_error(refusal))


def _answered(desk: Desk, engine: Engine, taken: Taken, scored: Scored, timing: Timing, asking: Asking,
              prediction_id: str | None) -> Outcome:
    own_id = prediction_id or str(uuid.uuid4())
    is_kept = desk.keeper is not None and desk.keeper.offer(taken.sha256, taken.cleaned)
    row = answered_row(own_id, engine.bundle, engine.name, taken, scored, timing, asking) | {"is_image_kept": is_kept}
    return Outcome(row, answer_of(own_id, engine.bundle, scored, timing, asking), taken=taken)
