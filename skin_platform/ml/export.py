"""Export: a checkpoint as ONNX, the format that serving stores and runs without torch."""

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from skin_platform.ml.checkpoints import Checkpoint
from skin_platform.ml.classifier import LesionNet

INPUT, OUTPUT, FEATURES = "images", "logits", "features"


def to_onnx(checkpoint: Checkpoint) -> bytes:
    """The network as ONNX: float32 ``images`` (batch, 3, S, S) to float32 ``logits`` (batch, C) and to the ``features``
    (batch, F) that those are made of, any batch size."""
    size = checkpoint.preprocessing.size_px
    example = torch.zeros(2, 3, size, size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            _Both(checkpoint.net.eval().cpu()), (example,), str(path), input_names=[INPUT], output_names=[OUTPUT, FEATURES],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}}, dynamo=True, external_data=False,
            verbose=False,
        )
        return path.read_bytes()


class _Both(nn.Module):
    """A network that gives its features away."""

    def __init__(self, net: LesionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and features."""
        features = self.net.features(images)
        return self.net.head(features), features
