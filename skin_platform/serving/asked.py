"""Asked: what is known of one request while it is worked on, and whether who asked is still there.

Here: its id, key and bytes; giving up what it awaits. Not here: how it comes in and goes out (``serving.front``), who notices
that a client has hung up (``serving.protocol``).
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from skin_platform.serving.bundle import Provenance
from skin_platform.serving.errors import RouteError
from skin_platform.storage.keys import Key

BODIES_BYTES = 1_000_000_000  # of all bodies at once; one alone is taken whatever its limit


class Held:
    """The bytes of all bodies that are in memory; the limits of one body do not bound those of a hundred at once."""

    def __init__(self) -> None:
        self.count = 0


@dataclass(slots=True)
class Asked:
    """One request, as the log tells it; the routes add what they learn."""

    request_id: str
    held: Held
    started: float = field(default_factory=time.perf_counter)
    key: Key | None = None
    origin: Provenance | None = None
    code: str | None = None
    status: int = 0
    body_bytes: int = 0
    is_gone: bool = False
    awaiting: asyncio.Task[Any] | None = None

    def hold(self, count: int) -> None:
        """Take so many bytes of the body into memory, until the answer; raises ``RouteError`` where there are too many."""
        if self.held.count + count > BODIES_BYTES and self.held.count > self.body_bytes:
            raise RouteError("overloaded", "too much is being sent at once: ask again later", {"Connection": "close"})
        self.held.count += count
        self.body_bytes += count

    @contextmanager
    def while_heard(self) -> Iterator[None]:
        """Give up what is awaited in the block as soon as who asked has hung up; raises ``ClientDisconnect``."""
        task = self.awaiting = asyncio.current_task()
        try:
            if self.is_gone:
                raise ClientDisconnect
            yield
        except asyncio.CancelledError:
            if task is None or not self.is_gone:
                raise
            task.uncancel()
            raise ClientDisconnect from None
        finally:
            self.awaiting = None

    def hang_up(self) -> None:
        """Who asked has gone: the connection says so, in the loop's thread."""
        self.is_gone = True
        if self.awaiting is not None:
            self.awaiting.cancel()

    @property
    def key_name(self) -> str | None:
        """The name of the key that asks."""
        return self.key.name if self.key else None


def asked_of(request: Request) -> Asked:
    """What is known of this request."""
    asked: Asked = request.scope["asked"]
    return asked
