"""References: what one asset hands to the next, so that lineage is carried and never looked up.

Each is small, plain and JSON-able; the things themselves (images, rows, weights) stay in their stores.
Digests are SHA-256 in hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skin_platform.core.calibration import Calibration
from skin_platform.core.intervals import Interval


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
    """A frozen dataset, by digest; ``catalogue_digest`` is of the catalogue that it was frozen from.

    ``locked_split`` is the split that only the final score may open (empty: none is configured), ``locked_digest`` says which
    images are in it (SHA-256 over their sorted SHA-256s, a line each; empty: none are).
    """

    digest: str
    manifest_key: str
    catalogue_digest: str
    labels: tuple[str, ...]
    images: Mapping[str, int] = field(default_factory=dict)
    locked_split: str = ""
    locked_digest: str = ""


@dataclass(frozen=True)
class CheckpointReference:
    """Trained weights: the file's key and SHA-256, the weights' own digest, and what they came from.

    ``mlflow_run_id`` is empty where MLflow did not answer: the run that is made afterwards carries the digests as tags.
    """

    key: str
    sha256: str
    weights_sha256: str
    dataset: DatasetReference
    code_version: str
    dagster_run_id: str
    mlflow_run_id: str
    created_at: str

    @property
    def run_key(self) -> str:
        """What the folder of its files is named by: the MLflow run, or the Dagster run where MLflow did not answer."""
        return self.key.rsplit("/", 2)[-2]


@dataclass(frozen=True)
class EvaluationReference:
    """What a checkpoint scored on the ``n`` images of ``split``, the rows that show it, and its calibration.

    ``ood_key`` and ``ood_sha256`` are of its detector of images of another kind, empty where there is none.
    """

    checkpoint: CheckpointReference
    report_key: str
    report_sha256: str
    evidence_key: str
    evidence_sha256: str
    split: str
    n: int
    accuracy: float
    accuracy_interval: Interval | None
    macro_f1: float
    macro_f1_interval: Interval | None
    calibration: Calibration
    ood_key: str = ""
    ood_sha256: str = ""


@dataclass(frozen=True)
class ModelVersionReference:
    """A registered version, what it was evaluated to be, and the verdict that was passed on it."""

    version: str
    evaluation: EvaluationReference
    verdict_sha256: str


@dataclass(frozen=True)
class VerdictReference:
    """The verdict on a version by its digest; ``blocks`` are the gates that stand against its promotion."""

    version: str
    verdict_sha256: str
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class ChampionReference:
    """The version that answers, and the number of the move that made it so; ``former`` is empty for the first."""

    version: str
    number: int
    former: str


@dataclass(frozen=True)
class BundleReference:
    """A built bento by its tag, with the digest of its bundle description, and the version that it serves."""

    tag: str
    bundle_sha256: str
    version: str
    evaluation: EvaluationReference
