"""Images of a dataset, as the learner takes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.core.references import DatasetReference
from skin_platform.core.split_terms import swapped_roles
from skin_platform.core.splits import straddling_groups
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.examples import LabelledImages


def training_rows(dataset: DatasetReference, stores: Stores) -> tuple[list[DatasetRow], list[DatasetRow]]:
    """The rows to learn from and those held back; refuses a manifest in which a group straddles, whoever made it."""
    refuse_swapped_roles(dataset, stores)
    rows = stores.datasets.read(dataset.digest)
    straddling = straddling_groups((row.group_id, row.split) for row in rows)
    if straddling:
        raise dg.Failure(f"{len(straddling)} group(s) of dataset {dataset.digest[:12]} are in two splits: not trained on",
                         allow_retries=False)
    words = stores.settings.dataset
    return ([row for row in rows if row.split == words.train_split],
            [row for row in rows if row.split == words.validation_split])


def refuse_swapped_roles(dataset: DatasetReference, stores: Stores) -> None:
    """Refuse a version in which, as dataset.yaml is now, images that were learnt from would judge."""
    terms, config = stores.datasets.version(dataset.digest).came.terms, stores.settings.dataset
    fault = swapped_roles(terms, config.terms, config.vocabulary.splits) if terms else ""
    if fault:
        raise dg.Failure(f"dataset {dataset.digest[:12]}: {fault}", allow_retries=False)


def labelled_images(
    rows: Sequence[DatasetRow], labels: Sequence[str], preprocessing: Preprocessing, stores: Stores
) -> "LabelledImages":
    """The images of ``rows``: fetched through the verified cache and brought to the model's size when they are first asked
    for, and kept on disk as pixels."""
    from skin_platform.ml.examples import LabelledImages
    from skin_platform.ml.pixel_files import PixelFile
    from skin_platform.ml.pixels import StoredPixels

    def read(position: int) -> bytes:
        return stores.cache.image(rows[position].sha256, rows[position].s3_uri)

    file = PixelFile(stores.settings.home.pixels, preprocessing, stores.settings.skin_cache_bytes)
    pixels = StoredPixels(file, [row.sha256 for row in rows], read, preprocessing)
    return LabelledImages(pixels, targets_of(rows, labels))


def targets_of(rows: Sequence[DatasetRow], labels: Sequence[str]) -> NDArray[np.int64]:
    """The positions (N,) of the rows' labels among ``labels``."""
    return np.array([labels.index(row.label) for row in rows], dtype=np.int64)
