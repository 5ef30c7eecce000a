"""A faulty endpoint: an HTTP proxy in front of a real S3 endpoint that fails requests as told, then lets them through."""

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Faults:
    """What goes wrong with the next requests of a method; ``seen`` holds the methods that came, in order.

    ``503``, ``429`` and ``500`` answer with that status; ``reset`` closes with a TCP reset before an answer, ``lost`` after the
    request was carried out; ``cut`` resets half-way through the body, ``short`` ends it there; ``flip`` changes one byte.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._planned: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()

    def plan(self, method: str, *faults: str, path: str = "") -> None:
        """Let the next requests of ``method`` with ``path`` in their address suffer these faults, one each."""
        self._planned += [(method, path, fault) for fault in faults]

    def next(self, method: str, path: str) -> str | None:
        """The fault that this request suffers."""
        with self._lock:
            self.seen.append(method)
            for entry in self._planned:
                if entry[0] == method and entry[1] in path:
                    self._planned.remove(entry)
                    return entry[2]
        return None

    @property
    def is_spent(self) -> bool:
        """Whether every planned fault was suffered."""
        return not self._planned


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: str
    faults: Faults

    def pass_on(self) -> None:
        """Let the request suffer its fault, or hand it to the real endpoint."""
        body = self._request_body()
        fault = self.faults.next(self.command, self.path)
        if fault and fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "reset":
            self._reset()
            return
        connection = http.client.HTTPConnection(self.upstream, timeout=20)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        if body or self.command in ("PUT", "POST"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        self._answer(answer, answer.read(), fault)
        connection.close()

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, fault: str | None) -> None:
        if fault == "lost":
            self._reset()
            return
        if fault == "flip":
            data = bytes([data[0] ^ 1]) + data[1:]
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if fault in ("cut", "short") else data)
        if fault == "cut":
            self._reset()
        elif fault == "short":
            self.close_connection = True

    def _request_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty(endpoint: str) -> Iterator[tuple[str, Faults]]:
    """The address of a proxy in front of ``endpoint``, and what goes wrong there."""
    faults = Faults()
    methods = {f"do_{method}": _Proxy.pass_on for method in ("GET", "PUT", "POST", "DELETE", "HEAD")}
    proxy = type("Proxy", (_Proxy,), {"upstream": urlparse(endpoint).netloc, "faults": faults, **methods})
    server = ThreadingHTTPServer(("127.0.0.1", 0), proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
