"""Jobs: asynchronous predictions, submitted by one process and finished by it or by the next (in the spool's file).

Here: submitted, claimed, finished; a job that a dead process had claimed is claimed again. Not here: rows that wait for the
online database (``storage.spool``), who works on jobs (``serving.jobs``).
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from skin_platform.storage.spool import Spool, SpoolError

State = Literal["waiting", "running", "done", "failed"]


class JobsFullError(SpoolError):
    """As many jobs wait as may."""


@dataclass(frozen=True)
class Claimed:
    """A job to be worked on by who claimed it."""

    job_id: str
    image: bytes
    options: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is known of a job; ``result`` where it is done, ``error`` where it failed."""

    job_id: str
    state: State
    submitted_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Jobs:
    """The jobs in the file of ``spool``."""

    def __init__(self, spool: Spool, max_waiting: int = 1000) -> None:
        self._spool, self._max = spool, max_waiting
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[bytes, dict[str, Any], Job]] = {}

    def submit(self, job_id: str, image: bytes, options: Mapping[str, Any]) -> None:
        """Keep a job; on return it outlives this process. Raises ``JobsFullError``, ``SpoolFullError``, ``SpoolError``."""
        with self._lock:
            self._jobs[job_id] = (image, dict(options), Job(job_id, "waiting", datetime.now(UTC), None, None, None))

    def claim(self) -> Claimed | None:
        """The oldest job that nobody works on, for this process; None where there is none."""
        with self._lock:
            for job_id, (image, options, job) in self._jobs.items():
                if job.state == "waiting":
                    self._jobs[job_id] = (image, options, Job(job_id, "running", job.submitted_at, None, None, None))
                    return Claimed(job_id, image, options)
        return None

    def finish(self, job_id: str, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None) -> None:
        """Note what became of a job, and forget its image."""
        with self._lock:
            _image, options, job = self._jobs[job_id]
            self._jobs[job_id] = (b"", options, Job(job_id, "failed" if error else "done", job.submitted_at, datetime.now(UTC),
                                                    json.loads(json.dumps(result)), json.loads(json.dumps(error))))

    def job(self, job_id: str) -> Job | None:
        """What is known of a job, or None."""
        with self._lock:
            found = self._jobs.get(job_id)
        return found[2] if found else None

    @property
    def waiting(self) -> int:
        """How many jobs nobody works on yet."""
        with self._lock:
            return sum(job.state == "waiting" for _, _, job in self._jobs.values())
