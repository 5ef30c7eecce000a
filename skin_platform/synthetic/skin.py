"""Skin: the bare skin around a lesion, and how pigment colours it.

Pigment works as in real skin: light passes through it, so it multiplies, and absorbs blue more than red.
"""

import numpy as np

from skin_platform.synthetic import noise
from skin_platform.synthetic.lesions import Lesion
from skin_platform.synthetic.noise import Plane, Scene

MELANIN = (0.50, 0.92, 1.25)  # absorption of red, green, blue
BLOOD = (0.10, 0.85, 0.68)
VEIL = (0.62, 0.68, 0.80)  # pigment seen through deeper skin scatters blue


def bare_skin(rng: np.random.Generator, tone: tuple[float, float, float], size: int) -> Scene:
    """Skin of one tone, mottled by blood and pigment, with pores."""
    blood = np.float32(0.05) * noise.layered(rng, size, 4, 4)
    pigment = np.float32(0.045) * noise.layered(rng, size, 3, 5)
    pores = noise.cells(
        rng, size // 2, rng.uniform(13, 19)
    )  # pores are soft: half size is enough, and four times faster
    dots = np.exp(-np.square(pores.nearest / 0.16)) * (pores.value > 0.55) * (pores.value - 0.45)
    pigment = pigment + np.float32(0.22) * noise.resized(dots.astype(np.float32), size)
    return _absorbed(noise.planes(tone), pigment, blood)


def relief(rng: np.random.Generator, size: int) -> Plane:
    """The fine lines of the skin surface: two crossing families of furrows, and grain. Multiplies the picture."""
    x, y = noise.grid(size, 1.0)
    furrows = np.zeros((size, size), dtype=np.float32)
    heading = rng.uniform(0, np.pi)
    for turn in (0.0, rng.uniform(0.9, 1.5)):
        across = x * np.float32(np.cos(heading + turn)) + y * np.float32(np.sin(heading + turn))
        phase = np.float32(rng.uniform(38, 60)) * across + 2.2 * noise.layered(rng, size, 8, 3)
        depth = np.clip(0.5 + 0.5 * noise.smooth(rng, size, 9), 0, 1)
        furrows += depth * np.square(1 - np.abs(np.sin(phase)))
    grain = noise.smooth(rng, size, size // 2)
    strength = np.float32(rng.uniform(0.03, 0.075))
    return (1 - strength * furrows + np.float32(0.013) * grain).astype(np.float32)


def coloured(skin: Scene, lesion: Lesion) -> Scene:
    """The skin with the lesion in it."""
    stained = _absorbed(skin, lesion.melanin, lesion.redness)
    scattered = np.float32(0.45) * skin.mean(axis=0) * noise.planes(VEIL)
    veiled: Scene = stained + lesion.veil * (scattered - np.float32(0.55) * stained)
    return veiled


def _absorbed(scene: Scene, melanin: Plane, blood: Plane) -> Scene:
    darkness: Scene = melanin * noise.planes(MELANIN) + blood * noise.planes(BLOOD)
    light: Scene = np.exp(-darkness)
    return scene * light
