"""The bundle: all that serving needs of a version, in memory.

Here: what it holds. Not here: its files (``serving.bundle_files``), inference (``serving.engine``), the bento
(``serving.packing``), which version is served (``serving.exporting``).
"""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from skin_platform.core.calibration import Calibration
from skin_platform.core.ood import OutOfDistribution
from skin_platform.core.precisions import PrecisionVerdict
from skin_platform.core.preprocessing import Preprocessing

BENTO_NAME = "lesion_classifier"


@dataclass(frozen=True)
class Provenance:
    """Where a bundle comes from: the chain from its model version to the data and the code.

    ``report_sha256`` is of the figures of its evaluation on the split ``evaluated_on``, ``serving_code_sha256`` of the code
    packed beside it; ``files`` has the SHA-256 of every file of the bundle but this one.
    """

    model_version: str
    created_at: str
    checkpoint_key: str
    checkpoint_sha256: str
    weights_sha256: str
    dataset_digest: str
    dataset_images: dict[str, int]
    code_version: str
    dagster_run_id: str
    mlflow_run_id: str
    accuracy: float
    macro_f1: float
    report_sha256: str = ""
    evaluated_on: str = ""
    serving_code_sha256: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The bento's tag: its version is that of the model."""
        return f"{BENTO_NAME}:{self.model_version}"


@dataclass(frozen=True)
class GoldenImage:
    """An image with the probabilities that the checkpoint gave it, in the order of the labels."""

    sha256: str
    data: bytes
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    ``model`` is ONNX, ``model_card`` Markdown, ``ood`` the detector of images of another kind, ``evaluation`` the figures as
    JSON, ``manifest`` the dataset's canonical text, gzipped, ``precisions`` the verdicts on lower precisions; each empty or
    None where the version has none.
    """

    model: bytes
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    calibration: Calibration
    provenance: Provenance
    golden: tuple[GoldenImage, ...]
    model_card: str = ""
    ood: OutOfDistribution | None = None
    evaluation: bytes = b""
    manifest: bytes = b""
    precisions: tuple[PrecisionVerdict, ...] = ()

    @property
    def subject_sha256(self) -> str:
        """SHA-256 of all that its answers come from: weights, labels, preprocessing, calibration."""
        told = {"model": hashlib.sha256(self.model).hexdigest(), "labels": self.labels,
                "preprocessing": self.preprocessing.as_dict(), "calibration": asdict(self.calibration)}
        return hashlib.sha256(dumped(told)).hexdigest()

    @property
    def signature(self) -> dict[str, Any]:
        """Names, dtypes and shapes of the model's input and outputs; -1 is the batch, or a number that nothing here needs."""
        size, features = self.preprocessing.size_px, len(self.ood.centre) if self.ood else -1
        return {"inputs": [{"name": "images", "dtype": "float32", "shape": [-1, 3, size, size]}],
                "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, len(self.labels)]},
                            {"name": "features", "dtype": "float32", "shape": [-1, features]}]}

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of the evaluation; empty where the version has none."""
        found: dict[str, Any] = json.loads(self.evaluation) if self.evaluation else {}
        return found

    @property
    def dataset_manifest(self) -> str:
        """The dataset's canonical text: a line an image, sha256, label, group and split; empty where there is none."""
        return gzip.decompress(self.manifest).decode() if self.manifest else ""


def dumped(value: dict[str, Any] | Sequence[Any]) -> bytes:
    """JSON as a bundle's files have it."""
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
