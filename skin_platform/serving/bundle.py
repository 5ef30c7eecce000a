"""The bundle: the folder inside a bento that holds all that serving needs.

    model.onnx  bundle.json  class_index.json  signature.json  preprocessing.json  calibration.json
    golden.json  golden/<sha256>.<ext>

Here: its files, read and written. Not here: inference (``serving.engine``), the bento (``serving.packing``).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing


class BundleError(RuntimeError):
    """The folder is no usable bundle; the message says what is missing or damaged."""


@dataclass(frozen=True)
class Provenance:
    """Where a bundle comes from: the chain from its model version to the data and the code."""

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
    onnx_sha256: str = ""


@dataclass(frozen=True)
class GoldenImage:
    """An image with the probabilities that the checkpoint gave it, in the order of the labels."""

    sha256: str
    data: bytes
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory; ``model`` is ONNX."""

    model: bytes
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    calibration: Calibration
    provenance: Provenance
    golden: tuple[GoldenImage, ...]

    @property
    def signature(self) -> dict[str, Any]:
        """Names, dtypes and shapes of the model's input and output; -1 is the batch."""
        size = self.preprocessing.size_px
        return {"inputs": [{"name": "images", "dtype": "float32", "shape": [-1, 3, size, size]}],
                "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, len(self.labels)]}]}


def write_bundle(bundle: Bundle, folder: Path) -> str:
    """Write the bundle into the empty ``folder``; returns the SHA-256 of ``bundle.json``, which pins the model's."""
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bundle.model)
    provenance = asdict(bundle.provenance) | {"onnx_sha256": hashlib.sha256(bundle.model).hexdigest()}
    _write(folder / "class_index.json", {str(i): label for i, label in enumerate(bundle.labels)})
    _write(folder / "signature.json", bundle.signature)
    _write(folder / "preprocessing.json", bundle.preprocessing.as_dict())
    _write(folder / "calibration.json", asdict(bundle.calibration))
    _write(folder / "golden.json", [{"sha256": g.sha256, "probabilities": list(g.probabilities)} for g in bundle.golden])
    for image in bundle.golden:
        (folder / "golden" / image.sha256).write_bytes(image.data)
    return _write(folder / "bundle.json", provenance)


def read_bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``; raises ``BundleError`` where a file is missing or the model is not the recorded one."""
    try:
        model = (folder / "model.onnx").read_bytes()
        provenance = Provenance(**_read(folder / "bundle.json"))
        index = _read(folder / "class_index.json")
        golden = tuple(
            GoldenImage(entry["sha256"], (folder / "golden" / entry["sha256"]).read_bytes(), tuple(entry["probabilities"]))
            for entry in _read(folder / "golden.json"))
        bundle = Bundle(model, tuple(index[str(i)] for i in range(len(index))),
                        Preprocessing.from_dict(_read(folder / "preprocessing.json")),
                        Calibration(**_read(folder / "calibration.json")), provenance, golden)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} is no usable bundle: {error}") from error
    if hashlib.sha256(model).hexdigest() != provenance.onnx_sha256:
        raise BundleError(f"{folder}/model.onnx is not the model that bundle.json records")
    return bundle


def provenance_of(folder: Path) -> dict[str, Any]:
    """``bundle.json`` alone, for those who only trace."""
    found: dict[str, Any] = _read(folder / "bundle.json")
    return found


def _write(path: Path, value: dict[str, Any] | Sequence[Any]) -> str:
    data = json.dumps(value, indent=1, ensure_ascii=False).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
