"""Flattening: a decoded picture of any mode as opaque RGB of 8 bits, without a second copy of it in memory.

Here: what transparent and 16-bit pixels show, and working through a large picture band by band: of 50 megapixels with
transparency all steps at once held 760 MB, of which the picture itself is 190. Not here: model input (``core.preprocessing``),
the small versions for hashes (``core.decoding``).
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

BAND_PIXELS = 2**20  # 4 MB a copy; a picture of fewer is worked on whole


def is_see_through(image: Image.Image) -> bool:
    """Whether some of its pixels may be transparent."""
    return image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info


def as_rgb(image: Image.Image) -> Image.Image:
    """RGB whatever the mode; what is transparent shows white."""
    if image.mode.startswith("I"):
        return eight_bits(image).convert("RGB")
    if is_see_through(image):
        return on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """An RGBA ``image`` as RGB, on white."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """``image`` with 16-bit grey scaled to 8 bits (Pillow's own conversion clips it to white)."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))


def by_bands(image: Image.Image, change: Callable[[Image.Image], Image.Image], multiple: int = 1) -> Image.Image:
    """What ``change`` makes of ``image``, done band by band: the same where it takes ``multiple`` rows after each other
    independently of all others."""
    width, height = image.size
    rows = max(1, BAND_PIXELS // (width * multiple)) * multiple
    if rows >= height:
        return change(image)
    changed = [change(image.crop((0, top, width, min(top + rows, height)))) for top in range(0, height, rows)]
    stacked, top = Image.new(changed[0].mode, (changed[0].width, sum(band.height for band in changed))), 0
    for band in changed:
        stacked.paste(band, (0, top))
        top += band.height
    return stacked
