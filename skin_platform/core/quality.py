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


def measured(grey: Image.Image, pixels: int) -> Quality:
    """The quality of a picture of ``pixels`` pixels, of which ``grey`` (mode L) is a version of any size."""
    scale = SIDE_PX / min(grey.size)
    size = (min(LONGEST_PX, round(grey.width * scale)), min(LONGEST_PX, round(grey.height * scale)))
    plane = np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)).astype(np.int32)
    return Quality(sharpness=_laplacian_variance(plane), exposure=float(plane.mean()) / 255, blank_share=_flat_share(plane),
                   resolution_mpx=pixels / 1e6)


def _laplacian_variance(plane: NDArray[np.int32]) -> float:
    """Variance of the 4-neighbour Laplacian over the inner pixels of ``plane`` (H, W)."""
    laplacian = plane[:-2, 1:-1] + plane[2:, 1:-1]
    laplacian += plane[1:-1, :-2]
    laplacian += plane[1:-1, 2:]
    laplacian -= 4 * plane[1:-1, 1:-1]
    laplacian_mean = float(laplacian.mean())  # no dot product: BLAS would set all cores to it, which readers have use for
    return float((laplacian * laplacian).mean()) - laplacian_mean ** 2


def _flat_share(plane: NDArray[np.int32]) -> float:
    """Share of the whole blocks of ``plane`` (H, W) that are flat; in whole numbers, so that flat is exactly flat."""
    pixels = BLOCK_PX * BLOCK_PX
    totals, squares = _block_sums(plane), _block_sums(plane * plane)
    return float((pixels * squares - totals * totals < (pixels * FLAT_BELOW) ** 2).mean())


def _block_sums(plane: NDArray[np.int32]) -> NDArray[np.int32]:
    """The sum of each whole block of ``plane`` (H, W): (H // 8, W // 8)."""
    high, wide = (side // BLOCK_PX for side in plane.shape)
    rows = plane[:high * BLOCK_PX, :wide * BLOCK_PX].reshape(high, BLOCK_PX, -1).sum(axis=1, dtype=np.int32)
    sums: NDArray[np.int32] = rows.reshape(high, wide, BLOCK_PX).sum(axis=2, dtype=np.int32)
    return sums
