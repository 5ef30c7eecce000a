"""The engine: a bundle's model in a runtime, and the proof that it answers as recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import PredictionSet, prediction_set, softmax
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.runtimes import open_runtime

GOLDEN_TOLERANCE = 1e-4  # of each probability, between the checkpoint's recorded answer and ours


@dataclass(frozen=True)
class Scored:
    """One image's calibrated probabilities by label, and its prediction set."""

    probabilities: dict[str, float]
    prediction_set: PredictionSet


class Engine:
    """Answers images with one bundle. Safe to call from several threads.

    ``runtime`` and ``precision`` are those of ``serving.runtimes``; ``threads`` 0 takes one a core.
    """

    def __init__(self, bundle: Bundle, runtime: str = "openvino", precision: str = "f32", threads: int = 0) -> None:
        self.bundle = bundle
        self.name = f"{runtime} {precision}"
        self._runtime = open_runtime(runtime, bundle.model, bundle.preprocessing, precision, threads)
        self._thresholds = dict(zip(bundle.labels, bundle.calibration.thresholds, strict=True))

    def score(self, pixels: NDArray[np.uint8]) -> list[Scored]:
        """One ``Scored`` an image, in order, for uint8 pixels (N, S, S, 3) from the bundle's preprocessing."""
        return [self._scored(row) for row in self._probabilities(pixels)]

    def probabilities(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, C) of encoded images, which must be readable."""
        return self._probabilities(np.stack([self.bundle.preprocessing.pixels(data) for data in images]))

    def golden_fault(self) -> str | None:
        """None where every golden image gets its recorded answer; otherwise what differs."""
        if not self.bundle.golden:
            return "the bundle has no golden images, so nothing proves that it answers as recorded"
        for image in self.bundle.golden:
            worst = float(np.abs(self.probabilities([image.data])[0] - np.array(image.probabilities)).max())
            if not worst <= GOLDEN_TOLERANCE:
                return (f"golden image {image.sha256[:12]} is off by {worst:.2g} (allowed {GOLDEN_TOLERANCE:g}) "
                        f"with the engine {self.name}")
        return None

    def _probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return softmax(self._runtime.run(pixels)["logits"], self.bundle.calibration.temperature)

    def _scored(self, row: NDArray[np.float64]) -> Scored:
        by_label = dict(zip(self.bundle.labels, row.tolist(), strict=True))
        return Scored(by_label, prediction_set(by_label, self._thresholds))
