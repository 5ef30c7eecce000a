"""Intake: an image that came in a request, brought to model input with one decode, or the reason why it is refused.

Here: the same judgement and the same pixels as an image of a delivery gets before it is learnt from. Not here: the rules
(``core.images``, ``core.cleaning``), the pixels (``core.preprocessing``), which status a refusal has (``serving.errors``).

===========================================  ==========================================================================
an image that is                             gets
===========================================  ==========================================================================
empty                                        refused: ``empty``
text, or anything else that is no picture    refused: ``not_an_image``
GIF, TIFF, WebP, HEIC, BMP, DICOM, …         refused: ``wrong_format`` (only JPEG and PNG are taken)
more bytes or pixels than the limits         refused by its header: ``too_large`` (a bomb of 100 megapixels is never decoded)
1x1, or a side under the limit               refused by its header: ``too_small``
truncated or damaged                         refused by the decoder: ``corrupt``
held turned, says EXIF                       an answer for the upright picture
animated (PNG), several pictures (MPO)       an answer for the first picture
CMYK, grey, palette                          an answer for it as RGB
16 bits a channel                            an answer for its upper 8 bits
transparent                                  an answer for it on white
===========================================  ==========================================================================
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skin_platform.core.images import Limits, Refusal, admitted
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
    """What the model sees of ``data``, or why it is refused; never raises on bad bytes.

    Decoded once, but for a picture that is turned or whose structure is broken: that one is drawn anew first, as for training.
    """
    def see(image: Image.Image, clean: bytes, delivered_sha256: str) -> Taken:
        width, height = image.size
        sha256 = delivered_sha256 if clean is data else hashlib.sha256(clean).hexdigest()
        return Taken(preprocessing.pixels_of(image), sha256, delivered_sha256, clean, width, height, str(image.format))

    return admitted(data, "", limits, see)
