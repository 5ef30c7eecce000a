"""Bundles made in memory: real ONNX of a few hundred bytes (the mean colour, then one linear layer), with true golden images.

What a promotion does is ``promoted``: the export alone, without a store, a log of moves or a bento.
"""

import functools
import hashlib
import io
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.serving.bundle import Bundle, GoldenImage, Provenance
from skin_platform.serving.bundle_files import write_bundle
from skin_platform.serving.exporting import CHALLENGER, Promotion, exporting, replace_export
from skin_platform.settings import Settings

LABELS = ("blau é", "rot", "zart")
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def version_of(number: int) -> str:
    """The name of the version made ``number`` seconds after noon."""
    return f"v{NOON + timedelta(seconds=number):%Y%m%d_%H%M%S}"


def picture(seed: int, size: int = 48, kind: str = "PNG") -> bytes:
    """An encoded picture of one colour with noise on it."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, 3) + rng.integers(0, 50, (size, size, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@functools.cache
def tiny_bundle(number: int = 1, labels: tuple[str, ...] = LABELS, size_px: int = 32) -> Bundle:
    """The bundle of version ``version_of(number)``; each number has weights, and so answers, of its own."""
    rng = np.random.default_rng(number)
    weights, bias = rng.normal(0, 2, (3, len(labels))).astype(np.float32), rng.normal(0, 1, len(labels)).astype(np.float32)
    preprocessing = Preprocessing(size_px)
    calibration = Calibration(1.5, (0.9,) * len(labels), 0.9, False, 8, (4,) * len(labels))
    golden = []
    for seed in range(3):
        data = picture(1000 * number + seed)
        means = preprocessing.tensor(preprocessing.pixels(data)[np.newaxis]).mean((2, 3))
        row = softmax(means @ weights + bias, calibration.temperature)[0]
        golden.append(GoldenImage(hashlib.sha256(data).hexdigest(), data, tuple(map(float, row))))
    version = version_of(number)
    provenance = Provenance(version, NOON.isoformat(), f"runs/{version}/model.ckpt", f"{number:064x}", "w" * 64, "d" * 64,
                            {"train": 4, "val": 8}, "1+abc", "run-1", "", 0.75, 0.7)
    return Bundle(_model(weights, bias, size_px), labels, preprocessing, calibration, provenance, tuple(golden), "# Card\n")


def spoilt(bundle: Bundle) -> Bundle:
    """The same, with a golden image that it answers otherwise than recorded."""
    first = bundle.golden[0]
    return replace(bundle, golden=(replace(first, probabilities=first.probabilities[::-1]), *bundle.golden[1:]))


def promoted(settings: Settings, bundle: Bundle, move: int, kind: str = "promoted", *, as_challenger: bool = False) -> Path:
    """Export ``bundle`` as the champion (or challenger) by the move of that number, as a promotion ends; its folder."""
    current, prefix = (settings.home.challenger, CHALLENGER) if as_challenger else (settings.home.export, "")
    folder = Path(tempfile.mkdtemp()) / "bundle"
    write_bundle(bundle, folder)
    promotion = Promotion(bundle.provenance.model_version, kind, "Ärztin", "as agreed",
                          (NOON + timedelta(minutes=move)).isoformat(), move, None, False)
    try:
        with exporting(current, prefix):
            return replace_export(folder, current, promotion, prefix)
    finally:
        shutil.rmtree(folder.parent)


def _model(weights: np.ndarray, bias: np.ndarray, size_px: int) -> bytes:
    make, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("GlobalAveragePool", ["images"], ["pooled"]), make.make_node("Flatten", ["pooled"], ["features"]),
         make.make_node("Gemm", ["features", "weights", "bias"], ["logits"])], "tiny",
        [make.make_tensor_value_info("images", number, ["batch", 3, size_px, size_px])],
        [make.make_tensor_value_info("logits", number, ["batch", len(bias)]),
         make.make_tensor_value_info("features", number, ["batch", 3])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
