"""Cameras: what the device adds to a photograph: light, colour cast, vignette, blur, grain."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from skin_platform.synthetic import noise
from skin_platform.synthetic.noise import Plane, Scene


@dataclass(frozen=True)
class Camera:
    """One device; ``ring`` is the radius of a dermoscope's round window in half sides, 0 where there is none."""

    name: str
    cast: tuple[float, float, float]
    blur_px: float
    grain: float
    falloff: float
    gradient: float
    gloss: float
    ring: float
    quality: int


CAMERAS = (
    Camera("dermoscope-a", (1.02, 1.00, 1.01), 0.35, 0.006, 0.16, 0.04, 0.00, 1.12, 92),
    Camera("dermoscope-b", (0.98, 1.00, 1.08), 0.50, 0.008, 0.30, 0.05, 0.00, 0.00, 90),
    Camera("clinic-camera", (1.00, 0.98, 0.93), 0.60, 0.010, 0.12, 0.14, 0.03, 0.00, 88),
    Camera("phone", (1.06, 1.00, 0.88), 0.85, 0.016, 0.18, 0.20, 0.05, 0.00, 80),
)
NEW_CAMERA = Camera("dermoscope-c", (0.74, 0.84, 0.86), 1.70, 0.014, 0.34, 0.08, 0.00, 0.00, 76)


def photographed(rng: np.random.Generator, scene: Scene, camera: Camera) -> Image.Image:
    """The scene as the camera records it."""
    size = scene.shape[-1]
    x, y = noise.grid(size, 1.0)
    light = _light(rng, camera, x, y)
    balance = noise.planes(camera.cast) * (1 + 0.015 * rng.standard_normal((3, 1, 1), dtype=np.float32))
    lit: Scene = scene * light * balance
    if camera.gloss:
        shine = np.maximum(0, noise.layered(rng, size, 24, 4) - 1.2)
        lit = lit + np.float32(camera.gloss) * shine
    if camera.ring:
        lit = lit * _window(rng, camera, x, y)
    sharp = Image.fromarray(np.moveaxis(np.clip(lit * 255, 0, 255).astype(np.uint8), 0, -1).copy())
    soft = sharp.filter(ImageFilter.GaussianBlur(camera.blur_px * size / 256 * rng.uniform(0.8, 1.3)))
    grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(255 * camera.grain)
    grainy = np.clip(np.asarray(soft, dtype=np.float32) + np.repeat(grain[..., None], 3, axis=2), 0, 255)
    return Image.fromarray(grainy.astype(np.uint8))


def _light(rng: np.random.Generator, camera: Camera, x: Plane, y: Plane) -> Plane:
    heading = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.cos(heading)) * x + np.float32(np.sin(heading)) * y
    exposure = 1.0 + 0.05 * rng.standard_normal()
    gradient = 1 + camera.gradient * rng.uniform(0.3, 1.0) * slope
    corners = 1 - camera.falloff * (x * x + y * y) ** 1.5 / 2
    return np.asarray(exposure * gradient * corners, dtype=np.float32)


def _window(rng: np.random.Generator, camera: Camera, x: Plane, y: Plane) -> Plane:
    """The dermoscope's round window: black outside, its edge slightly soft."""
    shift_x, shift_y = rng.normal(0, 0.03, 2)
    radius = np.hypot(x - np.float32(shift_x), y - np.float32(shift_y))
    inside = 1 / (1 + np.exp(np.clip((radius - camera.ring * rng.uniform(0.96, 1.1)) * 55, -30, 30)))
    return np.asarray(0.03 + 0.97 * inside, dtype=np.float32)
