"""Submitting: an image now, its prediction later; it outlives the process.

Here: the two routes, and what is kept of the image until then. Not here: who works on it (``serving.jobs``), where it waits
(``storage.jobs``).
"""

import uuid
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from skin_platform.core.images import Refusal
from skin_platform.serving.asked import asked_of
from skin_platform.serving.bodies import read_image
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.errors import RouteError, json_answer
from skin_platform.serving.ids import is_id
from skin_platform.serving.predicting import answering, refusal_error, taken_in
from skin_platform.serving.requests import top_k_of
from skin_platform.storage.jobs import Job, Jobs, JobsFullError

NOT_IN_DEMO = "a demo keeps nothing, so nothing can be fetched later: ask /predict"


async def submit(request: Request) -> Response:
    """Take one image, to be predicted in its turn; the answer says where its result will be."""
    desk, asked, top_k = desk_of(request), asked_of(request), top_k_of(request)
    jobs = _jobs(desk)
    answering(desk.current)
    data = await read_image(request, desk.limits.max_bytes)
    with desk.using() as current, asked.while_heard():
        taken = await taken_in(desk, answering(current)[0], data)
    if isinstance(taken, Refusal):
        raise refusal_error(taken)
    job_id = str(uuid.uuid4())
    options = {"top_k": top_k, "request_id": asked.request_id, "key_name": asked.key_name,
               "delivered_sha256": taken.delivered_sha256}
    try:  # the cleaned bytes: what an image tells of people is not stored, not even until its turn
        await run_in_threadpool(jobs.submit, job_id, taken.cleaned, options)
    except JobsFullError as error:
        raise RouteError("overloaded", str(error)) from None
    path = f"/predict/async/{job_id}"
    return json_answer({"job_id": job_id, "status": "waiting", "status_url": path, "request_id": asked.request_id}, 202,
                       {"Location": path})


async def fetch(request: Request) -> Response:
    """How far a submitted image is, and its prediction or error once it is done.

    To another key than the one that submitted it there is no such job; one of the scope ``operate`` may look at all.
    """
    jobs, job_id, key = _jobs(desk_of(request)), request.path_params["job_id"], asked_of(request).key
    job = await run_in_threadpool(jobs.job, job_id) if is_id(job_id) else None
    if job is None or (key is not None and key.name != job.key_name and "operate" not in key.scopes):
        raise RouteError("unknown_job", "there is no job of this id")
    return json_answer({**_told(job), "request_id": asked_of(request).request_id})


def _jobs(desk: Desk) -> Jobs:
    if desk.jobs is None:
        raise RouteError("not_in_demo", NOT_IN_DEMO)
    return desk.jobs


def _told(job: Job) -> dict[str, Any]:
    return {"job_id": job.job_id, "status": job.state, "submitted_at": job.submitted_at.isoformat(),
            "finished_at": job.finished_at.isoformat() if job.finished_at else None, "result": job.result, "error": job.error}
