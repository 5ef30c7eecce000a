"""Noise: smooth fields and cell patterns, the raw material of skin and lesions.

Smooth fields are drawn small and enlarged by Pillow: a tenth of the time of filtering at full size.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Plane: TypeAlias = npt.NDArray[np.float32]  # one value per pixel
Scene: TypeAlias = npt.NDArray[np.float32]  # red, green and blue planes: numpy is slow where the last axis is 3


@dataclass(frozen=True)
class Cells:
    """A plane of jittered cells: distance to the nearest and second centre (in cells), and a value per cell."""

    nearest: Plane
    second: Plane
    value: Plane


def grid(size: int, extent: float) -> tuple[Plane, Plane]:
    """The x and y of every pixel, from -extent to extent."""
    axis = np.linspace(-extent, extent, size, dtype=np.float32)
    return np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))


def resized(plane: Plane, size: int) -> Plane:
    """The plane at another size, smoothly."""
    return np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def planes(colour: tuple[float, float, float]) -> Scene:
    """A colour that multiplies scenes and planes."""
    return np.array(colour, dtype=np.float32)[:, None, None]


def smooth(rng: np.random.Generator, size: int, knots: int) -> Plane:
    """A field of mean about 0 and deviation about 0.75 with ``knots`` hills across."""
    return resized(rng.standard_normal((knots, knots), dtype=np.float32), size)


def layered(rng: np.random.Generator, size: int, knots: int, octaves: int) -> Plane:
    """Smooth fields on top of each other, each twice as fine and six tenths as strong."""
    total = np.zeros((size, size), dtype=np.float32)
    for octave in range(octaves):
        total += np.float32(0.6**octave) * smooth(rng, size, min(size, knots * 2**octave))
    return total


def cells(rng: np.random.Generator, size: int, count: float) -> Cells:
    """``count`` cells across with wandering centres: their edges make a net, their middles make dots."""
    across = int(np.ceil(count))
    centres = rng.random((across + 2, across + 2, 2), dtype=np.float32) * np.float32(0.8) + np.float32(0.1)
    values = rng.random((across + 2, across + 2), dtype=np.float32)
    place = np.linspace(0, count, size, endpoint=False, dtype=np.float32)
    own, within = place.astype(np.intp) + 1, place % 1
    nearest = np.full((size, size), 9, dtype=np.float32)
    second, value = nearest.copy(), np.zeros_like(nearest)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = np.ix_(own + down, own + right)
            far_x = centres[..., 0][near] + np.float32(right) - within
            far_y = centres[..., 1][near] + np.float32(down) - within[:, None]
            distance = far_x * far_x + far_y * far_y
            closer = distance < nearest
            second = np.minimum(second, np.maximum(distance, nearest))
            value = np.where(closer, values[near], value)
            nearest = np.minimum(nearest, distance)
    return Cells(np.sqrt(nearest), np.sqrt(second), value)
