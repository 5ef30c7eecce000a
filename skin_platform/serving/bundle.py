"""The bundle: the folder inside a bento that holds all that serving needs.

    model.onnx  class_index.json  signature.json  preprocessing.json  calibration.json  golden.json  golden/<sha256>
    manifest.tsv.gz  the dataset's canonical text, whose SHA-256 is the digest, so that the service itself can tell its lineage
    model_card.md, evaluation.json, ood.npz  where the version has a card, figures, a detector
    precisions.json  the verdicts on lower precisions of it, where there are any
    bundle.json    where it comes from, and the SHA-256 of every other file

Here: its files, read and written. Not here: inference (``serving.engine``), the bento (``serving.packing``), which version is
served (``serving.exporting``).
"""

import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from skin_platform.core.calibration import Calibration
from skin_platform.core.ood import OutOfDistribution
from skin_platform.core.precisions import PrecisionVerdict
from skin_platform.core.preprocessing import Preprocessing

BENTO_NAME = "lesion_classifier"
CARD = "model_card.md"
OOD, EVALUATION, MANIFEST = "ood.npz", "evaluation.json", "manifest.tsv.gz"
PRECISIONS = "precisions.json"
RECORD = "bundle.json"


class BundleError(RuntimeError):
    """The folder is no usable bundle; the message says what is missing or damaged."""


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
        return hashlib.sha256(_dumped(told)).hexdigest()

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


def write_bundle(bundle: Bundle, folder: Path) -> str:
    """Write the bundle into the empty ``folder``; returns the SHA-256 of ``bundle.json``, which pins every other file."""
    files = {
        "model.onnx": bundle.model,
        "class_index.json": _dumped({str(i): label for i, label in enumerate(bundle.labels)}),
        "signature.json": _dumped(bundle.signature),
        "preprocessing.json": _dumped(bundle.preprocessing.as_dict()),
        "calibration.json": _dumped(asdict(bundle.calibration)),
        "golden.json": _dumped([{"sha256": g.sha256, "probabilities": list(g.probabilities)} for g in bundle.golden]),
        **_given({CARD: bundle.model_card.encode(), OOD: bundle.ood.as_npz() if bundle.ood else b"",
                  EVALUATION: bundle.evaluation, MANIFEST: bundle.manifest,
                  PRECISIONS: _dumped([asdict(verdict) for verdict in bundle.precisions]) if bundle.precisions else b""}),
        **{f"golden/{image.sha256}": image.data for image in bundle.golden}}
    pinned = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = _dumped(asdict(replace(bundle.provenance, files=pinned)))
    (folder / "golden").mkdir(parents=True)
    for name, data in (files | {RECORD: record}).items():
        (folder / name).write_bytes(data)
    return hashlib.sha256(record).hexdigest()


def read_bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``; raises ``BundleError`` where a file is missing or not the one that ``bundle.json`` records."""
    provenance, files = _pinned(folder)
    try:
        index = json.loads(files["class_index.json"])
        golden = tuple(GoldenImage(entry["sha256"], files[f"golden/{entry['sha256']}"], tuple(entry["probabilities"]))
                       for entry in json.loads(files["golden.json"]))
        return Bundle(files["model.onnx"], tuple(index[str(i)] for i in range(len(index))),
                      Preprocessing.from_dict(json.loads(files["preprocessing.json"])),
                      Calibration(**json.loads(files["calibration.json"])), provenance, golden, files.get(CARD, b"").decode(),
                      OutOfDistribution.from_npz(files[OOD]) if OOD in files else None, files.get(EVALUATION, b""),
                      files.get(MANIFEST, b""),
                      tuple(PrecisionVerdict(**entry) for entry in json.loads(files.get(PRECISIONS, b"[]"))))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{_shown(folder)} is no bundle of this release: {error}") from error


def _pinned(folder: Path) -> tuple[Provenance, dict[str, bytes]]:
    """``bundle.json`` and every file that it records, as recorded. Callers are told: no path of this machine in an error."""
    shown = _shown(folder)
    try:
        provenance = Provenance(**provenance_of(folder))
        files = {name: (folder / name).read_bytes() for name in provenance.files}
    except OSError as error:
        name = os.path.relpath(error.filename or folder / RECORD, folder)
        raise BundleError(f"{shown}/{name} " + ("is missing" if isinstance(error, FileNotFoundError) else
                                                f"cannot be read ({error.strerror})")) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{shown}/{RECORD} is damaged, or of another release: {error}") from error
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != provenance.files[name]:
            raise BundleError(f"{shown}/{name} is damaged: it is not the file that {RECORD} records")
    return provenance, files


def _shown(folder: Path) -> str:
    return "/".join(folder.parts[-2:])


def bundle_digest(folder: Path) -> str:
    """The SHA-256 of ``bundle.json``; raises ``OSError`` where there is none."""
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()


def provenance_of(folder: Path) -> dict[str, Any]:
    """``bundle.json`` alone, for those who only trace; raises ``OSError`` or ``ValueError`` where it cannot be read."""
    found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return found


def _given(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if data}


def _dumped(value: dict[str, Any] | Sequence[Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
