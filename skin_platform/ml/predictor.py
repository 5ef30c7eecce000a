"""The predictor: logits of a checkpoint for images that went through the one preprocessing."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.ml.checkpoints import Checkpoint


class Predictor:
    """Scores images with a checkpoint, in float32."""

    def __init__(self, checkpoint: Checkpoint, batch_size: int = 32) -> None:
        self._checkpoint, self._batch_size = checkpoint, batch_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = checkpoint.net.to(self._device).eval()

    def logits(self, images: Iterable[bytes]) -> NDArray[np.float32]:
        """Logits (N, C) of encoded images."""
        pixels = (self._checkpoint.preprocessing.pixels(data) for data in images)
        parts = [self._batch(np.stack(batch)) for batch in _in_batches(pixels, self._batch_size)]
        return np.concatenate(parts) if parts else np.empty((0, len(self._checkpoint.labels)), np.float32)

    def probabilities(self, images: Iterable[bytes], temperature: float = 1.0) -> NDArray[np.float64]:
        """Probabilities (N, C) of encoded images."""
        return softmax(self.logits(images), temperature)

    def _batch(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            tensor = torch.from_numpy(self._checkpoint.preprocessing.tensor(pixels)).to(self._device)
            result: NDArray[np.float32] = self._net(tensor).float().cpu().numpy()
            return result


def _in_batches(items: Iterable[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    batch: list[NDArray[np.uint8]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
