"""Precisions of versions: the verdicts on them as they are kept, from where they go into the bundle.

    <models bucket>/skin_classifier/<version>/precision-<engine>-<precision>.json    the last verdict on it

Here: reading and writing them. Not here: how a verdict comes about (``defs.registry.precision``), what it lets a service do
(``core.precisions``).
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict

from skin_platform.core.precisions import EXACT, PrecisionVerdict, how_to_judge
from skin_platform.serving.runtimes import PRECISIONS
from skin_platform.storage.faults import DamagedError
from skin_platform.storage.stores import Stores

ENGINES = ("openvino",)  # those that compute in another precision than the model's own
logger = logging.getLogger(__name__)


def lower_precisions() -> list[tuple[str, str]]:
    """Every engine with each precision that needs a verdict."""
    return [(engine, precision) for engine in ENGINES for precision in PRECISIONS if precision != EXACT]


def precisions_of(version: str, stores: Stores) -> Iterator[PrecisionVerdict]:
    """The verdicts on lower precisions of a version. One that is damaged, or of an earlier release, is none, and is said to be:
    the version itself answers in f32 as before.

    Raises ``KeyError`` for an unknown version, ``StorageError`` where the store does not answer.
    """
    stores.versions.read_manifest(version)
    for engine, precision in lower_precisions():
        try:
            yield PrecisionVerdict(**json.loads(stores.versions.read_file(version, file_of(engine, precision))))
        except KeyError:
            continue
        except (DamagedError, TypeError, ValueError) as error:
            logger.warning("%s of model version %s is not usable (%s): %s", file_of(engine, precision), version, error,
                           how_to_judge(version, precision))


def keep_precision(verdict: PrecisionVerdict, stores: Stores) -> None:
    """Keep a verdict with its version, in place of a former one."""
    data = json.dumps(asdict(verdict), indent=1, ensure_ascii=False).encode()
    stores.versions.write_file(verdict.model_version, file_of(verdict.engine, verdict.precision), data)


def file_of(engine: str, precision: str) -> str:
    """The name of its file."""
    return f"precision-{engine}-{precision}.json"
