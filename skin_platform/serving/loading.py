"""Loading: from a bundle's folder to an engine that has proven that it answers as recorded.

Here: reading, building, the golden images; what is wrong with a bundle is a fault that is told, never an error. Not here: which
bundle, and when (``serving.opening``, ``serving.following``, ``serving.shadowing``).
"""

import logging
from dataclasses import replace
from pathlib import Path

from skin_platform.serving.batching import Batcher
from skin_platform.serving.bundle_files import BundleError, bundle_digest, read_bundle
from skin_platform.serving.desk import Current
from skin_platform.serving.engine import Engine
from skin_platform.serving.exporting import read_promotion
from skin_platform.serving.metrics import observe_batch
from skin_platform.serving.runtimes import RuntimeUnavailableError
from skin_platform.settings import Settings

logger = logging.getLogger("bentoml.skin_platform")


def loaded(folder: Path, settings: Settings, threads: int = 0) -> Current:
    """The bundle in ``folder`` with an engine (``threads`` 0: one a core) that has answered its golden images, or the fault."""
    folder = folder.resolve()  # what the link names may change while its files are read
    try:
        engine = Engine(read_bundle(folder), settings.skin_engine, settings.skin_precision, threads)
        logger.info("%s is computed in %s by %s", engine.bundle.provenance.tag, engine.precision, engine.place)
        return Current(engine, None, engine.golden_fault(), digest=bundle_digest(folder), promotion=read_promotion(folder))
    except (BundleError, RuntimeUnavailableError, OSError) as error:
        return Current(None, None, str(error))
    except Exception as error:  # what a runtime raises for a model that it cannot compute is of no one class
        logger.exception("the bundle in %s cannot be computed", folder)
        return Current(None, None, f"the model of {folder.name} cannot be computed here: {error}")


def taken_up(folder: Path, settings: Settings) -> Current:
    """The bundle in ``folder``, ready to answer requests where it may."""
    found = loaded(folder, settings)
    if found.engine is None or found.fault is not None:
        return found
    return replace(found, batcher=Batcher(found.engine, on_batch=observe_batch))
