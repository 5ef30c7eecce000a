"""The service: a bundle behind HTTP, as BentoML runs it (``bentoml serve <tag>``).

Here: start and stop, and how requests pass BentoML by. Without a bundle where nothing has been promoted yet. Not here: the
routes (``serving.app``), what answers (``serving.opening``).
"""

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from skin_platform.dataset_config import SettingsError
from skin_platform.serving.app import build_app
from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.logs import configure
from skin_platform.serving.opening import Opened, opened
from skin_platform.serving.parent import end_with_parent
from skin_platform.settings import Settings, load_settings


def _settings() -> Settings:
    """The settings in force; where they are at fault, BentoML ends with the line that says why, before it starts a worker."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None


configure()
app = build_app(_settings().skin_env)


class PastBentoML:
    """Hands every request to our application; BentoML keeps what starts and stops the service.

    BentoML's own pages (one at ``/`` that loads a tracker from elsewhere), its plain-text errors and its measures, which take
    any path that a caller makes up for a label, would stand beside ours.
    """

    def __init__(self, bentoml_app: ASGIApp) -> None:
        self._bentoml_app = bentoml_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or BentoML's start and stop."""
        await (self._bentoml_app if scope["type"] == "lifespan" else app)(scope, receive, send)


@bentoml.service(name=BENTO_NAME, workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}},
                 tracing={"excluded_urls": ".*"})
class LesionService:
    """Answers ``/predict`` and its companions; ready once the golden images were answered as recorded."""

    def __init__(self) -> None:
        end_with_parent()
        self._opened: Opened = opened(load_settings())
        app.state.desk = self._opened.desk

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Let what waits be answered and written."""
        self._opened.close()


LesionService.add_asgi_middleware(PastBentoML)  # type: ignore[attr-defined]  # the decorator has made a bentoml.Service of it
