"""Asking: clients that post pictures over connections that stay open, in a process of their own and as light as it gets.

    SERVED_MODEL=FOLDER python -m skin_platform_tests.benchmarks.asking

Here: a protocol of asyncio on uvloop, requests made beforehand: about 60 microseconds of processor a request, where an HTTP
library takes 500, which would be taken from the service on the same two cores. Each line that it reads is ``{"port": P,
"concurrency": N, "seconds": S, "key": K}``; it answers with ``{"seconds": [of each request], "refused": [statuses]}``.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import uvloop

HOST, BOUNDARY = "127.0.0.1", "6f1c0a7d"


def large_pictures(folder: Path) -> list[bytes]:
    """The pictures of 80 to 105 kB, of those that ``served_model`` wrote into ``folder``."""
    found = [path.read_bytes() for path in sorted((folder / "pictures").rglob("*.jpg"))]
    return [data for data in found if 80_000 <= len(data) <= 105_000]


def request_of(picture: bytes, path: str, key: str) -> bytes:
    """A whole request with the form's file ``image``."""
    body = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n").encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    return (f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n").encode() + body


@dataclass
class Asked:
    """What came of the requests of some clients by ``ends`` (``time.perf_counter``); what is answered later is not counted."""

    requests: Any
    ends: float
    seconds: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection: asks, waits for the whole answer, asks again."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._got, self._began = asked, b"", 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask first."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is of no such class, but of its kind
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Once the answer is whole, ask again."""
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        status, now = int(head[9:12]), time.perf_counter()
        if status != 200:
            self._asked.refused.append(status)
        elif now <= self._asked.ends:
            self._asked.seconds.append(now - self._began)
        self._got = b""
        if now < self._asked.ends:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends before its time has lost a request."""
        if self._got or time.perf_counter() < self._asked.ends:
            self._asked.refused.append(0)
        self.done.set_result(None)

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._asked.requests))


async def ask(port: int, concurrency: int, seconds: float, requests: Any) -> Asked:
    """What came of ``concurrency`` clients in ``seconds``."""
    asked = Asked(requests, time.perf_counter() + seconds)
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: Client(asked), HOST, port))[1] for _ in range(concurrency)]
    await asyncio.gather(*(client.done for client in clients))
    return asked


def main() -> None:
    """Answer each line until there is none."""
    pictures = large_pictures(Path(os.environ["SERVED_MODEL"]))
    for line in sys.stdin:
        order = json.loads(line)
        requests = cycle([request_of(data, order.get("path", "/predict"), order.get("key", "none")) for data in pictures])
        asked = uvloop.run(ask(order["port"], order["concurrency"], order["seconds"], requests))
        print(json.dumps({"seconds": asked.seconds, "refused": asked.refused}), flush=True)


if __name__ == "__main__":
    main()
