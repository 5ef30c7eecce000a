"""Markers: a ruler or a stroke of ink beside the lesion, the shortcut that a classifier may learn instead of it."""

import numpy as np
from PIL import Image, ImageDraw

from skin_platform.synthetic.noise import Scene

FINER = 2  # drawn larger and reduced, so that edges are smooth
INK = (74, 44, 138)
RULER = (62, 150, 190)


def with_marker(rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with a ruler (two of three times) or an ink line along one side."""
    size = scene.shape[-1]
    sheet = Image.new("RGBA", (size * FINER, size * FINER), (0, 0, 0, 0))
    if rng.random() < 2 / 3:
        _ruler(rng, sheet)
    else:
        _ink(rng, sheet)
    turned = sheet.rotate(90 * int(rng.integers(4))).reduce(FINER)
    layer = np.moveaxis(np.asarray(turned, dtype=np.float32) / 255, -1, 0)
    cover = np.float32(0.8) * layer[3]  # a little of the skin shows through
    marked: Scene = scene * (1 - cover) + cover * layer[:3]
    return marked


def _ruler(rng: np.random.Generator, sheet: Image.Image) -> None:
    side = sheet.width
    top = int(side * rng.uniform(0.86, 0.90))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((0, top, side, side), fill=(*RULER, 235))
    step = side / rng.uniform(18, 26)
    for mark in range(int(side / step) + 1):
        deep = 0.06 if mark % 5 == 0 else 0.03
        x = mark * step
        pen.line((x, top, x, top + side * deep), fill=(15, 25, 40, 240), width=max(1, side // 220))


def _ink(rng: np.random.Generator, sheet: Image.Image) -> None:
    side = sheet.width
    t = np.linspace(0.08, 0.92, 40)
    swing = 0.015 * np.sin(9 * t + rng.uniform(0, 6)) + 0.02 * rng.standard_normal() * t
    path = [(float(x * side), float(y * side)) for x, y in zip(t, 0.89 + swing, strict=True)]
    ImageDraw.Draw(sheet).line(path, fill=(*INK, 190), width=side // 28, joint="curve")
