"""What every part of the soak has: how much of everything, two models, pictures, and a service with a database."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skin_platform.serving.bundle import Bundle
from skin_platform.serving.bundle_files import read_bundle
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.loading import Load
from skin_platform_tests.serving.processes import Process, serving
from skin_platform_tests.serving.tiny_bundles import picture, promoted, tiny_bundle, version_of
from skin_platform_tests.storage.postgres import Postgres

KEY = "a key of the soak, long enough"
CONCURRENCY = 32


@dataclass(frozen=True)
class Size:
    """How much of everything; seconds for the outage."""

    is_tiny: bool
    warm_up: int
    requests: int
    kills: int
    outage: float
    moves: int


FULL, QUICK = Size(False, 2000, 20_000, 10, 30.0, 20), Size(True, 2000, 4000, 2, 3.0, 5)


@dataclass(frozen=True)
class Setting:
    """One part's home, database, and what it may ask."""

    home: Path
    postgres: Postgres
    database: str
    size: Size
    bundles: Sequence[Bundle]
    pictures: Sequence[bytes]

    @property
    def settings(self) -> Settings:
        """Those of the service."""
        return load_settings(skin_home=self.home, database_url=self.database)

    def promote(self, number: int, move: int) -> str:
        """Export one of the bundles as the champion; its version."""
        return promoted(self.settings, self.bundles[number], move).name.rpartition("-")[0]

    @contextmanager
    def service(self) -> Iterator[Process]:
        """The service with its first champion; PostgreSQL, a key, everything on."""
        self.promote(0, 1)
        with serving(self.home, DATABASE_URL=self.database, API_KEY=KEY) as process:
            yield process

    def load(self, service: Process, pictures: Sequence[bytes] | None = None, total: int | None = None) -> Load:
        """Clients at the service."""
        return Load(service.port, pictures or self.pictures, CONCURRENCY, total, f"Authorization: Bearer {KEY}\r\n")

    def stored(self, seconds: float = 120) -> list[str]:
        """The ids of all predictions in the database, once the spool is empty."""
        settings = self.settings
        spool, store = Spool(settings.home.spool, settings.skin_spool_bytes), OnlineStore(settings.online_url)
        try:
            wait_for(lambda: spool.depth == 0, seconds, "the spool to be drained")
            return [row["prediction_id"] for row in store.predictions()]
        finally:
            spool.close()
            store.dispose()


def models(folder: Path, size: Size) -> tuple[list[Bundle], list[bytes]]:
    """Two bundles with other answers, and forty pictures to ask them about; made in ``folder`` where they are not there."""
    if size.is_tiny:
        return [tiny_bundle(1), tiny_bundle(2)], [picture(seed) for seed in range(40)]
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "skin_platform_tests.benchmarks.served_model", str(folder)], check=True)
    bundle = read_bundle(folder / "bundle")
    pictures = [path.read_bytes() for path in sorted((folder / "pictures").rglob("*.jpg"))[:40]]
    return [bundle, _hotter(bundle)], pictures


def _hotter(bundle: Bundle) -> Bundle:
    """The same network at twice the temperature: another version with other answers, which takes as long to load."""
    golden = []
    for image in bundle.golden:
        roots = np.sqrt(np.array(image.probabilities))  # softmax at twice the temperature
        golden.append(replace(image, probabilities=tuple(map(float, roots / roots.sum()))))
    return replace(bundle, golden=tuple(golden), provenance=replace(bundle.provenance, model_version=version_of(7)),
                   calibration=replace(bundle.calibration, temperature=2 * bundle.calibration.temperature))
