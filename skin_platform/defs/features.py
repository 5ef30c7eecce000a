"""Features: images of a deployment through its backbone, each once.

Here: what is stored is read, what is missing is computed and stored. Not here: the backbone (``ml.embedder``), the store
(``storage.embeddings``), what is made of features (the rooms).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.embedding import recipe_of
from skin_platform.settings import Settings
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.embedder import Embedder

ON_DEMAND = "asked"  # the batch of what was computed for whoever needed it first
KEPT_AT_ONCE = 1024  # images in one stored file: what a killed run loses at most


@dataclass(frozen=True)
class Embedded:
    """How many images have features now, how many of them were computed just now, and how long that took in seconds."""

    images: int
    computed: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Of those that were computed; 0.0 where none were."""
        return self.computed / self.seconds if self.computed else 0.0


def configured_recipe(settings: Settings) -> str:
    """The recipe of the backbone in ``dataset.yaml``; costs no import of torch."""
    backbone = settings.dataset.backbone
    return recipe_of(backbone.name, backbone.weights, backbone.revision)


def configured_embedder(stores: Stores) -> "Embedder":
    """What ``dataset.yaml`` names as backbone; fixed filters where it names neither weights nor an architecture.

    Refuses weights that cannot be had.
    """
    from skin_platform.ml.config import ConfigError, TrainingConfig
    from skin_platform.ml.embedder import Embedder

    backbone = stores.settings.dataset.backbone
    try:
        if backbone.name == "auto" and not backbone.weights:
            embedder = Embedder.of_nothing_learnt()
        else:
            config = TrainingConfig(backbone=backbone.name, weights=backbone.weights, revision=backbone.revision)
            embedder = Embedder.of_backbone(config.resolved(1))
    except ConfigError as error:
        raise dg.Failure(f"the backbone in {stores.settings.dataset_config_path} cannot be used: {error}",
                         allow_retries=False) from None
    recipe = configured_recipe(stores.settings)
    if stores.embeddings.digest_of(recipe) != embedder.digest:
        stores.embeddings.remember(recipe, embedder.digest)
    return embedder


def embed_missing(
    images: Sequence[tuple[str, str]], batch: str, embedder: "Embedder", stores: Stores, tell: Callable[[str], None]
) -> Embedded:
    """Compute and store, under ``batch``, the features of those ``images`` (SHA-256, address) that have none yet."""
    started = time.monotonic()
    address = dict(images)
    missing = stores.embeddings.missing(embedder.digest, list(address))
    for first in range(0, len(missing), KEPT_AT_ONCE):
        part = missing[first:first + KEPT_AT_ONCE]
        features = embedder.embed(stores.cache.fetch((sha256, address[sha256]) for sha256 in part))
        stores.embeddings.add(embedder.digest, batch, part, np.concatenate(list(features)))
        tell(f"{first + len(part)} of {len(missing)} images embedded, "
             f"{(first + len(part)) / (time.monotonic() - started):.0f} images/s")
    return Embedded(len(address), len(missing), time.monotonic() - started)


def stored_features(
    rows: Sequence[DatasetRow], embedder: "Embedder", stores: Stores, tell: Callable[[str], None]
) -> NDArray[np.float32]:
    """The features (n, D) of ``rows``, in their order; what is missing is computed and stored first."""
    images = [(row.sha256, row.s3_uri) for row in rows]
    done = embed_missing(images, ON_DEMAND, embedder, stores, tell)
    tell(f"features of {done.images} images by {embedder.digest[:16]}: {done.images - done.computed} were stored")
    return stores.embeddings.read(embedder.digest, [sha256 for sha256, _ in images])
