"""The model that the serving benchmark asks: an EfficientNet-B0 at 224 px as our training makes it.

    python -m skin_platform_tests.benchmarks.served_model FOLDER

Untrained, but settled: its batch norms hold the statistics of the pictures that it is asked about. Those that it was built
with let activations underflow to denormals, which cost a processor ten times as much as numbers that a trained network has.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.checkpoints import dump_checkpoint, load_checkpoint
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.export import to_onnx
from skin_platform.ml.fit import Fit, seeded_net
from skin_platform.ml.ood import fit_detector
from skin_platform.ml.predictor import Predictor
from skin_platform.serving.bundle import Bundle, GoldenImage, Provenance
from skin_platform.serving.bundle_files import write_bundle
from skin_platform_tests.benchmarks.pictures import write_pictures

VERSION = "v20260501_120000"
LABELS = tuple(f"label {number}" for number in range(7))
CALIBRATION = Calibration(1.2, (0.9,) * 7, 0.9, False, 100, (15,) * 7)
PICTURES, SETTLING, GOLDEN = 200, 48, 8


def write_model(folder: Path) -> None:
    """Into ``folder``: ``pictures``, the network that they settled as ``model.ckpt`` and ``bundle``, and ``expected.npy``, the
    checkpoint's probabilities (pictures by name, labels)."""
    write_pictures(folder / "pictures", PICTURES)
    pictures = [path.read_bytes() for path in sorted((folder / "pictures").rglob("*.jpg"))]
    preprocessing = Preprocessing(224)
    config = TrainingConfig(backbone="efficientnet_b0", image_size_px=224, width=1.0, seed=5).resolved(1000)
    net = seeded_net(len(LABELS), config)
    _settle(net, torch.from_numpy(preprocessing.tensor(np.stack([preprocessing.pixels(data) for data in pictures[:SETTLING]]))))
    fit = Fit(net.eval(), config, ({"val_loss": 1.0},), "b" * 64, 1.0, 1, "", "epochs")
    data = dump_checkpoint(fit, LABELS, preprocessing, {"dataset_digest": "d" * 64}, CALIBRATION)
    (folder / "model.ckpt").write_bytes(data)
    write_bundle(_bundle(data, pictures, folder), folder / "bundle")


def _settle(net: nn.Module, images: torch.Tensor) -> None:
    """Give every batch norm the mean statistics of ``images``, passed in two halves."""
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the passes
    net.train()
    with torch.no_grad():
        for half in images.chunk(2):
            net(half.contiguous(memory_format=torch.channels_last))


def _bundle(data: bytes, pictures: Sequence[bytes], folder: Path) -> Bundle:
    checkpoint = load_checkpoint(data)
    answered = Predictor(checkpoint).answered(pictures)
    expected = softmax(answered.logits, CALIBRATION.temperature)
    np.save(folder / "expected.npy", expected)
    half = len(pictures) // 2
    detector = fit_detector(answered.features[:half], np.arange(half) % len(LABELS), [str(n) for n in range(half)],
                            answered.features[half:], 0.01)
    sha256 = hashlib.sha256(data).hexdigest()
    provenance = Provenance(VERSION, "2026-05-01T12:00:00+00:00", "skin/models/run/model.ckpt", sha256, "w" * 64, "d" * 64,
                            {"train": 400, "val": 100}, "1+abc", "run", "", 0.75, 0.7)
    golden = tuple(GoldenImage(hashlib.sha256(image).hexdigest(), image, tuple(map(float, row)))
                   for image, row in zip(pictures[:GOLDEN], expected, strict=False))
    return Bundle(to_onnx(checkpoint), LABELS, checkpoint.preprocessing, CALIBRATION, provenance, golden, "# Model card\n",
                  detector)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
