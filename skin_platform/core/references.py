"""References: what one asset hands to the next, so that lineage is carried and never looked up.

Each is small, plain and JSON-able; the things themselves (images, rows, weights) stay in their stores.
Digests are SHA-256 in hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LandedBatch:
    """A judged delivery: ``manifest_key`` is its Parquet manifest in the data bucket."""

    batch_id: str
    manifest_key: str
    manifest_sha256: str
    good: int
    quarantined: int


@dataclass(frozen=True)
class StoredBatch:
    """A batch whose images are all in the images bucket."""

    batch_id: str
    manifest_key: str
    manifest_sha256: str
    images: int


@dataclass(frozen=True)
class DatasetReference:
    """A frozen dataset, by digest; ``catalogue_digest`` is of the catalogue that it was frozen from."""

    digest: str
    manifest_key: str
    catalogue_digest: str
    labels: tuple[str, ...]
    images: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointReference:
    """Trained weights: the file's key and SHA-256, the weights' own digest, and what they came from."""

    key: str
    sha256: str
    weights_sha256: str
    dataset: DatasetReference
    code_version: str
    dagster_run_id: str
    mlflow_run_id: str
    created_at: str


@dataclass(frozen=True)
class EvaluationReference:
    """What a checkpoint scored on the held-back split, and what serving needs of it."""

    checkpoint: CheckpointReference
    report_key: str
    report_sha256: str
    accuracy: float
    macro_f1: float
    temperature: float
    conformal_threshold: float
    conformal_coverage: float


@dataclass(frozen=True)
class BundleReference:
    """A built bento by its tag, with the digest of its bundle description."""

    tag: str
    bundle_sha256: str
    evaluation: EvaluationReference
