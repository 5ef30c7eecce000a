"""Examples: what is learnt from, as a fit takes it: images or features, with their targets.

Here: fetching a batch as tensors. Not here: where pixels are kept (``ml.pixels``), which batch comes when (``ml.order``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skin_platform.ml.pixels import StoredPixels


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (N, S, S, 3), in memory or on disk, with int64 targets (N,)."""

    pixels: NDArray[np.uint8] | StoredPixels
    targets: NDArray[np.int64]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """uint8 (B, 3, S, S) and int64 targets (B,); an index below 0 is nobody's and has the target -1."""
        pixels = self.pixels[np.maximum(indices, 0)]
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), _targets(self.targets, indices)

    def soon(self, indices: Sequence[int]) -> None:
        """Begin to fetch what comes next."""
        if isinstance(self.pixels, StoredPixels):
            self.pixels.soon(indices)


@dataclass(frozen=True)
class LabelledFeatures:
    """float32 features (N, F) with int64 targets (N,)."""

    features: NDArray[np.float32]
    targets: NDArray[np.int64]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """float32 (B, F) and int64 targets (B,), as of images."""
        return torch.from_numpy(self.features[np.maximum(indices, 0)]), _targets(self.targets, indices)

    def soon(self, indices: Sequence[int]) -> None:
        """Nothing: they are in memory."""


Examples = LabelledImages | LabelledFeatures


def _targets(targets: NDArray[np.int64], indices: Sequence[int]) -> Tensor:
    wanted = np.asarray(indices)
    return torch.from_numpy(np.where(wanted < 0, -1, targets[wanted]).astype(np.int64))
