"""Small things to learn from, and the smallest settings that learn them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.examples import LabelledImages


def pictures(n: int, seed: int) -> LabelledImages:
    """Dark and light noise, which a network tells apart after a few steps."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    pixels = rng.integers(0, 90, (n, 32, 32, 3)) + 130 * targets[:, None, None, None]
    return LabelledImages(pixels.astype(np.uint8), targets.astype(np.int64))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An encoded image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def tiny(train_images: int, **settings: Any) -> TrainingConfig:
    """A resolved config of a network of eight channels."""
    usual = {"image_size_px": 32, "width": 0.125, "epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "seed": 3}
    return TrainingConfig(**usual | settings).resolved(train_images)
