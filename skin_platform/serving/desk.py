"""The desk: what the routes work with, and the one place that says which engine answers now.

Here: the bundle that answers, or why none does; who still works with one that was replaced. Not here: the routes
(``serving.routes``, ``serving.status``), how a bundle comes to answer (``serving.loading``), when another takes over
(``serving.following``).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request

from skin_platform.core.images import Limits
from skin_platform.serving.batching import Batcher
from skin_platform.serving.engine import Engine
from skin_platform.serving.exporting import Promotion
from skin_platform.settings import Settings

if TYPE_CHECKING:
    from skin_platform.serving.keeping import ImageKeeper
    from skin_platform.serving.parts import Part
    from skin_platform.serving.shadowing import Shadow
    from skin_platform.storage.draining import Drain
    from skin_platform.storage.jobs import Jobs
    from skin_platform.storage.keys import KeyRing
    from skin_platform.storage.online.store import OnlineStore
    from skin_platform.storage.spool import Spool

NO_CHAMPION = ("nothing has been promoted yet: `skin models list` shows which models there are and what stands against them "
               "(where there is none, train one: `skin demo`, or the job train_now); promote one with `skin models promote`")


class Users:
    """How many requests work with an engine at this moment."""

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True)
class Current:
    """The engine that answers; ``fault`` says why it must not, or why there is none, and ``code`` is that of the refusals.

    ``digest`` is the SHA-256 of its ``bundle.json``, ``promotion`` how it came to be served (None: by nobody's promotion).
    """

    engine: Engine | None
    batcher: Batcher | None = None
    fault: str | None = None
    code: str = "not_ready"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    digest: str = ""
    promotion: Promotion | None = None
    users: Users = field(default_factory=Users)

    @property
    def version(self) -> str | None:
        """The model version, where a bundle was read."""
        return self.engine.bundle.provenance.model_version if self.engine else None

    @property
    def can_answer(self) -> bool:
        """Whether it may be asked."""
        return self.fault is None and self.batcher is not None

    def close(self) -> None:
        """Answer what waits and end the inference thread."""
        if self.batcher is not None:
            self.batcher.close()


@dataclass(frozen=True)
class Refused:
    """A bundle that was exported and stays out; ``version`` None where it could not even be read."""

    version: str | None
    reason: str
    since: datetime

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"version": self.version, "reason": self.reason, "since": self.since.isoformat(timespec="seconds")}


@dataclass(frozen=True)
class Following:
    """What the service knows of the export that it follows: how the bundle there came to be, and why it stays out, if so."""

    export: Path
    promotion: Promotion | None = None
    refused: Refused | None = None


@dataclass
class Desk:
    """``current`` is replaced whole; a request takes it once, by ``using``, and goes on with it whatever happens meanwhile.

    ``recorder``, ``drain``, ``store``, ``jobs`` and ``keys`` are None in a demo, ``followed`` where the bundle is pinned,
    ``shadow`` and ``keeper`` where they are switched off; ``parts`` are those that work beside the requests, by name.
    """

    current: Current
    recorder: "Spool | None"
    keys: "KeyRing | None"
    limits: Limits
    settings: Settings
    followed: Following | None = None
    shadow: "Shadow | None" = None
    keeper: "ImageKeeper | None" = None
    store: "OnlineStore | None" = None
    jobs: "Jobs | None" = None
    drain: "Drain | None" = None
    parts: "dict[str, Part]" = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def using(self) -> Iterator[Current]:
        """What answers now, for one request: it is not closed before the block ends. Enter it once the body was read."""
        with self._lock:
            current = self.current
            current.users.count += 1
        try:
            yield current
        finally:
            with self._lock:
                current.users.count -= 1

    def replace(self, new: Current) -> Current:
        """Let ``new`` answer from now on; returns the former, to be closed when it has no users any more."""
        with self._lock:
            former, self.current = self.current, new
        return former


def nobody(settings: Settings) -> Current:
    """Before the first promotion."""
    return Current(None, None, no_champion(settings), "no_champion")


def no_champion(settings: Settings) -> str:
    """Why nothing answers before the first promotion, and what is to be done."""
    return NO_CHAMPION + ("; the running service takes it up then, by itself" if settings.skin_follow_champion else
                          ", then start the service anew, since SKIN_FOLLOW_CHAMPION is false")


def desk_of(request: Request) -> Desk:
    """The desk of the application that was asked."""
    desk: Desk = request.app.state.desk
    return desk
