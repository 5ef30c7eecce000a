"""The desk: what the routes work with, and the one place that says which engine answers now.

Here: the bundle that answers, or why none does. Not here: the routes (``serving.routes``, ``serving.status``).
"""

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from skin_platform.core.images import Limits
from skin_platform.serving.bundle import BundleError, read_bundle
from skin_platform.serving.engine import Engine
from skin_platform.storage.online import PredictionWriter

NO_CHAMPION = ("nothing has been promoted yet: train a model where there is none (`skin demo`, or the job train_now), promote "
               "it with `skin models promote`, then start the service anew")


@dataclass(frozen=True)
class Current:
    """The engine that answers; ``fault`` says why it must not, or why there is none, and ``code`` is that of the refusals."""

    engine: Engine | None
    fault: str | None = None
    code: str = "not_ready"

    @property
    def version(self) -> str | None:
        """The model version, where a bundle was read."""
        return self.engine.bundle.provenance.model_version if self.engine else None


@dataclass
class Desk:
    """``current`` is replaced whole, and a request reads it once; ``export`` is where the promotion of a bundle is told."""

    current: Current
    writer: PredictionWriter
    limits: Limits
    api_key: str
    export: Path


def nobody() -> Current:
    """Before the first promotion."""
    return Current(None, NO_CHAMPION, "no_champion")


def taken_up(folder: Path) -> Current:
    """The bundle in ``folder`` with an engine; it may answer once its golden images were answered as recorded."""
    try:
        engine = Engine(read_bundle(folder))
    except BundleError as error:
        return Current(None, str(error))
    return Current(engine, engine.golden_fault())


def desk_of(request: Request) -> Desk:
    """The desk of the application that was asked."""
    desk: Desk = request.app.state.desk
    return desk
