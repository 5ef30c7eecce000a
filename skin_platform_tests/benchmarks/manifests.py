"""Manifests of made-up images, as large as they are wanted: no picture is behind them."""

import hashlib

import numpy as np
import pyarrow as pa

from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform_tests.benchmarks.made_up import base

LABELS = ("irregular", "mottled", "plain")
IMAGES_A_PATIENT = 4


def made_up_manifest(batch: int, images: int) -> pa.Table:
    """A manifest of ``images`` rows that no other ``batch`` has, four a patient, patients of this batch alone."""
    rng = np.random.default_rng(batch)
    sha256s = [hashlib.sha256(f"{batch}:{at}".encode()).hexdigest() for at in range(images)]
    labels = [LABELS[at] for at in rng.integers(0, len(LABELS), images)]
    prints = base().drawn(images, seed=batch)
    batch_id = f"2026-05-01-made-up-{batch}"
    columns = {
        "file_id": [sha256[:20] for sha256 in sha256s], "reason": [None] * images,
        "url_source": [f"landing://{batch_id}/{sha256[:20]}" for sha256 in sha256s],
        "s3_uri": [f"s3://images/skin/unassigned/{label}/{sha256}.jpg" for label, sha256 in zip(labels, sha256s, strict=True)],
        "label": labels, "split": [None] * images, "sha256": sha256s, "bytes": [60_000] * images,
        "patient_id": [f"{batch:010x}{at // IMAGES_A_PATIENT:010x}" for at in range(images)],
        "width_px": [600] * images, "height_px": [450] * images, "format": ["JPEG"] * images,
        "md5": [sha256[:32] for sha256 in sha256s], "perceptual_hash": [row.tobytes().hex() for row in prints],
        "delivered_sha256": sha256s, "sharpness": rng.random(images), "exposure": rng.random(images),
        "blank_share": rng.random(images), "resolution_mpx": [0.27] * images, "sex": ["female"] * images,
        "age": [str(age) for age in rng.integers(20, 90, images)], "batch_id": [batch_id] * images,
        "ingested_at": ["2026-05-01T00:00:00+00:00"] * images,
    }
    missing = {field.name: [None] * images for field in MANIFEST_SCHEMA if field.name not in columns}
    return pa.table({field.name: pa.array((columns | missing)[field.name], field.type) for field in MANIFEST_SCHEMA})
