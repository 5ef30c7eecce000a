"""Intake: an image that came in a request, brought to model input with one decode, or the reason why it is refused.

Here: the same judgement and the same pixels as an image of a delivery gets before it is learnt from. Not here: the rules
(``core.images``, ``core.cleaning``), the pixels (``core.preprocessing``), which status a refusal has (``serving.routes``).
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.images import Limits, Refusal, admit_image
from skin_platform.core.preprocessing import Preprocessing


@dataclass(frozen=True)
class Taken:
    """An image that is answered.

    Model input, uint8 (S, S, 3); SHA-256 (hex) of the cleaned bytes (the id that the catalogue would give it) and of those
    delivered; the cleaned bytes (no metadata, upright); width and height in pixels as displayed; ``JPEG`` or ``PNG``.
    """

    pixels: NDArray[np.uint8]
    sha256: str
    delivered_sha256: str
    cleaned: bytes
    width_px: int
    height_px: int
    format: str


def take(data: bytes, limits: Limits, preprocessing: Preprocessing) -> Taken | Refusal:
    """What the model sees of ``data``, or why it is refused; never raises on bad bytes."""
    admitted = admit_image(data, "", limits)
    if isinstance(admitted, Refusal):
        return admitted
    clean, facts = admitted
    return Taken(preprocessing.pixels(clean), facts.sha256, hashlib.sha256(data).hexdigest(), clean, facts.width_px,
                 facts.height_px, facts.format)
