"""Export: a checkpoint as ONNX, the format that serving stores and runs without torch."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from skin_platform.ml.backbones import weights_digest
from skin_platform.ml.checkpoints import Checkpoint
from skin_platform.ml.classifier import LesionNet

INPUT, OUTPUT, FEATURES = "images", "logits", "features"
KEPT = 4  # exports remembered by this process, tens of MB each at most: MLflow and the bundle ask for the same one, 5 s of CPU
_exports: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()


def to_onnx(checkpoint: Checkpoint) -> bytes:
    """The network as ONNX: float32 ``images`` (batch, 3, S, S) to float32 ``logits`` (batch, C) and to the ``features``
    (batch, F) that those are made of, any batch size.

    The last few are remembered by weights, architecture and size.
    """
    size, architecture = checkpoint.preprocessing.size_px, str(cast(PretrainedConfig, checkpoint.net.backbone.config))
    key = weights_digest(checkpoint.net), architecture, size
    found = _exports.get(key) or _exported(checkpoint, size)
    _exports[key] = found
    _exports.move_to_end(key)
    while len(_exports) > KEPT:
        _exports.popitem(last=False)
    return found


def _exported(checkpoint: Checkpoint, size: int) -> bytes:
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
