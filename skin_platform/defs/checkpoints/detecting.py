"""Detecting: the detector of images of another kind, fitted on the images that a checkpoint learnt from.

Here: whose features it is fitted and calibrated on, and how often it flags the images that judge the checkpoint. Not here: the
fit (``ml.ood``), the distance (``core.ood``).

What it costs: one look of the network at the images learnt from, at most ``MOST`` of a label. A frozen backbone has seen them
before, and its features are in store; else their decoded pixels are still on disk from the training.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.intervals import resampled_sums, share_interval
from skin_platform.core.ood import ASSUMPTION, FEWEST, OutOfDistribution
from skin_platform.defs.checkpoints.images import labelled_images, targets_of
from skin_platform.defs.checkpoints.scoring import Scores
from skin_platform.storage.stores import Stores

if TYPE_CHECKING:
    from skin_platform.ml.checkpoints import Checkpoint

MOST = 1000  # images of a label; more would tell its mean and its directions no better, and cost a pass over all


def detector_of(
    loaded: "Checkpoint", rows: Sequence[DatasetRow], scores: Scores, stores: Stores, tell: Callable[[str], None]
) -> OutOfDistribution | None:
    """The detector of a checkpoint; ``rows`` are those of its dataset. None where too few images can calibrate one."""
    from skin_platform.ml.ood import fit_detector

    if len(scores.held_features) < FEWEST:
        tell(f"no detector of images of another kind: {len(scores.held_features)} validation images, {FEWEST} are needed")
        return None
    learnt = _shown([row for row in rows if row.split == stores.settings.dataset.train_split])
    features = _features(loaded, learnt, stores, tell)
    return fit_detector(features, targets_of(learnt, loaded.labels), [row.group_id for row in learnt], scores.held_features,
                        stores.settings.dataset.conformal.ood_level)


def detection(detector: OutOfDistribution | None, scores: Scores, configured: float) -> dict[str, Any]:
    """What is known of the detector, JSON-able: its level, what it rests on, and which share of the locked images it flags.

    ``flagged`` is None where no split is locked: the images that are left are those that it was calibrated on.
    """
    told = {"level": configured, "level_in_force": None, "calibration_images": len(scores.held_features), "fewest": FEWEST,
            "assumption": ASSUMPTION, "flagged": None}
    if detector is None:
        return told
    told |= {"level_in_force": detector.level_in_force}
    if not scores.openings:
        return told
    flagged = np.array([answer.flagged for answer in detector.judge(scores.features)])
    groups = scores.evidence.groups
    sums = resampled_sums(np.stack([flagged, np.ones(len(flagged))], axis=1), groups)
    interval = share_interval(int(flagged.sum()), len(flagged), sums[:, 0] / sums[:, 1], len(set(groups)))
    assert interval is not None  # a split that counts has images
    return told | {"flagged": {"n": len(flagged), "images": int(flagged.sum()), "share": float(flagged.mean()),
                               "low": interval.low, "high": interval.high, "level": interval.level}}


def _shown(rows: Sequence[DatasetRow]) -> list[DatasetRow]:
    """At most ``MOST`` rows of a label, by their SHA-256, which is as good as drawn."""
    by_label: dict[str, list[DatasetRow]] = defaultdict(list)
    for row in sorted(rows):
        by_label[row.label].append(row)
    return [row for label in sorted(by_label) for row in by_label[label][:MOST]]


def _features(
    loaded: "Checkpoint", rows: Sequence[DatasetRow], stores: Stores, tell: Callable[[str], None]
) -> NDArray[np.float32]:
    """Features (n, D) of the images, from the store where they are, else by the network."""
    from skin_platform.ml.embedder import Embedder
    from skin_platform.ml.fit import features_of

    started = time.monotonic()
    digest = Embedder.of_net(loaded.net, loaded.preprocessing).digest
    sha256s = [row.sha256 for row in rows]
    if not stores.embeddings.missing(digest, sha256s):
        tell(f"images of another kind are told by the features of {len(rows)} images learnt from, which were in store")
        return stores.embeddings.read(digest, sha256s)
    images = labelled_images(rows, loaded.labels, loaded.preprocessing, stores)
    found = features_of(loaded.net, images, loaded.preprocessing)
    tell(f"images of another kind are told by the features of {len(rows)} images learnt from, computed in "
         f"{time.monotonic() - started:.1f} s")
    return found
