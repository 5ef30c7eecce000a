"""Quality: how well a picture was taken, as numbers that can be compared between cameras.

Here: sharpness, exposure, blank share and resolution of one picture. Not here: how they go with the labels
(``core.soundness``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX = 112  # the shorter side of the grey picture that is measured, whatever the camera's resolution
LONGEST_PX = 8 * SIDE_PX  # of the longer side, which is squeezed to it: a strip of 16 x 3,000,000 pixels is not blown up
BLOCK_PX = 8  # 14 blocks along the shorter side
FLAT_SPREAD = 6  # grey levels between the darkest and the brightest pixel from which no block of 64 can be flat
FLAT_BELOW = 0.5  # standard deviation in grey levels (of 255): masks and burnt-out light are at 0, the smoothest skin is at 0.6


@dataclass(frozen=True)
class Quality:
    """The measures of one picture.

    ``sharpness``: variance of the Laplacian, in squared grey levels (Pech-Pacheco et al. 2000), of the picture whose shorter
    side is 112 px; ``exposure``: mean luminance, 0 to 1; ``blank_share``: share of blocks of 8x8 px of that picture whose
    standard deviation is under half a grey level, 0 to 1; ``resolution_mpx``: megapixels as displayed.
    """

    sharpness: float
    exposure: float
    blank_share: float
    resolution_mpx: float


def grey_plane(grey: Image.Image) -> NDArray[np.uint8]:
    """The plane (H, W) that is measured, of ``grey`` (mode L), a version of the picture of any size."""
    scale = SIDE_PX / min(grey.size)
    size = (min(LONGEST_PX, round(grey.width * scale)), min(LONGEST_PX, round(grey.height * scale)))
    return np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR))


def measured(plane: NDArray[np.uint8], pixels: int) -> Quality:
    """The quality of a picture of ``pixels`` pixels with that ``grey_plane``. In whole numbers, as they are fast and exact."""
    return Quality(sharpness=_laplacian_variance(plane), exposure=_total(plane.astype(np.int32)) / plane.size / 255,
                   blank_share=_flat_share(plane), resolution_mpx=pixels / 1e6)


def _laplacian_variance(plane: NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian over the inner pixels of ``plane`` (H, W)."""
    high, wide = plane.shape
    pixels = plane.astype(np.int16).ravel()
    middle = pixels[wide:-wide]
    laplacian = middle * np.int16(-4)  # of whole rows on end, as that is fast; their first and last pixels do not count
    laplacian += pixels[:-2 * wide]
    laplacian += pixels[2 * wide:]
    laplacian[1:] += middle[:-1]
    laplacian[:-1] += middle[1:]
    inner = laplacian.reshape(high - 2, wide)[:, 1:-1].astype(np.int32)
    total = _total(inner)
    inner *= inner
    return _total(inner) / inner.size - (total / inner.size) ** 2


def _total(plane: NDArray[np.int32]) -> int:
    """The sum; of a column 32 bits hold it, of LONGEST_PX squares of up to 4 x 255 too."""
    return int(plane.sum(axis=0, dtype=np.int32).sum(dtype=np.int64))


def _flat_share(plane: NDArray[np.uint8]) -> float:
    """Share of the whole blocks of ``plane`` (H, W) that are flat; in whole numbers, so that flat is exactly flat."""
    high, wide = plane.shape[0] // BLOCK_PX, plane.shape[1] // BLOCK_PX
    rows = plane[:high * BLOCK_PX, :wide * BLOCK_PX].reshape(high, BLOCK_PX, wide * BLOCK_PX)
    spread = _of_blocks(np.maximum, rows.max(axis=1)) - _of_blocks(np.minimum, rows.min(axis=1))
    down, across = np.nonzero(spread < FLAT_SPREAD)
    if not len(down):
        return 0.0  # as with most pictures
    blocks = rows.reshape(high, BLOCK_PX, wide, BLOCK_PX)[down, :, across].reshape(len(down), -1).astype(np.int32)
    totals, squares = blocks.sum(axis=1), (blocks * blocks).sum(axis=1)
    pixels = BLOCK_PX * BLOCK_PX
    flat = int(np.count_nonzero(pixels * squares - totals * totals < (pixels * FLAT_BELOW) ** 2))
    return float(flat / (high * wide))


def _of_blocks(extreme: np.ufunc, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The extreme of every eight neighbours in each row: pairs, pairs of pairs, pairs of those."""
    for _ in range(3):
        rows = extreme(rows[:, ::2], rows[:, 1::2])
    return rows
