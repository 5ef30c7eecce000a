"""Lesions: pigment, redness and veil of one lesion, in its own frame.

Here: what the lesion is, the same in every photograph of it.
Not here: the camera's view of it (``views``), the skin under it (``skin``).
"""

from dataclasses import dataclass

import numpy as np

from skin_platform.synthetic import noise
from skin_platform.synthetic.looks import Look
from skin_platform.synthetic.noise import Plane

EXTENT = 1.8  # half the side of the frame, in radii of the lesion
FAINT = 0.1  # share of pigment that stays: its differences are then under the mottling of bare skin (``skin``)
LOBES = range(2, 8)  # low orders only: higher ones make a cog wheel, not a border


@dataclass(frozen=True)
class Lesion:
    """Densities over the lesion's frame; all fade to 0 at its edges."""

    melanin: Plane
    redness: Plane
    veil: Plane


@dataclass(frozen=True)
class Shape:
    """Where the lesion is: ``inward`` is the depth below the border in radii, ``alpha`` the soft mask."""

    inward: Plane
    alpha: Plane
    angle: Plane


def draw_lesion(rng: np.random.Generator, look: Look, size: int) -> Lesion:
    """One lesion in a frame of ``size`` pixels."""
    x, y = noise.grid(size, EXTENT)
    shape = _shape(rng, look, x, y)
    texture = _texture(rng, look, shape)
    heading = rng.uniform(0, 2 * np.pi)
    lean = np.tanh(2.0 * (x * np.float32(np.cos(heading)) + y * np.float32(np.sin(heading))))
    tone = 1 + look.asymmetry * lean + 0.16 * noise.layered(rng, size, 5, 3) + look.contrast * texture
    tone = tone + np.float32(0.22 * rng.standard_normal()) * (np.clip(shape.inward, 0, 1) - 0.4)
    melanin = shape.alpha * look.melanin * np.maximum(0.12, tone)
    patchy = np.maximum(0, 0.7 + 0.6 * noise.smooth(rng, size, 6))
    halo = np.exp(-np.square(np.minimum(shape.inward, 0) / 0.28))
    redness = look.redness * (shape.alpha * patchy + 0.35 * halo * patchy)
    cloud = 1 / (1 + np.exp(-4 * (noise.layered(rng, size, 4, 2) - 0.35)))
    veil = np.minimum(0.75, look.veil * 1.6 * cloud * shape.alpha * np.clip(3 * shape.inward, 0, 1))
    return Lesion(*(plane.astype(np.float32) for plane in (melanin, redness, veil)))


def faint(lesion: Lesion) -> Lesion:
    """The same lesion with so little pigment that what tells the labels apart hardly shows."""
    return Lesion(*(plane * np.float32(FAINT) for plane in (lesion.melanin, lesion.redness, lesion.veil)))


def _shape(rng: np.random.Generator, look: Look, x: Plane, y: Plane) -> Shape:
    size = x.shape[0]
    bent_x = x + 0.07 * noise.smooth(rng, size, 5)
    bent_y = (y + 0.07 * noise.smooth(rng, size, 5)) * np.float32(rng.uniform(1.0, 1.35))
    angle = np.arctan2(bent_y, bent_x)
    border = np.full_like(angle, 1.0)
    for lobe in LOBES:
        height = look.irregularity * rng.standard_normal() / lobe**0.95
        border += np.float32(height) * np.cos(lobe * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    frayed = (0.03 + 0.2 * look.irregularity) * noise.layered(rng, size, 14, 4)
    inward = np.clip(border, 0.65, 1.35) + frayed - np.hypot(bent_x, bent_y)
    # The softness itself varies along the border: real lesions end sharply on one side and fade on the other.
    soft = look.softness * np.exp(0.5 * noise.smooth(rng, size, 4))
    inward = inward + look.textures[2] * 0.04 * _rays(rng, angle)
    alpha = 1 / (1 + np.exp(-np.clip(3 * inward / soft, -30, 30)))
    edge = np.clip((EXTENT - np.maximum(np.abs(x), np.abs(y))) / 0.15, 0, 1)
    return Shape(inward.astype(np.float32), (alpha * edge).astype(np.float32), angle.astype(np.float32))


def _texture(rng: np.random.Generator, look: Look, shape: Shape) -> Plane:
    """The mix of patterns, each with mean 0 and deviation 1 inside the lesion: none betrays itself by its darkness."""
    size = shape.alpha.shape[0]
    pattern = noise.cells(rng, size, look.fineness)
    uneven = np.clip(0.75 + 0.5 * noise.smooth(rng, size, 5), 0.15, 1.3)
    network = np.exp(-np.square((pattern.second - pattern.nearest) / 0.18)) * uneven
    radius = 0.12 + 0.28 * pattern.value
    globules = 1 / (1 + np.exp(-14 * (radius - pattern.nearest))) * (pattern.value > 0.3) * uneven
    broken = np.clip(0.6 + 0.5 * noise.smooth(rng, size, 40), 0, 1.2)
    streaks = 0.7 * broken * _rays(rng, shape.angle) * np.exp(-np.square((shape.inward - 0.1) / 0.2))
    blotches = np.tanh(2.5 * noise.layered(rng, size, 8, 4))
    mix = np.zeros_like(shape.alpha)
    for weight, plane in zip(look.textures, (network, globules, streaks, blotches), strict=True):
        mix += np.float32(weight) * _standardised(plane.astype(np.float32), shape.alpha)
    return np.clip(mix, -2.2, 2.8)


def _rays(rng: np.random.Generator, angle: Plane) -> Plane:
    size = angle.shape[0]
    wander = 2.2 * noise.layered(rng, size, 6, 2) + rng.uniform(0, 6)
    rays = np.cos(int(rng.integers(24, 40)) * angle + wander)
    return np.asarray(rays * np.clip(0.25 + 0.9 * noise.smooth(rng, size, 5), 0, 1.4), dtype=np.float32)


def _standardised(plane: Plane, alpha: Plane) -> Plane:
    total = alpha.sum()
    mean = (plane * alpha).sum() / total
    deviation = np.sqrt((np.square(plane - mean) * alpha).sum() / total) + 1e-6
    return np.asarray((plane - mean) / deviation, dtype=np.float32)
