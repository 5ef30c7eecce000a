"""The service: a bundle behind HTTP, as BentoML runs it (``bentoml serve <tag>``).

Here: start, readiness, stop. Not here: the routes (``serving.routes``), inference (``serving.engine``).
"""

import logging
from pathlib import Path

import bentoml

from skin_platform.core.images import Limits
from skin_platform.serving.bundle import read_bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.routes import Desk, build_app
from skin_platform.settings import load_settings
from skin_platform.storage.online import OnlineStore, PredictionWriter

logger = logging.getLogger("bentoml.skin_platform")
BENTO_NAME = "lesion_classifier"
BUNDLE_IN_BENTO = Path(__file__).resolve().parents[2] / "bundle"
app = build_app()


@bentoml.service(name=BENTO_NAME, workers=1, traffic={"timeout": 60})
@bentoml.asgi_app(app, path="/")
class LesionService:
    """Answers ``/predict`` and its companions; ready once the golden images were answered as recorded."""

    def __init__(self) -> None:
        settings = load_settings()
        engine = Engine(read_bundle(settings.skin_bundle or BUNDLE_IN_BENTO))
        self._fault = engine.golden_fault()
        self._store = OnlineStore(settings.online_url)
        self._writer = PredictionWriter(self._store)
        provenance = engine.bundle.provenance
        limits = Limits(settings.skin_max_image_bytes, settings.skin_max_image_pixels, settings.skin_min_image_side_px)
        app.state.desk = Desk(engine, self._fault, f"{BENTO_NAME}:{provenance.model_version}", self._writer, limits,
                              settings.api_key.get_secret_value())
        if self._fault:
            logger.error("not ready: %s", self._fault)
        else:
            logger.info("ready: model %s, dataset %s", provenance.model_version, provenance.dataset_digest[:12])

    def __is_ready__(self) -> bool:
        return self._fault is None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Write the predictions that wait."""
        self._writer.close()
        self._store.dispose()
