"""The service as a process, under load: champions that move, and `kill -9`. (``benchmarks.soak`` has the long versions.)"""

import os
import signal
import socket
from pathlib import Path

import pytest

from skin_platform.serving.engine import Engine
from skin_platform.settings import load_settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.loading import Load
from skin_platform_tests.serving.moving import Move, wrong_answers
from skin_platform_tests.serving.processes import serving
from skin_platform_tests.serving.tiny_bundles import picture, promoted, tiny_bundle, version_of

pytestmark = pytest.mark.slow
PICTURES = [picture(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service whose champion is version 1, and which has answered."""
    home = tmp_path_factory.mktemp("under load")
    promoted(load_settings(skin_home=home), tiny_bundle(1), 1)
    with serving(home) as process:
        yield process


def test_no_request_is_lost_when_the_champion_moves_and_each_answer_is_that_of_the_version_it_names(service):
    settings = load_settings(skin_home=service.home)
    moves = [Move(version_of(1), 0.0, service.wait_for_version(version_of(1)))]
    with Load(service.port, PICTURES) as load:
        for move, number in enumerate((2, 3, 2), 2):
            load.wait_for(len(load.answers) + 50)
            promoted(settings, tiny_bundle(number), move)
            moves.append(Move(version_of(number), moves[-1].answering, service.wait_for_version(version_of(number))))
        load.wait_for(len(load.answers) + 50)
    assert load.lost == []
    assert {answer.status for answer in load.answers} == {200}
    engines = {version_of(number): Engine(tiny_bundle(number)) for number in (1, 2, 3)}
    assert wrong_answers(load.answers, moves, engines, PICTURES) == []
    assert {answer.body["model_version"] for answer in load.answers} == set(engines)


def test_the_served_process_keeps_http_within_bounds(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"no http at all\r\n\r\n")
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"code": "invalid_http"' in told  # uvicorn's own words are others


def test_what_was_answered_is_stored_exactly_once_after_kill_9(service):
    with Load(service.port, PICTURES) as load:
        load.wait_for(200)
        service.kill()
    answered = {answer.body["prediction_id"] for answer in load.answers if answer.status == 200}
    assert len(answered) >= 200
    service.start()
    settings = load_settings(skin_home=service.home)
    spool, store = Spool(settings.home.spool, settings.skin_spool_bytes), OnlineStore(settings.online_url)
    wait_for(lambda: spool.depth == 0, 60, "the spool to be drained")
    spool.close()
    stored = [row["prediction_id"] for row in store.predictions()]
    assert answered <= set(stored)
    assert len(stored) == len(set(stored))


def test_a_worker_that_was_ended_alone_is_followed_by_one_that_listens(service):
    worker = service.worker
    os.kill(worker, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 30, "the worker to end")
    wait_for(lambda: service.get("/readyz") is not None, 60, "the next one")
    assert service.worker != worker


def test_no_worker_outlives_a_supervisor_that_was_killed(service):
    worker = service.worker
    os.kill(service.supervisor, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 30, "the worker to end")
    assert service.get("/livez") is None
