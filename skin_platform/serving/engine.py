"""The engine: a bundle's model in ONNX Runtime, and the proof that it answers as recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from skin_platform.core.answers import PredictionSet, prediction_set, softmax
from skin_platform.serving.bundle import Bundle

GOLDEN_TOLERANCE = 1e-4  # of each probability, between the checkpoint's recorded answer and ours


@dataclass(frozen=True)
class Scored:
    """One image's calibrated probabilities by label, and its prediction set."""

    probabilities: dict[str, float]
    prediction_set: PredictionSet


class Engine:
    """Answers encoded images with one bundle. Safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves the decoders
        self._session = ort.InferenceSession(bundle.model, options, providers=ort.get_available_providers())

    def score(self, images: Sequence[bytes]) -> list[Scored]:
        """One ``Scored`` an image, in order. The bytes must be readable images."""
        thresholds = dict(zip(self.bundle.labels, self.bundle.calibration.thresholds, strict=True))
        scored = []
        for row in self.probabilities(images):
            by_label = {label: float(p) for label, p in zip(self.bundle.labels, row, strict=True)}
            scored.append(Scored(by_label, prediction_set(by_label, thresholds)))
        return scored

    def probabilities(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, C)."""
        pixels = np.stack([self.bundle.preprocessing.pixels(data) for data in images])
        logits = self._session.run(["logits"], {"images": self.bundle.preprocessing.tensor(pixels)})[0]
        return softmax(logits, self.bundle.calibration.temperature)

    def golden_fault(self) -> str | None:
        """None where every golden image gets its recorded answer; otherwise what differs."""
        if not self.bundle.golden:
            return "the bundle has no golden images, so nothing proves that it answers as recorded"
        for image in self.bundle.golden:
            worst = float(np.abs(self.probabilities([image.data])[0] - np.array(image.probabilities)).max())
            if not worst <= GOLDEN_TOLERANCE:
                return f"golden image {image.sha256[:12]} is off by {worst:.2g} (allowed {GOLDEN_TOLERANCE:g})"
        return None
