"""Faults: the service is killed under load, and its database is away; nothing that was answered is lost."""

import time
from collections.abc import Sequence

import httpx

from skin_platform_tests.benchmarks.figures import Row, at_most
from skin_platform_tests.benchmarks.soak.setting import KEY, Setting
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.loading import Load
from skin_platform_tests.serving.processes import Process

ANSWERS = 300  # under load before each kill
JOBS = 8  # submitted before each kill, more than are worked on at once


def kills(setting: Setting) -> list[Row]:
    """``kill -9`` again and again: what was answered is stored once, what was submitted is answered once."""
    answered: list[str] = []
    jobs: list[str] = []
    starts: list[float] = []
    with setting.service() as service:
        for _ in range(setting.size.kills):
            with setting.load(service) as load:
                load.wait_for(ANSWERS)
                jobs += _submitted(service, setting.pictures)
                service.kill()
            answered += _answered(load)
            starts.append(service.start())
        done = [wait_for(lambda job=job: _finished(service, job), 120, "a job") for job in jobs]
        stored = setting.stored()
    return [
        Row(f"kill -9, {setting.size.kills} times: predictions answered", len(answered)),
        Row("kill -9: seconds from start to ready", sum(starts) / len(starts)),
        *_once("kill -9", answered, stored),
        at_most("kill -9: of the submitted jobs, not done", sum(job["status"] != "done" for job in done), None, 0),
        at_most("kill -9: of the submitted jobs, not stored once", sum(stored.count(job) != 1 for job in jobs), None, 0),
        Row("kill -9: stored, though the answer did not get out", len(set(stored) - set(answered) - set(jobs))),
    ]


def outage(setting: Setting) -> list[Row]:
    """The database is stopped under load: nobody notices, and all of it is there afterwards."""
    with setting.service() as service:
        with setting.load(service) as load:
            load.wait_for(ANSWERS)
            setting.postgres.stop()
            began = len(load.answers)
            time.sleep(setting.size.outage)
            during = len(load.answers) - began
            setting.postgres.start()
            load.wait_for(len(load.answers) + ANSWERS)
        began_at = time.monotonic()
        stored = setting.stored()
    return [
        Row(f"database stopped for {setting.size.outage:g} s: predictions answered meanwhile", during),
        at_most("database stopped: requests that were not answered 200",
                len(load.lost) + sum(answer.status != 200 for answer in load.answers), None, 0),
        *_once("database stopped", _answered(load), stored),
        Row("database stopped: seconds from the last request to the last row stored", time.monotonic() - began_at),
    ]


def _once(what: str, answered: Sequence[str], stored: Sequence[str]) -> list[Row]:
    return [at_most(f"{what}: answered, and not in the database", len(set(answered) - set(stored)), None, 0),
            at_most(f"{what}: more than once in the database", len(stored) - len(set(stored)), None, 0)]


def _answered(load: Load) -> list[str]:
    return [answer.body["prediction_id"] for answer in load.answers if answer.status == 200]


def _submitted(service: Process, pictures: Sequence[bytes]) -> list[str]:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/octet-stream"}
    with httpx.Client(trust_env=False, timeout=30, headers=headers) as http:
        answers = [http.post(f"{service.url}/predict/async", content=data) for data in pictures[:JOBS]]
    return [answer.json()["job_id"] for answer in answers if answer.status_code == 202]


def _finished(service: Process, job: str) -> dict[str, object] | None:
    answer = httpx.get(f"{service.url}/predict/async/{job}", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False)
    found: dict[str, object] = answer.json()
    return found if found.get("status") in ("done", "failed") else None
