"""Asking: the requests that can be made of the service, whoever makes them.

Here: which there are and what is sent. Not here: sending (``client``), when it is done once more (``retrying``).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from skin_platform.retrying import ApiError

Json = dict[str, Any]
Answer = TypeVar("Answer")
Image = bytes | str | Path


@dataclass(frozen=True)
class Call:
    """One request; ``repeatable`` where making it twice does no harm."""

    method: str
    path: str
    options: Json = field(default_factory=dict)
    repeatable: bool = True


class Calls(Generic[Answer]):
    """What both clients can ask. Every method ends in ``ApiError`` where the answer is not the one asked for."""

    @abstractmethod
    def _ask(self, call: Call) -> Answer:
        """The answer to ``call``."""

    def predict(self, image: Image, top_k: int = 3) -> Answer:
        """``/predict`` for encoded bytes or a file: label, probabilities, prediction set, where the answer comes from."""
        return self._ask(Call("POST", "/predict", _one(image, top_k)))

    def predict_batch(self, images: Sequence[Image], top_k: int = 3) -> Answer:
        """``/predict/batch``: under ``predictions``, in order, an answer or ``code`` and ``message`` for each image."""
        files = [("images", ("image", _bytes(image))) for image in images]
        return self._ask(Call("POST", "/predict/batch", {"params": {"top_k": top_k}, "files": files}))

    def feedback(self, prediction_id: str, correct_label: str, given_by: str, note: str = "") -> Answer:
        """``/feedback``: what the image of a prediction really showed, and who says so."""
        body = {"prediction_id": prediction_id, "correct_label": correct_label, "given_by": given_by, "note": note}
        return self._ask(Call("POST", "/feedback", {"json": body}))

    def submit(self, image: Image, top_k: int = 3) -> Answer:
        """``/predict/async``: take the image now, answer later; the ``job_id`` under which ``job`` finds it."""
        return self._ask(Call("POST", "/predict/async", _one(image, top_k), repeatable=False))

    def job(self, job_id: str) -> Answer:
        """``/predict/async/{job_id}``: how far a submitted image is, and its answer."""
        return self._ask(Call("GET", f"/predict/async/{job_id}"))

    def lineage(self, prediction_id: str) -> Answer:
        """``/lineage/predictions/{id}``: what a prediction came from; needs a key of the scope ``operate``."""
        return self._ask(Call("GET", f"/lineage/predictions/{prediction_id}"))

    def health(self) -> Answer:
        """``/health``: is it up, may it be asked."""
        return self._ask(Call("GET", "/health"))

    def model_status(self) -> Answer:
        """``/model-status``: which model answers, how good, how old, trained on what."""
        return self._ask(Call("GET", "/model-status"))


def ended(job: Json) -> Json | None:
    """The answer of a job that is done, None of one that goes on; raises ``ApiError`` for one that failed."""
    if job["status"] == "failed":
        error = job.get("error") or {}
        raise ApiError(0, str(error.get("code", "failed")), str(error.get("message", "the image could not be answered")),
                       error.get("request_id"))
    return job["result"] if job["status"] == "done" else None


def not_yet(job: Json, seconds: float) -> ApiError:
    """What is told of a job that goes on after ``seconds``."""
    return ApiError(0, "timeout", f"job {job['job_id']} is {job['status']} after {seconds:g} s; ask for it again with job()")


def address(base_url: str) -> httpx.URL:
    """``base_url`` as one; raises ``ApiError`` where it is none."""
    try:
        return httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ApiError(0, "bad_address", f"{base_url} is no address of a service: {error}") from None


def headers(api_key: str) -> dict[str, str]:
    """What every request carries; raises ``ApiError`` for a key that no header can carry, without showing it."""
    key = api_key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ApiError(0, "bad_key", "the API key has characters that cannot be sent: copy it anew")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _one(image: Image, top_k: int) -> Json:
    return {"params": {"top_k": top_k}, "content": _bytes(image), "headers": {"Content-Type": "application/octet-stream"}}


def _bytes(image: Image) -> bytes:
    return image if isinstance(image, bytes) else Path(image).read_bytes()
