"""Preprocessing: the one way from image bytes to model input, for training, evaluation and serving alike."""

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from skin_platform.core.decoding import eight_bits, upright


@dataclass(frozen=True)
class Preprocessing:
    """Upright RGB, shorter side resized to ``size_px`` (antialiased bilinear), centre-cropped square, standardised.

    ``mean`` and ``std`` are per channel on the 0..1 scale (the defaults are ImageNet's).
    """

    size_px: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """The image in ``data`` as uint8 of shape (size_px, size_px, 3). Raises what Pillow raises on bad bytes."""
        with Image.open(io.BytesIO(data)) as image:
            side = (self.size_px, self.size_px)
            return np.asarray(ImageOps.fit(_as_rgb(upright(image)), side, Image.Resampling.BILINEAR), dtype=np.uint8)

    def tensor(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, S, S, 3) as standardised float32 (N, 3, S, S)."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, stored in checkpoints and bundles."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Preprocessing":
        """The inverse of ``as_dict``."""
        mean, std = (tuple(float(v) for v in stored[name]) for name in ("mean", "std"))
        return cls(int(stored["size_px"]), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _as_rgb(image: Image.Image) -> Image.Image:
    """RGB whatever the mode; what is transparent shows white."""
    if image.mode.startswith("I"):
        return eight_bits(image).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")
