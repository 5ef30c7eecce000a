"""Replaying: stored predictions, whose images were kept, asked once more of another version.

Here: the difference per image and in all. Not here: keeping the images (``serving.keeping``), how it is shown
(``commands.replay``).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from skin_platform.core.answers import top_k_predictions
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.keeping import kept_path
from skin_platform.settings import Settings

AT_ONCE = 32  # images in one pass through the model


@dataclass(frozen=True)
class Difference:
    """One stored prediction beside what the version says now; ``worst`` is the largest difference of a label's probability."""

    prediction_id: str
    image_sha256: str
    stored_version: str
    stored_label: str
    label: str
    worst: float

    @property
    def is_other_label(self) -> bool:
        """Whether another label comes first."""
        return self.label != self.stored_label


@dataclass(frozen=True)
class Replay:
    """The differences, newest prediction first; ``missing`` are the ids of those whose image is not here, or another."""

    version: str
    engine: str
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The largest difference of all; 0.0 where there are none."""
        return max((found.worst for found in self.differences), default=0.0)

    @property
    def changed(self) -> list[Difference]:
        """Those that get another label."""
        return [found for found in self.differences if found.is_other_label]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"version": self.version, "engine": self.engine, "predictions": len(self.differences),
                "max_difference": self.worst, "label_changes": len(self.changed), "missing": list(self.missing),
                "differences": [asdict(found) for found in self.differences]}


def replay(rows: Sequence[Mapping[str, Any]], folder: Path, settings: Settings) -> Replay:
    """Ask the bundle in ``folder`` about the kept images of ``rows`` (of the online store). Raises ``BundleError``.

    A label that one of the two versions does not know has the probability 0 there.
    """
    bundle = read_bundle(folder)
    engine = Engine(bundle, settings.skin_engine, settings.skin_precision)
    images = settings.home.served_images
    here = ((row, data) for row in rows if (data := _kept(images, row["image_sha256"])) is not None)
    differences: list[Difference] = []
    while batch := list(islice(here, AT_ONCE)):
        differences += _differences(batch, bundle, engine)
    answered = {found.prediction_id for found in differences}
    missing = tuple(row["prediction_id"] for row in rows if row["prediction_id"] not in answered)
    return Replay(bundle.provenance.model_version, engine.name, tuple(differences), missing)


def _differences(batch: list[tuple[Mapping[str, Any], bytes]], bundle: Bundle, engine: Engine) -> Iterator[Difference]:
    pixels = np.stack([bundle.preprocessing.pixels(data) for _, data in batch])
    for (row, _), scored in zip(batch, engine.score(pixels), strict=True):
        stored, now = row["probabilities"], scored.probabilities
        worst = max(abs(stored.get(label, 0.0) - now.get(label, 0.0)) for label in {*stored, *now})
        yield Difference(row["prediction_id"], row["image_sha256"], row["model_version"], row["label"],
                         top_k_predictions(now, 1)[0][0], worst)


def _kept(folder: Path, sha256: str) -> bytes | None:
    """The image, where it is here and what it was."""
    try:
        data = kept_path(folder, sha256).read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None
