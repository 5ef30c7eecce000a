"""Jobs: asynchronous predictions, submitted to one process and finished by it or by the next (in the spool's file).

Here: submitted, claimed, finished; a job whose process died is claimed again. Not here: rows that wait for the online database
(``storage.spool``), who works on jobs (``serving.jobs``).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from skin_platform.storage.spool import Spool, as_text
from skin_platform.storage.spool_file import SpoolFullError
from skin_platform.storage.workers import Worker, bury, is_alive

State = Literal["waiting", "running", "done", "failed"]
WAITING_MAX = 1000
FINISHED_MAX = 10_000  # the results of older jobs are forgotten; by number, since a clock may jump
FORGET_EVERY = 100  # finished jobs


class JobsFullError(SpoolFullError):
    """As many jobs wait as may, or their images take as much as they may."""


@dataclass(frozen=True)
class Claimed:
    """A job for who claimed it; ``attempts`` counts this one, so that a job that kills its process can be given up."""

    job_id: str
    image: bytes
    options: dict[str, Any]
    attempts: int


@dataclass(frozen=True)
class Job:
    """What is known of a job; ``key_name``: whose it is; ``result`` where it is done, ``error`` where it failed."""

    job_id: str
    state: State
    key_name: str | None
    submitted_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Jobs:
    """The jobs in the file of ``spool``; their images take half of its bytes at most. All methods may raise ``SpoolError``."""

    def __init__(self, spool: Spool, max_waiting: int = WAITING_MAX, max_finished: int = FINISHED_MAX) -> None:
        self._spool, self._file, self._max_waiting, self._max_finished = spool, spool.file, max_waiting, max_finished
        self._worker: Worker | None = None  # who never claims needs no file that says so
        self._finished = 0

    def submit(self, job_id: str, image: bytes, options: Mapping[str, Any]) -> None:
        """Keep a job; on return it outlives this process. Raises ``JobsFullError``, ``SpoolFullError``."""
        kept = self._file.insert(
            "INSERT INTO jobs(number, job_id, state, options, image_bytes, image) SELECT ?, ?, 'waiting', ?, ?, ? "
            "WHERE (SELECT count(*) FROM jobs WHERE state = 'waiting') < ? AND "
            "(SELECT coalesce(sum(image_bytes), 0) FROM jobs WHERE state IN ('waiting', 'running')) + ? <= ? RETURNING number",
            (job_id, as_text(options), len(image), image, self._max_waiting, len(image),
             self._file.max_bytes // 2))
        if not kept:
            raise JobsFullError(f"{self.waiting} predictions wait to be made: submit this one again later")

    def claim(self) -> Claimed | None:
        """The oldest job that nobody works on, for this process; None where there is none."""
        if not self._file.do("SELECT 1 FROM jobs WHERE state IN ('waiting', 'running') LIMIT 1"):
            return None
        with self._file.transaction():
            self._worker = self._worker or Worker(self._file.path)
            self._free_those_of_the_dead(self._worker.name)
            found = self._file.do(
                "UPDATE jobs SET state = 'running', worker = ?, attempts = attempts + 1 WHERE number = "
                "(SELECT number FROM jobs WHERE state = 'waiting' ORDER BY number LIMIT 1) "
                "RETURNING job_id, image, options, attempts", (self._worker.name,))
        return Claimed(found[0][0], found[0][1], json.loads(found[0][2]), found[0][3]) if found else None

    def release(self, job_id: str) -> None:
        """Let another have a claimed job; it does not count as an attempt."""
        self._file.do("UPDATE jobs SET state = 'waiting', worker = NULL, attempts = attempts - 1 "
                      "WHERE job_id = ? AND state = 'running'", (job_id,))

    def finish(self, job_id: str, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None,
               row: Mapping[str, Any] | None = None) -> None:
        """Note what became of a job and forget its image; the ``row`` of its prediction joins the spool, both or neither."""
        with self._file.transaction():
            changed = self._file.do(
                "UPDATE jobs SET state = ?, finished_at = ?, result = ?, error = ?, image = NULL, image_bytes = 0, "
                "worker = NULL WHERE job_id = ? AND state = 'running' RETURNING number",
                ("done" if error is None else "failed", time.time(), _text(result), _text(error), job_id))
            if changed and row is not None:
                self._spool.add("prediction", row)
            self._finished += 1
            if self._finished % FORGET_EVERY == 0:
                self._file.do("DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE state IN ('done', 'failed') "
                              "ORDER BY number DESC LIMIT -1 OFFSET ?)", (self._max_finished,))

    def job(self, job_id: str) -> Job | None:
        """What is known of a job, or None."""
        found = self._file.do("SELECT state, options, number, finished_at, result, error FROM jobs WHERE job_id = ?", (job_id,))
        if not found:
            return None
        state, options, number, finished, result, error = found[0]
        submitted, key_name = datetime.fromtimestamp(number / 1e9, UTC), json.loads(options).get("key_name")
        return Job(job_id, state, key_name, submitted, _moment(finished), _read(result), _read(error))

    @property
    def waiting(self) -> int:
        """How many jobs nobody works on yet."""
        return int(self._file.do("SELECT count(*) FROM jobs WHERE state = 'waiting'")[0][0])

    def close(self) -> None:
        """Leave: what this process has claimed can be claimed again."""
        if self._worker is not None:
            self._worker.leave()
            self._worker = None

    def _free_those_of_the_dead(self, mine: str) -> None:
        for [worker] in self._file.do("SELECT DISTINCT worker FROM jobs WHERE state = 'running' AND worker <> ?", (mine,)):
            if not is_alive(self._file.path, worker):
                self._file.do("UPDATE jobs SET state = 'waiting', worker = NULL WHERE worker = ?", (worker,))
                bury(self._file.path, worker)


def _moment(stamp: float | None) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC)


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else as_text(value)


def _read(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(json.loads(text))
