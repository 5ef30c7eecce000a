"""Hairs: curved, thin, antialiased, lying over skin and lesion."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from skin_platform.synthetic import noise
from skin_platform.synthetic.noise import Scene
from skin_platform.synthetic.people import Patient

FINER = 3  # hairs are drawn three times larger and reduced: Pillow's own lines are jagged
POINTS = np.linspace(0, 1, 16)
MOST_HAIRS = 40
FAIR = (0.66, 0.50, 0.33)


def with_hairs(rng: np.random.Generator, scene: Scene, patient: Patient) -> Scene:
    """The scene under the patient's hairs and their soft shadows."""
    size = scene.shape[-1]
    count = min(MOST_HAIRS, int(rng.poisson(patient.hairiness)))
    if count == 0:
        return scene
    sheet = Image.new("L", (size * FINER, size * FINER), 0)
    lie = rng.uniform(0, 2 * np.pi)
    for _ in range(count):
        _draw(rng, sheet, lie)
    hair = sheet.reduce(FINER)
    shadow = hair.filter(ImageFilter.GaussianBlur(size / 150))
    cover = np.asarray(hair, dtype=np.float32) / 255
    shade = np.roll(np.asarray(shadow, dtype=np.float32) / 255, (2, 1), axis=(0, 1))
    colour = noise.planes(FAIR) * np.float32(1 - patient.hair_darkness) + np.float32(0.04)
    seen = (1 - np.float32(0.22) * shade) * (1 - cover)
    haired: Scene = (scene * seen + colour * cover).astype(np.float32)
    return haired


def _draw(rng: np.random.Generator, sheet: Image.Image, lie: float) -> None:
    side = sheet.width
    start = rng.uniform(-0.1, 1.1, 2) * side
    heading = lie + 0.45 * rng.standard_normal()
    length = side * rng.uniform(0.15, 0.75)
    along = np.array((np.cos(heading), np.sin(heading)))
    bend = np.array((-along[1], along[0])) * length * 0.22 * rng.standard_normal()
    middle, end = start + along * length / 2 + bend, start + along * length
    t = POINTS[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    thick = side / 768 * rng.uniform(1.8, 4.6)
    ink = int(rng.uniform(120, 235))
    path = [(float(x), float(y)) for x, y in curve]
    pen = ImageDraw.Draw(sheet)
    pen.line(path[:11], fill=ink, width=max(1, round(thick)), joint="curve")
    pen.line(path[10:], fill=ink, width=max(1, round(thick * 0.6)), joint="curve")  # hairs taper to their tip
