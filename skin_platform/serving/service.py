"""The service: a bundle behind HTTP, as BentoML runs it (``bentoml serve <tag>``).

Here: start and stop, and how requests pass BentoML by. Without a bundle where nothing has been promoted yet. Not here: the
routes (``serving.app``), what answers (``serving.opening``).
"""

import logging
import os
from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from skin_platform.dataset_config import SettingsError
from skin_platform.serving.app import build_app
from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.logs import configure
from skin_platform.serving.opening import Opened, opened
from skin_platform.serving.parent import end_with_parent
from skin_platform.serving.protocol import install
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.online.preflight import FAULTS, check_start

logger = logging.getLogger("bentoml.skin_platform")


def _settings() -> Settings:
    """The settings in force; where they are at fault, BentoML ends with the line that says why, before it starts a worker."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None


configure()
app = build_app(_settings().skin_env)


class PastBentoML(bentoml.Service[Any]):  # type: ignore[misc]  # BentoML is loaded lazily, so it is Any to mypy
    """Starts and stops as any service of BentoML's, but hands every request straight to our application.

    BentoML's own pages (one at ``/`` that loads a tracker from elsewhere), its plain-text errors and its measures, which take
    any path that a caller makes up for a label, would stand beside ours. Its timeout starts a task for each request, and a
    timer that holds what the request needed for a minute after the answer (10 MB at 200 requests/s); its hook for middleware
    lies within that.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What its worker runs: BentoML's application for start and stop, ours for all else."""
        bentoml_app: ASGIApp = super().to_asgi(is_main)
        install()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await (bentoml_app if scope["type"] == "lifespan" else app)(scope, receive, send)

        return answer


@bentoml.service(name=BENTO_NAME, workers=1, service_class=PastBentoML)
class LesionService:
    """Answers ``/predict`` and its companions; ready once the golden images were answered as recorded."""

    def __init__(self) -> None:
        end_with_parent()
        try:
            self._opened: Opened = opened(load_settings())
        except FAULTS as error:  # since the preflight: BentoML tries again in 10 s, and has no traceback to tell
            logger.error("the service cannot start, and is tried again: %s", error)
            os._exit(1)
        app.state.desk = self._opened.desk

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    def check() -> None:
        """Before BentoML starts a worker, and would start it again and again: end with the line that says why none can run."""
        try:
            check_start(load_settings())
        except FAULTS as error:
            raise SystemExit(f"error: {error}") from None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Let what waits be answered and written."""
        self._opened.close()
