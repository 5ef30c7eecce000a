"""Load: clients that ask a running service about pictures, one request after the other, over connections that stay open.

Here: a few lines of HTTP on asyncio, since a full client would take as much of the processor as the service it asks.
Not here: what is made of the answers (the tests, ``benchmarks.soak``).
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What came back for the picture of that number, between two moments (``time.monotonic``); the body of a 200 parsed."""

    number: int
    status: int
    body: dict[str, Any]
    began: float
    ended: float


@dataclass
class Load:
    """``concurrency`` clients that take turns at the pictures until the block ends, or until ``total`` requests were sent.

    ``lost`` has a line for each request that got no whole answer.
    """

    port: int
    pictures: Sequence[bytes]
    concurrency: int = 8
    total: int | None = None
    headers: str = ""
    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sent, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Until all ``total`` requests were answered."""
        self._thread.join()

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Until ``count`` answers are there."""
        deadline = time.monotonic() + seconds
        while len(self.answers) < count:
            assert time.monotonic() < deadline, f"{len(self.answers)} answers in {seconds:g} s; lost: {self.lost[-3:]}"
            time.sleep(0.01)

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self.concurrency)))

    async def _client(self) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stop.is_set() and (self.total is None or self._sent < self.total):
            number, began = self._sent % len(self.pictures), time.monotonic()
            self._sent += 1
            try:
                streams = streams or await asyncio.open_connection(HOST, self.port)
                status, body, stays = await ask(*streams, self.pictures[number], self.headers)
                self.answers.append(Answer(number, status, json.loads(body), began, time.monotonic()))
                if stays:
                    continue
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.lost.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.02)
            if streams:
                streams[1].close()
                with contextlib.suppress(OSError):
                    await streams[1].wait_closed()
                streams = None
        if streams:
            streams[1].close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, picture: bytes, headers: str = "",
              path: str = "/predict") -> tuple[int, bytes, bool]:
    """Post one picture; status, body, and whether the connection stays open."""
    writer.write((f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/octet-stream\r\n"
                  f"Content-Length: {len(picture)}\r\n{headers}\r\n").encode() + picture)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await reader.readexactly(int(fields["content-length"]))
    return int(head[0].split()[1]), body, fields.get("connection") != "close"
