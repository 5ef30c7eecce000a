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
from skin_platform.core.precisions import EXACT, fault_of, how_to_judge, verdict_on
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
    once, each of ``batch`` images at best, and ``place`` says where. ``precision_fault`` says why it may not answer in a lower
    precision than it was evaluated in, None where it may.
    """

    def __init__(self, bundle: Bundle, runtime: str = "onnxruntime", precision: str = EXACT, threads: int = 0) -> None:
        self.bundle, self.precision = bundle, precision
        self.name = f"{runtime} {precision}"
        self._runtime = open_runtime(runtime, bundle.model, bundle.preprocessing, precision, threads)
        self.lanes, self.batch, self.place = self._runtime.lanes, self._runtime.batch, self._runtime.place
        self._verdict = None if precision == EXACT else verdict_on(bundle.precisions, runtime, precision)
        self.precision_fault = None if precision == EXACT else fault_of(
            self._verdict, bundle.provenance.model_version, bundle.subject_sha256, runtime, precision)
        self._thresholds = dict(zip(bundle.labels, bundle.calibration.thresholds, strict=True))

    def score(self, pixels: NDArray[np.uint8], *, is_alone: bool = True) -> list[Scored]:
        """One ``Scored`` an image, in order, for uint8 pixels (N, S, S, 3) from the bundle's preprocessing.

        ``is_alone``: no other pass runs now, so that this one may take every core.
        """
        outputs = self._runtime.run(pixels, is_alone=is_alone)
        rows = self._calibrated(outputs)
        judged = self.bundle.ood.judge(outputs["features"]) if self.bundle.ood else [None] * len(rows)
        return [self._scored(row, ood) for row, ood in zip(rows, judged, strict=True)]

    def outputs(self, pixels: NDArray[np.uint8], *, is_alone: bool = True) -> Outputs:
        """What the model itself gives for uint8 pixels (N, S, S, 3): ``logits`` (N, C) and ``features`` (N, F)."""
        return self._runtime.run(pixels, is_alone=is_alone)

    def probabilities(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, C) of encoded images, which must be readable."""
        parts = [np.empty((0, len(self.bundle.labels)))]
        for start in range(0, len(images), self.batch):
            pixels = np.stack([self.bundle.preprocessing.pixels(data) for data in images[start:start + self.batch]])
            parts.append(self._calibrated(self._runtime.run(pixels, is_alone=True)))
        return np.concatenate(parts)

    def golden_fault(self) -> str | None:
        """None where every golden image gets its recorded answer, from passes of either kind; otherwise what differs.

        In f32 that is the checkpoint's answer, in a lower precision the one of the verdict that lets this bundle answer in it.
        """
        if not self.bundle.golden:
            return "the bundle has no golden images, so nothing proves that it answers as recorded"
        if self.precision_fault:
            return self.precision_fault
        allowed = GOLDEN_TOLERANCE if self._verdict is None else self._verdict.tolerance
        remedy = "" if self._verdict is None else (
            f" on {self.place}, where the gates judged it on {self._verdict.place}: "
            f"{how_to_judge(self._verdict.model_version, self.precision)} on this machine, or take SKIN_PRECISION=f32")
        for image in self.bundle.golden:
            recorded = image.probabilities if self._verdict is None else self._verdict.golden.get(image.sha256)
            if recorded is None:
                return f"golden image {image.sha256[:12]} is none of those that {self.name} was judged with{remedy}"
            worst = self._worst(image.data, np.array(recorded))
            if not worst <= allowed:
                return (f"golden image {image.sha256[:12]} is off by {worst:.2g} (allowed {allowed:.2g}) with "
                        f"{self.name}{remedy}")
        return None

    def _worst(self, image: bytes, recorded: NDArray[np.float64]) -> float:
        """The largest difference of a probability from ``recorded`` (C,), in passes of either kind."""
        pixels = self.bundle.preprocessing.pixels(image)[None]
        found = [self._calibrated(self._runtime.run(pixels, is_alone=is_alone))[0] for is_alone in (True, False)]
        return float(np.abs(np.stack(found) - recorded).max())

    def _calibrated(self, outputs: Outputs) -> NDArray[np.float64]:
        return softmax(outputs["logits"], self.bundle.calibration.temperature)

    def _scored(self, row: NDArray[np.float64], ood: OodAnswer | None) -> Scored:
        by_label = dict(zip(self.bundle.labels, row.tolist(), strict=True))
        return Scored(by_label, prediction_set(by_label, self._thresholds), ood)
