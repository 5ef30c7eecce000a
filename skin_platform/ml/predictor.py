"""The predictor: logits and features of a checkpoint for images that went through the one preprocessing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.ml.checkpoints import Checkpoint


@dataclass(frozen=True)
class Answered:
    """What a network gave for N images: logits (N, C), and the features (N, F) that they are made of."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


class Predictor:
    """Scores images with a checkpoint, in float32."""

    def __init__(self, checkpoint: Checkpoint, batch_size: int = 32) -> None:
        self._checkpoint, self._batch_size = checkpoint, batch_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = checkpoint.net.to(self._device).eval()

    def answered(self, images: Iterable[bytes]) -> Answered:
        """Logits and features of encoded images, in one pass."""
        pixels = (self._checkpoint.preprocessing.pixels(data) for data in images)
        parts = [self._batch(np.stack(batch)) for batch in _in_batches(pixels, self._batch_size)]
        logits, features = len(self._checkpoint.labels), self._checkpoint.net.head.linear.in_features
        return Answered(np.concatenate([np.empty((0, logits), np.float32), *(part.logits for part in parts)]),
                        np.concatenate([np.empty((0, features), np.float32), *(part.features for part in parts)]))

    def logits(self, images: Iterable[bytes]) -> NDArray[np.float32]:
        """Logits (N, C) of encoded images."""
        return self.answered(images).logits

    def probabilities(self, images: Iterable[bytes], temperature: float = 1.0) -> NDArray[np.float64]:
        """Probabilities (N, C) of encoded images."""
        return softmax(self.logits(images), temperature)

    def _batch(self, pixels: NDArray[np.uint8]) -> Answered:
        with torch.inference_mode():
            tensor = torch.from_numpy(self._checkpoint.preprocessing.tensor(pixels)).to(self._device)
            features = self._net.features(tensor)
            return Answered(self._net.head(features).float().cpu().numpy(), features.cpu().numpy())


def _in_batches(items: Iterable[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    batch: list[NDArray[np.uint8]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
