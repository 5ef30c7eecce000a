"""Promises to those who hang up: what they asked for is not worked on any more, and the others notice nothing."""

import socket
from dataclasses import replace

import httpx
import pytest

from skin_platform.serving.batching import Batcher
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.held import Held
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.listening import heard
from skin_platform_tests.serving.tiny_bundles import picture


@pytest.fixture
def held(tmp_path):
    """A service whose engine computes when it is told to, its address, the engine."""
    with in_process(tmp_path / "home", champion()) as service:
        engine = Held(1)
        former = service.desk.replace(replace(service.desk.current, engine=engine, batcher=Batcher(engine)))
        try:
            with heard(service) as url:
                yield service, url, engine
        finally:
            engine.let.release(1000)
            service.desk.replace(former).close()


def asked(url, path, body, kind):
    """A connection on which a whole request has been sent."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_an_image_whose_sender_has_hung_up_is_neither_computed_nor_recorded(held):
    service, url, engine = held
    form = httpx.Request("POST", url, files=[("images", ("a.png", picture(seed))) for seed in range(3)])
    running = asked(url, "/predict", picture(1), "image/png")
    assert engine.began.acquire(timeout=10)
    waiting = [asked(url, "/predict", picture(2), "image/png"),
               asked(url, "/predict/batch", form.read(), form.headers["content-type"])]
    wait_for(lambda: service.desk.current.batcher.waiting == 5, 10, "five images")
    for connection in (running, *waiting):
        connection.close()
    wait_for(lambda: service.desk.current.users.count == 0, 10, "every handler's end")
    engine.let.release(1000)
    answer = httpx.post(f"{url}/predict", content=picture(3), headers={"Content-Type": "image/png"}, trust_env=False)
    assert answer.status_code == 200
    assert [size for size, _ in engine.passes] == [1, 1]
    assert service.desk.current.batcher.waiting == 0
    assert service.desk.store is not None
    wait_for(lambda: [row["prediction_id"] for row in service.desk.store.predictions()] == [answer.json()["prediction_id"]],
             10, "one recorded prediction")


def test_who_hangs_up_is_told_of_in_the_measures_and_a_connection_that_stays_may_ask_again(held):
    _, url, engine = held
    with httpx.Client(base_url=url, trust_env=False) as client:
        engine.let.release(2)
        for seed in (1, 2):
            assert client.post("/predict", content=picture(seed), headers={"Content-Type": "image/png"}).status_code == 200
        before = _gone(client)
        asked(url, "/predict", picture(1), "image/png").close()
        wait_for(lambda: _gone(client) == before + 1, 10, "499")
        engine.let.release(10)
        assert client.post("/predict", content=picture(4), headers={"Content-Type": "image/png"}).status_code == 200


def _gone(client):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("skin_requests_total") and 'status="499"' in line)
