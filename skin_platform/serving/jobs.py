"""Jobs' worker: asynchronous predictions are answered beside the requests, by the engine that answers these.

Here: who works on a job, and when one is put back. Not here: where jobs are kept (``storage.jobs``), how an image is answered
(``serving.predicting``).
"""

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from skin_platform.serving.desk import Desk
from skin_platform.serving.errors import RouteError
from skin_platform.serving.predicting import concluded, predicted
from skin_platform.serving.predictions import Asking
from skin_platform.storage.spool_file import SpoolError

if TYPE_CHECKING:
    from skin_platform.storage.jobs import Claimed, Jobs

logger = logging.getLogger("bentoml.skin_platform")
POLL_SECONDS = 0.1  # a look is one indexed query; jobs of a process that died, or of another service, are seen by it
PAUSE_SECONDS = 1.0  # before a job is tried again that met an overloaded service, or a full disk
AT_ONCE = 4  # jobs in work: enough to share a pass through the model, few beside the requests
ATTEMPTS = 3  # a job that took its process down this often is given up


class Worker:
    """A thread with an event loop of its own, so that the jobs' decoding and waiting is none of the requests'."""

    def __init__(self, desk: Desk, jobs: "Jobs") -> None:
        self._desk, self._jobs = desk, jobs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="jobs", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish the jobs that are in work; the others wait for the next process."""
        self._stop.set()
        self._thread.join()

    async def _work(self) -> None:
        in_work: set[asyncio.Task[None]] = set()
        while not self._stop.is_set():
            claimed = self._claimed() if len(in_work) < AT_ONCE else None
            if claimed:
                in_work.add(task := asyncio.create_task(self._finish(claimed)))
                task.add_done_callback(in_work.discard)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(POLL_SECONDS)
        await asyncio.gather(*in_work)

    def _claimed(self) -> "Claimed | None":
        """A job to work on, where there is one and something to answer it with."""
        if not self._desk.current.can_answer:
            return None
        try:
            return self._jobs.claim()
        except SpoolError as error:
            logger.warning("no job can be claimed now: %s", error)
            return None
        except Exception:  # a fault of ours: the other jobs must go on, and so must this thread
            logger.exception("no job can be claimed now")
            return None

    async def _finish(self, claimed: "Claimed") -> None:
        """Answer one job. It is put back where the service cannot answer now; a refused image is an answer, too."""
        try:
            if claimed.attempts > ATTEMPTS:
                self._fail(claimed, f"the service ended {ATTEMPTS} times while it worked on this image")
            else:
                await self._answer(claimed)
        except (RouteError, SpoolError) as error:
            logger.warning("job %s is tried again: %s", claimed.job_id, error)
            await asyncio.sleep(PAUSE_SECONDS)
            self._put_back(claimed)
        except Exception:  # whatever an image makes a library raise is this job's, not the others'
            logger.exception("job %s failed", claimed.job_id)
            self._fail(claimed, "a fault of the service; its log has the job's id")

    async def _answer(self, claimed: "Claimed") -> None:
        """Record and finish in one transaction: a process that dies here has done both or neither."""
        options = claimed.options
        asking = Asking(options["request_id"], "async", options["key_name"], options["top_k"], time.perf_counter(),
                        options.get("delivered_sha256"))
        with self._desk.using() as current:
            outcome = await predicted(self._desk, current, claimed.image, asking, claimed.job_id)
            error = _error(outcome.error.code, str(outcome.error), claimed) if outcome.error else None
            self._jobs.finish(claimed.job_id, outcome.body, error, outcome.row)
            concluded(self._desk, current, outcome)

    def _fail(self, claimed: "Claimed", told: str) -> None:
        try:
            self._jobs.finish(claimed.job_id, error=_error("internal", told, claimed))
        except SpoolError as error:
            logger.warning("that job %s failed is not noted: %s", claimed.job_id, error)
            self._put_back(claimed)

    def _put_back(self, claimed: "Claimed") -> None:
        try:
            self._jobs.release(claimed.job_id)
        except SpoolError as error:
            logger.warning("job %s is claimed again by the next process: %s", claimed.job_id, error)


def _error(code: str, message: str, claimed: "Claimed") -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": claimed.options["request_id"]}
