"""Backbones: feature extractors from ``transformers``, untrained or with weights that lie on this machine.

Here: building them, what an untrained one needs mended, the features of an image from what they put out.
Not here: finding weights (``ml.weights``), the head and the loss (``ml.classifier``).
"""

import hashlib
import inspect
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, EfficientNetConfig, EfficientNetModel, ResNetConfig, ResNetModel
from transformers.utils import logging as transformers_logging

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.config import ConfigError, TrainingConfig
from skin_platform.ml.weights import channel_statistics, described, weights_folder


def build_backbone(config: TrainingConfig) -> nn.Module:
    """The backbone of a resolved ``config``, which ``pooled_features`` can be asked of.

    Raises ``ConfigError`` where weights are named but cannot be had, or are not those that were pinned.
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


def preprocessing_of(config: TrainingConfig) -> Preprocessing:
    """How images are brought to a resolved ``config``'s backbone: its size, and the statistics of its weights' images."""
    found = channel_statistics(weights_folder(config.weights, config.revision)) if config.weights else None
    if found is None:
        return Preprocessing(config.image_size_px)
    (r, g, b), (red, green, blue) = found
    return Preprocessing(config.image_size_px, (r, g, b), (red, green, blue))


def pooled_features(backbone: nn.Module, images: Tensor) -> Tensor:
    """Standardised images (N, 3, S, S) as float32 features (N, F), F set by the backbone alone.

    Of maps (convolutional nets): mean and standard deviation of every stage (colour and texture are early, shape is late;
    statistics as in Gatys et al. 2016): from scratch on 480 images this reached 0.60 accuracy where the pooled last stage
    reached 0.50. Of tokens (vision transformers): the class token, and mean and standard deviation of the patch tokens, of
    the last layer, as DINOv2's linear evaluation (Oquab et al. 2023) does without the deviation.
    """
    options = {"interpolate_pos_encoding": True} if _interpolates(backbone) else {}
    found = backbone(images, output_hidden_states=True, **options)
    stages = getattr(found, "reshaped_hidden_states", None) or found.hidden_states or ()
    maps = [stage.float() for stage in stages if stage.dim() == 4]
    if not maps:
        return _of_tokens(found.last_hidden_state.float(), backbone, images.shape[-1])
    return torch.cat([part for stage in maps for part in _statistics(stage.flatten(2))], 1)


def weights_digest(module: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and values of all weights and buffers, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                      if tensor.dim() else repr(tensor.item()).encode())
    return digest.hexdigest()


def _pretrained(config: TrainingConfig) -> nn.Module:
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = weights_folder(config.weights, config.revision)
    kind = str(described(folder)["model_type"])
    if config.backbone not in ("auto", kind) and config.backbone.split("_")[0].rstrip("0123456789") != kind:
        raise ConfigError(f"backbone is '{config.backbone}', but the weights in {folder} are those of a {kind}: leave "
                          "backbone at auto, or name other weights")
    try:
        backbone, loaded = AutoModel.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, trust_remote_code=False, dtype=torch.float32,
            output_loading_info=True)
    except Exception as error:  # transformers and safetensors raise kinds of their own for damaged files
        raise ConfigError(f"cannot load the weights in {folder}: {error}") from error
    _settle_missing(backbone, sorted(loaded["missing_keys"]), str(folder))
    if len(config.revision) == 64 and weights_digest(backbone) != config.revision:
        raise ConfigError(f"the weights in {folder} have the digest {weights_digest(backbone)}, not {config.revision} as "
                          "pinned: they were changed, or are others")
    return cast(nn.Module, backbone)


def _settle_missing(backbone: nn.Module, missing: list[str], folder: str) -> None:
    """Zero a pooler that the weights lack, which we do not use: drawn at random, it would change the digest."""
    needed = [name for name in missing if not name.startswith("pooler.")]
    if needed:
        raise ConfigError(f"the weights in {folder} lack {len(needed)} tensor(s) of the network, {needed[0]} among them: they "
                          "belong to another one than config.json describes")
    for name in missing:
        nn.init.zeros_(backbone.get_parameter(name))


def _statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of (N, C, positions) over the positions."""
    mean = values.mean(2)
    variance = ((values - mean[:, :, None]) ** 2).mean(2)
    return mean, (variance + 1e-5).sqrt()


def _of_tokens(tokens: Tensor, backbone: nn.Module, size_px: int) -> Tensor:
    """Class token (where there is one) and statistics of the patches, of tokens (N, T, D)."""
    patch = getattr(cast(Any, backbone).config, "patch_size", None)
    patches = (size_px // patch) ** 2 if isinstance(patch, int) else tokens.shape[1]
    before = max(0, tokens.shape[1] - patches)  # the class token, and registers behind it
    return torch.cat([*([tokens[:, 0]] if before else []), *_statistics(tokens[:, before:].transpose(1, 2))], 1)


def _interpolates(backbone: nn.Module) -> bool:
    """Whether the backbone takes images of another size than it was trained on only when asked to."""
    return "interpolate_pos_encoding" in inspect.signature(backbone.forward).parameters


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
