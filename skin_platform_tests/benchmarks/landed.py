"""Deliveries and landing folders as large as they are wanted."""

import io
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from skin_platform.core.batches import Delivery
from skin_platform.storage.places import LandingFolder

FILES_A_FOLDER = 1000


def delivery_of(root: Path, batch_id: str) -> Delivery:
    """Everything in a folder as one claimed delivery."""
    files = tuple(sorted(LandingFolder(root).scan()))
    return Delivery(batch_id, str(root), datetime.now(UTC).isoformat(), files)


def write_small_jpegs(folder: Path, files: int, seed: int) -> None:
    """``files`` JPEGs of 128 px, each of its own content, in one label folder."""
    rng = np.random.default_rng(seed)
    (folder / "plain").mkdir(parents=True)
    for number in range(files):
        coarse = Image.fromarray(rng.integers(60, 230, (6, 8, 3), dtype=np.uint8))
        sink = io.BytesIO()
        coarse.resize((128, 128), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=85)
        (folder / "plain" / f"{number:05}.jpg").write_bytes(sink.getvalue())


def write_landed_files(folder: Path, files: int) -> None:
    """``files`` files of one byte, a thousand a folder."""
    for start in range(0, files, FILES_A_FOLDER):
        part = folder / "plain" / f"{start // FILES_A_FOLDER:04}"
        part.mkdir(parents=True)
        for number in range(start, min(files, start + FILES_A_FOLDER)):
            handle = os.open(part / f"{number:07}.jpg", os.O_CREAT | os.O_WRONLY)
            os.write(handle, b"x")
            os.close(handle)
