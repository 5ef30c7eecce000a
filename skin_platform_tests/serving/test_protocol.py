"""The protocol: no client makes the service keep or await more than it should."""

import contextlib
import json
import socket
import threading
import time

import pytest
import uvicorn

from skin_platform.serving import protocol
from skin_platform_tests.deployments import free_port, wait_for


async def answer(scope, receive, send):
    """Answers without reading the body; `/large` with more than a client's buffers take."""
    size = 30_000_000 if scope["path"] == "/large" else 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
    await send({"type": "http.response.body", "body": b"x" * size})


@contextlib.contextmanager
def served(port):
    server = uvicorn.Server(uvicorn.Config(answer, port=port, http=protocol.BoundedProtocol, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, 10, "the server")
        yield server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def port():
    port = free_port()
    with served(port):
        yield port


def connected(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read(connection):
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize("piece", [b"a" * 8000, b"X-A: a\r\n" * 1000], ids=["one endless header", "headers without end"])
def test_a_head_without_end_is_refused(port, piece):
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-B: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(piece)
        told = read(connection)
    if told:  # else what was sent after the refusal has made the kernel drop it
        assert told.startswith(b"HTTP/1.1 431 ")
        assert json.loads(told.partition(b"\r\n\r\n")[2])["code"] == "headers_too_large"
    with connected(port) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read(other).endswith(b"xx")


def test_a_head_that_does_not_come_is_not_awaited_for_ever(port, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    for sent in (b"", b"GET / HTTP/1.1\r\nHost"):
        with connected(port) as connection:
            connection.sendall(sent)
            assert read(connection) == b""


def test_a_body_that_was_answered_before_it_came_is_not_taken_for_ever(port, monkeypatch):
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.2)
    with connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert read(connection).startswith(b"HTTP/1.1 200 ")


def test_requests_after_each_other_and_at_once_are_answered(port):
    with connected(port) as connection:
        one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(one + one)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read(connection).count(b"HTTP/1.1 200 ") == 3


def test_what_is_no_http_gets_the_one_shape_of_errors(port):
    with connected(port) as connection:
        connection.sendall(b"no http at all\r\n\r\n")
        told = read(connection)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert set(json.loads(told.partition(b"\r\n\r\n")[2])) == {"code", "message", "request_id"}


def test_a_client_that_does_not_read_does_not_keep_the_service_from_ending(monkeypatch):
    monkeypatch.setattr(protocol, "SHUTDOWN_SECONDS", 0.3)
    port = free_port()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with served(port):
            slow.connect(("127.0.0.1", port))
            slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.1)
