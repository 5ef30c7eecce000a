"""The fit: arrays in, trained weights and their history out, with Lightning."""

import ctypes
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import build_backbone, weights_digest
from skin_platform.ml.classifier import LesionClassifier, LesionNet
from skin_platform.ml.config import TrainingConfig

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (N, S, S, 3) with int64 targets (N,)."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """A trained network with the figures of every epoch and the digest of the backbone that it began with."""

    net: LesionNet
    config: TrainingConfig
    history: tuple[dict[str, float], ...]
    backbone_digest: str
    seconds: float


def fit(
    train: LabelledImages, held_back: LabelledImages, classes: int, config: TrainingConfig, preprocessing: Preprocessing,
    on_epoch: Callable[[dict[str, float]], None],
) -> Fit:
    """Train a resolved ``config``; ``on_epoch`` is told the figures after each epoch.

    The last epoch's averaged weights are kept: nothing is chosen by the held-back images, so that their score stays honest.
    """
    _keep_freed_memory()
    _hush()
    started = time.monotonic()
    lightning.seed_everything(config.seed, verbose=False)
    backbone = build_backbone(config)
    digest = weights_digest(backbone)
    net = LesionNet(backbone, classes, config.image_size_px, config.dropout)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = config.epochs * math.ceil(len(train.targets) / config.batch_size)
    module = LesionClassifier(net, config, preprocessing, _class_weights(train.targets, classes), steps)
    reporter = _EpochReporter(on_epoch, len(train.targets), config.epochs)
    trainer = lightning.Trainer(
        max_epochs=config.epochs, max_time=timedelta(minutes=config.minutes), accelerator="auto", devices=1,
        precision=_precision(config), deterministic="warn", gradient_clip_val=1.0, num_sanity_val_steps=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[EMAWeightAveraging(decay=_decay(config, steps), use_buffers=True), reporter],
    )
    trainer.fit(module, _loader(train, config, shuffle=True), _loader(held_back, config, shuffle=False))
    if trainer.interrupted:
        raise KeyboardInterrupt("training was cancelled")
    return Fit(module.net.cpu().eval(), config, tuple(reporter.history), digest, time.monotonic() - started)


class _EpochReporter(lightning.Callback):
    """Collects the figures of each epoch and tells them on."""

    def __init__(self, on_epoch: Callable[[dict[str, float]], None], images: int, epochs: int) -> None:
        self.history: list[dict[str, float]] = []
        self._on_epoch, self._images, self._epochs = on_epoch, images, epochs
        self._started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """One row of history: losses, metrics, speed."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        seconds = time.monotonic() - self._started
        row = {"epoch": trainer.current_epoch + 1, "epochs": self._epochs, **figures, "seconds": seconds,
               "images_per_second": self._images / seconds}
        self.history.append(row)
        self._on_epoch(row)


def _loader(images: LabelledImages, config: TrainingConfig, *, shuffle: bool) -> "DataLoader[tuple[torch.Tensor, ...]]":
    tensors = TensorDataset(torch.from_numpy(images.pixels).permute(0, 3, 1, 2), torch.from_numpy(images.targets))
    # a last batch of one image has no variance to normalise by; 0 workers is the fastest on two cores
    lonely = shuffle and len(images.targets) % config.batch_size == 1
    return DataLoader(tensors, config.batch_size, shuffle=shuffle, drop_last=lonely, num_workers=0)


def _class_weights(targets: Sequence[int] | NDArray[np.int64], classes: int) -> torch.Tensor:
    """Inverse square root of each class's frequency, with mean 1; a class without images weighs nothing."""
    counts = np.bincount(np.asarray(targets), minlength=classes)
    weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0.0)
    return torch.tensor(weights / weights[counts > 0].mean(), dtype=torch.float32)


def _decay(config: TrainingConfig, steps: int) -> float:
    """The averaging window: an eighth of a short fit, else what the config says."""
    return max(0.0, min(config.ema_decay, 1 - 8 / steps))


def _precision(config: TrainingConfig) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """bf16 where the processor computes in it and the backbone gains by it (ResNet-18: 24 to 69 images/s)."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "16-mixed"
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16-mixed" if native and config.backbone == "resnet18" else "32-true"


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks: half of a training step on two cores was page faults of fresh ones."""
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
        except OSError:
            return  # another C library, whose allocator has no such knobs
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def _hush() -> None:
    """Lightning's hints on workers and hardware say nothing that a person at the run's log could use."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
