"""The engine: a bundle's model in a runtime, and the proof that it answers as recorded.

Here: from pixels to calibrated answers. Not here: what computes (``serving.runtimes``), what is computed together
(``serving.batching``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import PredictionSet, prediction_set, softmax
from skin_platform.core.ood import OodAnswer
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.runtimes import Outputs, open_runtime

GOLDEN_TOLERANCE = 1e-4  # of each probability, between the checkpoint's recorded answer and ours


@dataclass(frozen=True)
class Scored:
    """One image's calibrated probabilities by label, its prediction set, and how far it is from what was learnt.

    ``ood`` is None where the bundle has no detector.
    """

    probabilities: dict[str, float]
    prediction_set: PredictionSet
    ood: OodAnswer | None = None


class Engine:
    """Answers images with one bundle. Safe to call from several threads.

    ``runtime`` and ``precision`` are those of ``serving.runtimes``; ``threads`` 0 takes one a core. ``lanes`` passes may run at
    once, each of ``batch`` images at best.
    """

    def __init__(self, bundle: Bundle, runtime: str = "onnxruntime", precision: str = "f32", threads: int = 0) -> None:
        self.bundle = bundle
        self.name = f"{runtime} {precision}"
        self._runtime = open_runtime(runtime, bundle.model, bundle.preprocessing, precision, threads)
        self.lanes, self.batch = self._runtime.lanes, self._runtime.batch
        self._thresholds = dict(zip(bundle.labels, bundle.calibration.thresholds, strict=True))

    def score(self, pixels: NDArray[np.uint8], *, is_alone: bool = True) -> list[Scored]:
        """One ``Scored`` an image, in order, for uint8 pixels (N, S, S, 3) from the bundle's preprocessing.

        ``is_alone``: no other pass runs now, so that this one may take every core.
        """
        outputs = self._runtime.run(pixels, is_alone=is_alone)
        rows = self._calibrated(outputs)
        judged = self.bundle.ood.judge(outputs["features"]) if self.bundle.ood else [None] * len(rows)
        return [self._scored(row, ood) for row, ood in zip(rows, judged, strict=True)]

    def probabilities(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, C) of encoded images, which must be readable."""
        parts = [np.empty((0, len(self.bundle.labels)))]
        for start in range(0, len(images), self.batch):
            pixels = np.stack([self.bundle.preprocessing.pixels(data) for data in images[start:start + self.batch]])
            parts.append(self._calibrated(self._runtime.run(pixels, is_alone=True)))
        return np.concatenate(parts)

    def golden_fault(self) -> str | None:
        """None where every golden image gets its recorded answer, from passes of either kind; otherwise what differs."""
        if not self.bundle.golden:
            return "the bundle has no golden images, so nothing proves that it answers as recorded"
        for image in self.bundle.golden:
            pixels, recorded = self.bundle.preprocessing.pixels(image.data)[None], np.array(image.probabilities)
            for is_alone in (True, False):
                found = self._calibrated(self._runtime.run(pixels, is_alone=is_alone))[0]
                worst = float(np.abs(found - recorded).max())
                if not worst <= GOLDEN_TOLERANCE:
                    return (f"golden image {image.sha256[:12]} is off by {worst:.2g} (allowed {GOLDEN_TOLERANCE:g}) with "
                            f"{self.name}")
        return None

    def _calibrated(self, outputs: Outputs) -> NDArray[np.float64]:
        return softmax(outputs["logits"], self.bundle.calibration.temperature)

    def _scored(self, row: NDArray[np.float64], ood: OodAnswer | None) -> Scored:
        by_label = dict(zip(self.bundle.labels, row.tolist(), strict=True))
        return Scored(by_label, prediction_set(by_label, self._thresholds), ood)
