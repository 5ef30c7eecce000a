"""Views: a lesion as one photograph frames it: turned, nearer or farther, off the middle."""

import numpy as np
from PIL import Image

from skin_platform.synthetic.lesions import EXTENT, Lesion
from skin_platform.synthetic.noise import Plane


def framed(rng: np.random.Generator, lesion: Lesion, size: int) -> Lesion:
    """The lesion's densities over a photograph of ``size`` pixels."""
    angle = rng.uniform(0, 2 * np.pi)
    radius = size * rng.uniform(0.22, 0.32)
    middle = size / 2 + rng.normal(0, 0.035, 2) * size
    frame = lesion.melanin.shape[0]
    scale = frame / (2 * EXTENT) / radius
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    mapping = (
        *(cos, -sin, frame / 2 - cos * middle[0] + sin * middle[1]),
        *(sin, cos, frame / 2 - sin * middle[0] - cos * middle[1]),
    )
    return Lesion(*(_mapped(plane, mapping, size) for plane in (lesion.melanin, lesion.redness, lesion.veil)))


def _mapped(plane: Plane, mapping: tuple[float, ...], size: int) -> Plane:
    seen = Image.fromarray(plane).transform(
        (size, size), Image.Transform.AFFINE, mapping, resample=Image.Resampling.BICUBIC
    )
    return np.maximum(0, np.asarray(seen, dtype=np.float32))
