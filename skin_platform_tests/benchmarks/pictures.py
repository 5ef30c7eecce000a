"""Pictures to move about: JPEGs of the sizes that dermatoscopes deliver, each of its own content."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SIDE = (600, 450)
QUALITIES = (52, 70, 80, 85, 88, 90, 92)  # 20, 32, 46, 61, 75, 85 and 99 kB: evenly from 20 to 100


def write_pictures(folder: Path, files: int) -> list[int]:
    """Write ``files`` JPEGs of 20 to 100 kB into two label folders below ``folder``; returns their sizes in bytes."""
    rng = np.random.default_rng(5)
    for label in ("plain", "mottled"):
        (folder / label).mkdir(parents=True)
    grain = rng.normal(0, 9, (IMAGE_SIDE[1] * 2, IMAGE_SIDE[0] * 2, 3)).astype(np.float32)
    sizes = []
    for number in range(files):
        coarse = rng.integers(60, 230, (6, 8, 3), dtype=np.uint8)  # another picture each time, as smooth as skin
        smooth = np.asarray(Image.fromarray(coarse).resize(IMAGE_SIDE, Image.Resampling.BICUBIC), np.float32)
        top, left = rng.integers(0, IMAGE_SIDE[1]), rng.integers(0, IMAGE_SIDE[0])
        grained = smooth + grain[top:top + IMAGE_SIDE[1], left:left + IMAGE_SIDE[0]]
        sink = io.BytesIO()
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(sink, "JPEG", quality=QUALITIES[number % len(QUALITIES)])
        (folder / ("plain", "mottled")[number % 2] / f"{number:05}.jpg").write_bytes(sink.getvalue())
        sizes.append(len(sink.getvalue()))
    return sizes
