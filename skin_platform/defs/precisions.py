"""Precisions of versions: the verdicts on them as they are kept, from where they go into the bundle.

    <models bucket>/skin_classifier/<version>/precision-<engine>-<precision>.json    the last verdict on it

Here: reading and writing them. Not here: how a verdict comes about (``defs.registry.precision``), what it lets a service do
(``core.precisions``).
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict

from skin_platform.core.precisions import EXACT, PrecisionVerdict
from skin_platform.serving.runtimes import PRECISIONS
from skin_platform.storage.stores import Stores

ENGINES = ("openvino",)  # those that compute in another precision than the model's own
logger = logging.getLogger(__name__)


def lower_precisions() -> list[tuple[str, str]]:
    """Every engine with each precision that needs a verdict."""
    return [(engine, precision) for engine in ENGINES for precision in PRECISIONS if precision != EXACT]


def precisions_of(version: str, stores: Stores) -> Iterator[PrecisionVerdict]:
    """The verdicts on lower precisions of a version; one of an earlier release is none, and is said to be.

    Raises ``KeyError`` for an unknown version, ``StorageError`` for a damaged verdict.
    """
    stores.versions.read_manifest(version)
    for engine, precision in lower_precisions():
        try:
            data = stores.versions.read_file(version, file_of(engine, precision))
        except KeyError:
            continue
        try:
            yield PrecisionVerdict(**json.loads(data))
        except (TypeError, ValueError) as error:
            logger.warning("%s of model version %s is not of this release (%s)", file_of(engine, precision), version, error)


def keep_precision(verdict: PrecisionVerdict, stores: Stores) -> None:
    """Keep a verdict with its version, in place of a former one."""
    data = json.dumps(asdict(verdict), indent=1, ensure_ascii=False).encode()
    stores.versions.write_file(verdict.model_version, file_of(verdict.engine, verdict.precision), data)


def file_of(engine: str, precision: str) -> str:
    """The name of its file."""
    return f"precision-{engine}-{precision}.json"
