"""Backbones: feature extractors from ``transformers``, untrained or with weights named by folder or hub revision.

Here: building them, and mending what an untrained one needs. Not here: the head and the loss (``ml.classifier``).
"""

import hashlib
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModel, EfficientNetConfig, EfficientNetModel, ResNetConfig, ResNetModel

from skin_platform.ml.config import ConfigError, TrainingConfig


def build_backbone(config: TrainingConfig) -> nn.Module:
    """The backbone of a resolved ``config``; called with ``output_hidden_states=True`` it gives (N, C, H, W) maps.

    Raises ``ConfigError`` where weights are named but cannot be had.
    """
    if config.weights:
        return _pretrained(config)
    if config.backbone == "resnet18":
        widths = [max(8, int(channels * config.width)) for channels in (64, 128, 256, 512)]
        return ResNetModel(ResNetConfig(embedding_size=widths[0], hidden_sizes=widths, depths=[2, 2, 2, 2],
                                        layer_type="basic"))
    return _settled(EfficientNetModel(EfficientNetConfig(
        width_coefficient=config.width, depth_coefficient=1.0, hidden_dim=int(1280 * config.width),
        image_size=config.image_size_px, dropout_rate=0.2)))


def weights_digest(module: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and values of all weights and buffers, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                      if tensor.dim() else repr(tensor.item()).encode())
    return digest.hexdigest()


def _pretrained(config: TrainingConfig) -> nn.Module:
    local = Path(config.weights).expanduser()
    if not local.is_dir() and not config.revision:
        raise ConfigError(f"weights '{config.weights}' is no local folder, and a hub id needs revision=<commit>: "
                          "nothing is downloaded that is not named by its digest")
    try:
        source, options = (str(local), {"local_files_only": True}) if local.is_dir() else (
            config.weights, {"revision": config.revision})
        backbone: nn.Module = AutoModel.from_pretrained(source, use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot load weights '{config.weights}': {error}") from error
    return backbone


def _settled(backbone: nn.Module) -> nn.Module:
    """Usable initial values: ``transformers`` draws EfficientNet's batch-norm weights from N(0, 0.02), which
    underflows to denormals and then to zero; convolutions follow He et al. 2015 by fan-in, which a depthwise one needs."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            module.momentum = 0.1
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return backbone
