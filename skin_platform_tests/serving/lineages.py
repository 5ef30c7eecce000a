"""Bundles that can tell where they come from: tiny ones with a dataset's manifest, figures and a detector."""

import gzip
import hashlib
import json
from dataclasses import replace

import numpy as np

from skin_platform.core.datasets import DatasetRow, canonical_manifest
from skin_platform.core.ood import OutOfDistribution
from skin_platform.serving.bundle import Bundle
from skin_platform_tests.serving.tiny_bundles import LABELS, tiny_bundle

ROWS = [DatasetRow(f"{i:064x}", LABELS[i % 3], f"g{i}", ("train", "val", "test")[i % 3]) for i in range(12)]


def traceable(number: int = 1) -> Bundle:
    """The tiny bundle of that number, with all that a version has by now."""
    bundle = tiny_bundle(number)
    manifest, figures = canonical_manifest(ROWS).encode(), json.dumps({"n": 4, "split": "test", "accuracy": 0.75}).encode()
    origin = replace(bundle.provenance, dataset_digest=hashlib.sha256(manifest).hexdigest(), evaluated_on="test",
                     report_sha256=hashlib.sha256(figures).hexdigest(), serving_code_sha256="c" * 64)
    return replace(bundle, provenance=origin, evaluation=figures, manifest=gzip.compress(manifest, mtime=0), ood=detector())


def detector() -> OutOfDistribution:
    """Flags images whose mean colour is far from grey, by the three features of a tiny bundle."""
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    return OutOfDistribution(zero, one, zero, np.eye(3, 2, dtype=np.float32), np.eye(2, dtype=np.float32),
                             np.zeros((1, 2), np.float32), 1.0, np.linspace(0.01, 0.9, 99), 0.01)
