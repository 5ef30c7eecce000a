"""Learning: from the rows of a dataset to a fit, from images or, where the backbone stays as it is, from stored features.

Here: which of the two. Not here: the fit (``ml.fit``), the rows and images (``images``), the features (``defs.features``).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import DatasetReference
from skin_platform.defs.checkpoints.images import labelled_images, targets_of
from skin_platform.defs.features import stored_features
from skin_platform.ml.config import TrainingConfig
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.examples import LabelledFeatures
    from skin_platform.ml.fit import Fit
    from skin_platform.ml.progress import Hooks

Parts = tuple[Sequence[DatasetRow], Sequence[DatasetRow]]  # learnt from, held back


def learnt(
    parts: Parts, dataset: DatasetReference, settings: TrainingConfig, stores: Stores, hooks: "Hooks",
    tell: Callable[[str], None],
) -> "Fit":
    """A fit of the resolved ``settings`` on the first of ``parts``, the second held back; resumes one that was interrupted.

    A frozen backbone without augmentation sees each image once in its life: new data costs what is new.
    """
    from skin_platform.ml.backbones import preprocessing_of
    from skin_platform.ml.fit import fit, fit_head
    from skin_platform.ml.resume import Resumable

    preprocessing, classes = preprocessing_of(settings), len(dataset.labels)
    resumable = Resumable(stores.settings.home.training, dataset.digest)
    if settings.frozen and settings.augment == "off":
        train, held = _features(parts, dataset, settings, stores, tell)
        return fit_head(train, held, classes, settings, preprocessing, hooks, resumable)
    images = [labelled_images(rows, dataset.labels, preprocessing, stores) for rows in parts]
    return fit(images[0], images[1], classes, settings, preprocessing, hooks, resumable)


def _features(
    parts: Parts, dataset: DatasetReference, settings: TrainingConfig, stores: Stores, tell: Callable[[str], None]
) -> "tuple[LabelledFeatures, LabelledFeatures]":
    from skin_platform.ml.embedder import Embedder
    from skin_platform.ml.examples import LabelledFeatures

    features = stored_features([*parts[0], *parts[1]], Embedder.of_backbone(settings), stores, tell)
    border = len(parts[0])
    return (LabelledFeatures(features[:border], targets_of(parts[0], dataset.labels)),
            LabelledFeatures(features[border:], targets_of(parts[1], dataset.labels)))
