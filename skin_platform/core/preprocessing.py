"""Preprocessing: the one way from image bytes to model input, for training, evaluation and serving alike."""

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.core.decoding import upright
from skin_platform.core.flattening import BAND_PIXELS, as_rgb, by_bands, is_see_through

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
GREY = {"1", "L", "LA", "I", "I;16", "I;16B"}
METHOD = 2  # changes with the pixels that the same bytes and settings give; decoded images are kept under it


@dataclass(frozen=True)
class Preprocessing:
    """Upright RGB, centre-cropped square, resized to ``size_px`` (antialiased bilinear), standardised.

    ``mean`` and ``std`` are per channel on the 0..1 scale (the defaults are ImageNet's).
    """

    size_px: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """The image in ``data`` as uint8 of shape (size_px, size_px, 3). Raises what Pillow raises on bad bytes."""
        with Image.open(io.BytesIO(data)) as image:
            return self.pixels_of(image)

    def pixels_of(self, image: Image.Image) -> NDArray[np.uint8]:
        """The opened ``image``, not decoded yet, as ``pixels`` gives it for its bytes; raises likewise."""
        # a JPEG is decoded at a half, a quarter or an eighth where that suffices: two thirds of the time or less, and on
        # average 0.6 grey levels from a full decode (256 to 112 px)
        image.draft(None, (self.size_px, self.size_px))
        picture = upright(image)
        width, height = picture.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        if width * height <= BAND_PIXELS:
            picture = as_rgb(picture)
        elif picture.mode != "RGB" or is_see_through(picture):
            return self._by_channel(picture, box)
        return np.asarray(self._resized(picture, box), dtype=np.uint8)

    def _by_channel(self, picture: Image.Image, box: Box) -> NDArray[np.uint8]:
        """A large ``picture``, opaque and in colour one channel after the other, so that no second picture is in memory.

        Before each is resized, it is whole: which way Pillow resizes first depends on the shape, and the pixels on that.
        """
        channels = [np.asarray(self._resized(by_bands(picture, lambda band: as_rgb(band).getchannel(name)), box))  # noqa: B023
                    for name in ("R" if picture.mode in GREY else "RGB")]
        return np.stack(channels * (3 // len(channels)), axis=-1)

    def _resized(self, image: Image.Image, box: Box) -> Image.Image:
        return image.resize((self.size_px, self.size_px), Image.Resampling.BILINEAR, box)

    def tensor(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, S, S, 3) as standardised float32 (N, 3, S, S)."""
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        # transposed while small and scaled in place: an eighth of the time of arrays of (N, S, S, 3)
        standardised = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
        standardised *= 1 / (np.float32(255) * std)
        standardised -= mean / std
        return standardised

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, stored in checkpoints and bundles."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Preprocessing":
        """The inverse of ``as_dict``."""
        mean, std = (tuple(float(v) for v in stored[name]) for name in ("mean", "std"))
        return cls(int(stored["size_px"]), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
