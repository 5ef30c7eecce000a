"""Stores: everything that one deployment keeps, opened from its settings.

Here: which store lies where. Not here: what each does (the other modules of this room).
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from skin_platform.core.batches import Delivery, SeenFile
from skin_platform.core.images import Limits
from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import Settings
from skin_platform.storage.batches import Batches
from skin_platform.storage.buckets import S3Access
from skin_platform.storage.cache import ImageCache
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.claiming import ClaimRules, claim
from skin_platform.storage.datasets import Datasets
from skin_platform.storage.door import DoorRules
from skin_platform.storage.embeddings import Embeddings
from skin_platform.storage.home_folder import check_home
from skin_platform.storage.landing_bucket import LandingBucket
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.models import ModelFiles
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.openings import Openings
from skin_platform.storage.places import LandingFolder, Place
from skin_platform.storage.quarantine import Quarantine
from skin_platform.storage.references import References
from skin_platform.storage.resolutions import Resolutions
from skin_platform.storage.review import ReviewQueues
from skin_platform.storage.unrecorded import Unrecorded
from skin_platform.storage.versions import ModelVersions

DEFAULT_LABELS = ["irregular", "mottled", "plain"]  # of the synthetic delivery; they name looks, not diagnoses
DAGSTER_YAML = Path(__file__).parents[2] / "deploy" / "local" / "dagster.yaml"


class Stores:
    """The stores of one deployment. Opening creates the three buckets where they are missing, unless told not to."""

    def __init__(self, settings: Settings, *, create: bool = True) -> None:
        self.settings = settings
        self.objects = ObjectStore(
            S3Access(settings.s3_endpoint, settings.s3_access_key, settings.s3_secret_key.get_secret_value(),
                     settings.s3_region)
            if settings.s3_endpoint else settings.home.objects)
        for bucket in (settings.s3_bucket_models, settings.s3_bucket_data, self.images_bucket) if create else ():
            self.objects.create_bucket(bucket)
        self.batches = Batches(self.objects, settings.s3_bucket_data)
        self.quarantine = Quarantine(self.objects, settings.s3_bucket_data)
        self.catalogue = Catalogue(self.objects, settings.s3_bucket_data, settings.home.catalogue, settings.dataset.labels)
        self.resolutions = Resolutions(self.objects, settings.s3_bucket_data)
        self.datasets = Datasets(self.objects, settings.s3_bucket_data)
        self.openings = Openings(self.objects, settings.s3_bucket_data)
        self.embeddings = Embeddings(self.objects, settings.s3_bucket_data)
        self.review = ReviewQueues(self.objects, settings.s3_bucket_data)
        self.references = References(self.objects, settings.s3_bucket_data)
        self.models = ModelFiles(self.objects, settings.s3_bucket_models)
        self.unrecorded = Unrecorded(self.objects, settings.s3_bucket_models)
        self.versions = ModelVersions(self.objects, settings.s3_bucket_models)
        self.moves = self.versions.moves
        self.lesions = LesionsTable(settings.dataset.metadata_database, settings.dataset.consent.words)
        self.cache = ImageCache(settings.home.cache, self.objects, settings.skin_cache_bytes)

    @property
    def images_bucket(self) -> str:
        """The bucket that ``dataset.yaml`` names for images."""
        return self.settings.dataset.bucket

    @cached_property
    def ledger(self) -> LandingLedger:
        """What was claimed from the landing folder."""
        return LandingLedger(self.settings.home.ledger)

    @property
    def rules(self) -> DoorRules:
        """What the door goes by."""
        settings = self.settings
        limits = Limits(settings.skin_max_image_bytes, settings.skin_max_image_pixels, settings.skin_min_image_side_px)
        return DoorRules(settings.dataset.vocabulary, limits, settings.skin_pseudonym_key.get_secret_value())

    def place(self, root: str | Path | None = None) -> Place:
        """The place that deliveries land in: the landing folder, another folder, or ``s3://bucket/prefix``.

        Raises ``ValueError`` for a bucket that the platform itself keeps things in.
        """
        if root is None or not str(root).startswith("s3://"):
            return LandingFolder(Path(root or self.settings.home.landing).resolve())
        bucket, _, prefix = str(root).removeprefix("s3://").partition("/")
        own = (self.settings.s3_bucket_models, self.settings.s3_bucket_data, self.images_bucket)
        if bucket in own or not bucket:
            raise ValueError(f"nothing can land in '{root}': name a bucket (s3://bucket/prefix) other than {', '.join(own)}, "
                             "in which the platform itself keeps things")
        return LandingBucket(self.objects, bucket, prefix)

    @property
    def landing_bucket(self) -> Place | None:
        """The S3 prefix that deliveries land under; None where SKIN_LANDING_BUCKET is empty."""
        bucket, prefix = self.settings.skin_landing_bucket, self.settings.skin_landing_prefix
        return self.place(f"s3://{bucket}/{prefix}") if bucket else None

    def claim(self, root: str | Path | None = None, source: str | None = None, *, settle_seconds: float | None = None,
              batch_id: str | None = None, keep: Callable[[SeenFile], bool] = lambda file: True) -> list[Delivery]:
        """Claim what is new in the place ``root`` (the landing folder) and passes ``keep`` as batches, for good."""
        settings = self.settings
        rules = ClaimRules(source or settings.dataset.source,
                           settings.skin_settle_seconds if settle_seconds is None else settle_seconds,
                           settings.skin_max_batch_files, batch_id)
        return claim(self.place(root), self.ledger, self.batches, rules, datetime.now(UTC), keep)


def prepare_home(settings: Settings) -> None:
    """Create the folders of ``SKIN_HOME``, its ``dataset.yaml`` where there is none, and Dagster's instance file."""
    home = settings.home
    check_home(home.root)
    for folder in (home.root, home.landing, home.dagster, home.mlflow, home.bentoml):
        folder.mkdir(parents=True, exist_ok=True)
    config = settings.dataset_config_path
    if not config.exists() and config == home.dataset_config:
        config.write_text(render_dataset_config(DEFAULT_LABELS), encoding="utf-8")
    target = home.dagster / "dagster.yaml"
    if not target.exists() or target.read_bytes() != DAGSTER_YAML.read_bytes():
        shutil.copy2(DAGSTER_YAML, target)
