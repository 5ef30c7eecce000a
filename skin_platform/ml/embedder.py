"""The embedder: what a network that is left alone sees in images, as numbers for probes, review and heads.

Here: features of images. Not here: where they are kept (``storage.embeddings``), the head (``ml.classifier``).
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skin_platform.core.embedding import FEATURES
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import build_backbone, pooled_features, preprocessing_of, weights_digest
from skin_platform.ml.classifier import LesionNet
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.scattering import Scattering

BATCH = 32  # always so many images at once, the last batch filled up: another shape may round otherwise
DECODERS = 2
AHEAD = 2 * BATCH  # images decoded before they are asked for


class Embedder:
    """A network that is left alone, in float32 and in evaluation mode: standardised images (N, 3, S, S) to features (N, D).

    ``digest`` (hex) names what it computes: weights, preprocessing and how features are made. On one machine an image has the
    same features to the bit in whatever batch it comes; other processors may round otherwise, so what is stored counts.
    """

    def __init__(self, network: nn.Module, backbone_digest: str, preprocessing: Preprocessing) -> None:
        self.backbone_digest, self.preprocessing = backbone_digest, preprocessing
        named = {"weights": backbone_digest, "preprocessing": preprocessing.as_dict(), "features": FEATURES}
        self.digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = network.eval()

    @classmethod
    def of_backbone(cls, config: TrainingConfig) -> "Embedder":
        """The backbone of a resolved ``config`` as it comes: with its weights, or untrained by the seed.

        Raises ``ConfigError`` where weights are named but cannot be had.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            backbone = build_backbone(config)
        return cls(_Pooled(backbone), weights_digest(backbone), preprocessing_of(config))

    @classmethod
    def of_net(cls, net: LesionNet, preprocessing: Preprocessing) -> "Embedder":
        """The backbone of a trained network: where it stayed as it came, the same as ``of_backbone``."""
        return cls(_Pooled(net.backbone), weights_digest(net.backbone), preprocessing)

    @classmethod
    def of_nothing_learnt(cls) -> "Embedder":
        """Fixed filters, for where no weights are at hand."""
        network = Scattering()
        return cls(network, weights_digest(network), Preprocessing(128, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))

    @cached_property
    def size(self) -> int:
        """How many numbers an image has."""
        side = self.preprocessing.size_px
        return int(self.features(np.zeros((1, side, side, 3), np.uint8)).shape[1])

    def embed(self, images: Iterable[bytes]) -> Iterator[NDArray[np.float32]]:
        """Features (n, D) of encoded images, in order, at most ``BATCH`` at a time."""
        batch: list[NDArray[np.uint8]] = []
        for pixels in _ahead(self.preprocessing, images):
            batch.append(pixels)
            if len(batch) == BATCH:
                yield self.features(np.stack(batch))
                batch = []
        if batch:
            yield self.features(np.stack(batch))

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of uint8 images (N, S, S, 3), N at most ``BATCH``."""
        filled = np.zeros((BATCH, *pixels.shape[1:]), np.uint8)
        filled[:len(pixels)] = pixels
        with torch.inference_mode():
            images = torch.from_numpy(self.preprocessing.tensor(filled)).to(self._device)
            images = images.contiguous(memory_format=torch.channels_last)
            found: NDArray[np.float32] = self._network(images).cpu().numpy()
        return found[:len(pixels)]


class _Pooled(nn.Module):
    """A backbone and what is made of its maps."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """The features."""
        return pooled_features(self.backbone, images)


def _ahead(preprocessing: Preprocessing, images: Iterable[bytes]) -> Iterator[NDArray[np.uint8]]:
    """The images decoded, in order, while the backbone is at the ones before."""
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(DECODERS) as decoders:
        try:
            for data in images:
                waiting.append(decoders.submit(preprocessing.pixels, data))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)  # the rest, where the reader stops half-way
