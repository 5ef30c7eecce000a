"""The service: a bundle behind HTTP, as BentoML runs it (``bentoml serve <tag>``).

Here: start, readiness, stop; without a bundle where nothing has been promoted yet. Not here: the routes (``serving.routes``),
which engine answers (``serving.desk``).
"""

import logging
from pathlib import Path

import bentoml
from fastapi import HTTPException

from skin_platform.core.images import Limits
from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.desk import Current, Desk, nobody, taken_up
from skin_platform.serving.routes import build_app
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.draining import Drain
from skin_platform.storage.keys import KeyRing
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool

logger = logging.getLogger("bentoml.skin_platform")
SOURCE = Path(__file__).resolve().parents[2]  # of a bento, or where the package is installed
BUNDLE_IN_BENTO = SOURCE / "bundle"
app = build_app()


@bentoml.service(name=BENTO_NAME, workers=1, traffic={"timeout": 60})
@bentoml.asgi_app(app, path="/")
class LesionService:
    """Answers ``/predict`` and its companions; ready once the golden images were answered as recorded."""

    def __init__(self) -> None:
        settings = load_settings()
        current = _found(settings)
        self._store = OnlineStore(settings.online_url)
        self._spool = Spool(settings.home.spool, settings.skin_spool_bytes)
        self._drain = Drain(self._spool, self._store)
        self._keys = KeyRing(self._store, settings.api_key.get_secret_value(), settings.home.keys,
                             settings.skin_rate_per_minute)
        limits = Limits(settings.skin_max_image_bytes, settings.skin_max_image_pixels, settings.skin_min_image_side_px)
        self._desk = Desk(current, self._spool, self._keys, limits, settings)
        app.state.desk = self._desk
        if current.fault:
            logger.error("not ready: %s", current.fault)
        else:
            logger.info("ready: model %s", current.version)

    async def __is_ready__(self) -> bool:
        """Whether there is an engine that may answer; BentoML tells the reason of a refusal as it is raised."""
        fault = self._desk.current.fault
        if fault is not None:
            raise HTTPException(503, fault)
        return True

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Write the predictions that wait."""
        self._drain.close()
        self._keys.close()
        self._spool.close()
        self._store.dispose()


def _found(settings: Settings) -> Current:
    """What answers at the start: the bundle that was configured, or the bento's own; installed code alone has none."""
    in_bento = (SOURCE.parent / "bento.yaml").is_file()
    if settings.skin_bundle is None and not in_bento:
        return nobody()
    return taken_up(settings.skin_bundle or BUNDLE_IN_BENTO, settings)
